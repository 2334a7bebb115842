"""What a volume store refuses, and how.

::

    StorageError                  a NovaFakesError
    ├── VolumeNotFound            a NotFound; the store has no such volume
    ├── SnapshotNotFound          likewise a snapshot
    ├── AttachmentNotFound        likewise an attachment
    ├── BackupNotFound            likewise a backup
    ├── GroupNotFound             likewise a group or a group's snapshot
    ├── TransferNotFound          likewise an offer of a transfer
    ├── PoolNotFound              likewise a pool
    ├── VolumeExists              a Conflict; the id or the name is taken
    ├── VolumeBusy                a Conflict; attached, with snapshots, in a group, on its way elsewhere
    ├── WrongState                a Conflict; its status does not allow that
    ├── TransferRefused           a Conflict; the key does not open the offer
    ├── PoolFull                  an InsufficientCapacity; the pool has no room for that
    ├── ReadOnly                  a Conflict; nothing may be written there
    ├── DeviceGone                a Conflict; the attachment through which somebody reads or writes has ended
    ├── ImageUnreadable           an InvalidInput; an image is not what it is said to be
    ├── ConnectorRefused          an InvalidInput; a host does not say what the protocol needs
    └── StoreUnwritable           the file of the store cannot be written; nothing has changed
"""

from nova_fakes.exceptions import Conflict, InsufficientCapacity, InvalidInput, NotFound, NovaFakesError

__all__ = [
    "AttachmentNotFound",
    "BackupNotFound",
    "ConnectorRefused",
    "DeviceGone",
    "GroupNotFound",
    "ImageUnreadable",
    "PoolFull",
    "PoolNotFound",
    "ReadOnly",
    "SnapshotNotFound",
    "StorageError",
    "StoreUnwritable",
    "TransferNotFound",
    "TransferRefused",
    "VolumeBusy",
    "VolumeExists",
    "VolumeNotFound",
    "WrongState",
]


class StorageError(NovaFakesError):
    """Root of what a volume store raises."""


class VolumeNotFound(StorageError, NotFound):
    """The store has no such volume."""


class SnapshotNotFound(StorageError, NotFound):
    """The store has no such snapshot."""


class AttachmentNotFound(StorageError, NotFound):
    """The store has no such attachment."""


class BackupNotFound(StorageError, NotFound):
    """The store has no such backup."""


class GroupNotFound(StorageError, NotFound):
    """The store has no such group, or no such snapshot of a group."""


class TransferNotFound(StorageError, NotFound):
    """Nobody offers such a transfer."""


class PoolNotFound(StorageError, NotFound):
    """The store has no such pool."""


class VolumeExists(StorageError, Conflict):
    """Something in the store has that id already."""


class VolumeBusy(StorageError, Conflict):
    """Something depends on the volume or snapshot; the message tells what has to go first."""


class WrongState(StorageError, Conflict):
    """The status of the volume, snapshot or attachment does not allow that."""


class TransferRefused(StorageError, Conflict):
    """The key does not open the offer."""


class PoolFull(StorageError, InsufficientCapacity):
    """The pool has no room for that."""


class ReadOnly(StorageError, Conflict):
    """Nothing may be written through this attachment, or to this disk."""


class DeviceGone(StorageError, Conflict):
    """The attachment has ended; the device answers nothing any more."""


class ImageUnreadable(StorageError, InvalidInput):
    """An image is not what it is said to be, or nothing here reads its format."""


class ConnectorRefused(StorageError, InvalidInput):
    """A host's connector lacks what the protocol needs."""


class StoreUnwritable(StorageError):
    """The file in which a store is kept cannot be written; what was to be done has not been done."""
