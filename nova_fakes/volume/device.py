"""A volume as a server sees it: a medium that ends with the attachment, and counts what passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nova_fakes.volume.errors import DeviceGone, ReadOnly
from nova_fakes.volume.medium import Buffer
from nova_fakes.volume.records import Attachment, Volume

if TYPE_CHECKING:
    from nova_fakes.volume.shelf import Shelf

__all__ = ["Device"]


class Device:
    """The device of one attachment (see :class:`nova_fakes.volume.medium.Medium`).

    Fault rules are asked before each read, write and discard: ``volume.read``, ``volume.write``, ``volume.discard``.
    """

    def __init__(self, store: Shelf, attachment: Attachment) -> None:
        self._store = store
        self._attachment = attachment
        self.read_requests = 0
        self.read_bytes = 0
        self.write_requests = 0
        self.write_bytes = 0

    @property
    def _volume(self) -> Volume:
        # Another than at the beginning, where one has taken the place of another.
        volume = self._store.volumes.get(self._attachment.volume_id)
        if volume is None:
            raise DeviceGone(f"volume {self._attachment.volume_id} has been deleted")
        return volume

    @property
    def size_bytes(self) -> int:
        """The volume's size."""
        return self._volume.size_bytes

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written through this attachment."""
        return self._attachment.mode == "ro"

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes there.

        :raises DeviceGone: the attachment has ended
        :raises InvalidInput: beyond the end
        """
        self._admit("volume.read")
        data = self._volume.disk.read(offset, length)
        self.read_requests += 1
        self.read_bytes += length
        return data

    def write(self, offset: int, data: Buffer) -> None:
        """Put bytes there.

        :raises DeviceGone: the attachment has ended
        :raises ReadOnly: it is one for reading
        :raises InvalidInput: beyond the end
        :raises PoolFull: no room is left; what came before has been written
        """
        self._admit("volume.write")
        self._volume.disk.write(offset, data)
        self.write_requests += 1
        self.write_bytes += memoryview(data).nbytes

    def discard(self, offset: int, length: int) -> None:
        """Let the bytes there be zero.

        :raises DeviceGone: the attachment has ended
        :raises ReadOnly: it is one for reading
        :raises InvalidInput: beyond the end
        """
        self._admit("volume.discard")
        self._volume.disk.discard(offset, length)

    def flush(self) -> None:
        """Return when everything that was written is safe.

        :raises DeviceGone: the attachment has ended
        """
        self._admit("volume.flush")
        self._volume.disk.flush()

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield offset and length of what takes up room in a range, or anywhere, in order.

        :raises DeviceGone: the attachment has ended
        """
        self._admit("volume.read")
        return self._volume.disk.extents(offset, length)

    def _admit(self, operation: str) -> None:
        attachment = self._attachment
        if attachment.status not in ("attached", "detaching"):
            raise DeviceGone(f"attachment {attachment.id} of volume {attachment.volume_id} has ended: open another")
        if attachment.mode == "ro" and operation in ("volume.write", "volume.discard"):
            raise ReadOnly(f"volume {attachment.volume_id} is attached read-only")
        faults = self._store.faults
        if faults.active:
            faults.check(operation, f"{self._store.backend}#{self._volume.pool}", self._volume)
