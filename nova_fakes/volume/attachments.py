"""Attachments: a volume's way from reserved to in use and back, and the device that a server has of it meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.connections import Portal, connection_info, require_connector
from nova_fakes.volume.device import Device
from nova_fakes.volume.errors import ReadOnly, VolumeBusy, WrongState
from nova_fakes.volume.records import Attachment, Volume
from nova_fakes.volume.snapshots import SnapshotShelf

__all__ = ["TRANSITIONS", "AttachmentShelf"]

#: operation → (statuses in which it is allowed, the status after it).
TRANSITIONS: Mapping[str, tuple[frozenset[str], str]] = {
    "connect": (frozenset({"reserved", "attaching"}), "attaching"),
    "complete": (frozenset({"attaching", "attached"}), "attached"),
    "begin_detaching": (frozenset({"attached"}), "detaching"),
    "roll_detaching": (frozenset({"detaching"}), "attached"),
}

#: Of several attachments the one that is furthest decides about the volume.
_STATUS_BY_ATTACHMENT = {
    "attached": "in-use",
    "attaching": "attaching",
    "detaching": "detaching",
    "reserved": "reserved",
}


class AttachmentShelf(SnapshotShelf):
    """A store whose volumes can be attached."""

    def reserve(
        self,
        volume_id: str,
        instance_id: str | None = None,
        *,
        mode: str | None = None,
        attachment_id: str | None = None,
    ) -> Attachment:
        """Reserve a volume for a server, or for a host where none is named.

        A volume in use can be reserved again where it may be attached several times, or for the server that has it
        already: so a server moves to another host.

        :param mode: rw or ro; None: rw, or ro where the volume is read-only
        :raises WrongState: the volume's status does not allow it
        :raises VolumeBusy: it is attached already, and may not be attached several times
        :raises ReadOnly: rw is asked for and the volume is read-only
        """
        if mode not in (None, "rw", "ro"):
            raise InvalidInput("mode", mode, "give rw or ro")
        with self.lock:
            volume = self.volume(volume_id)
            if volume.read_only and mode == "rw":
                raise ReadOnly(f"volume {volume_id} is read-only: attach it as ro")
            if volume.status != "available":
                self._require_shareable(volume, instance_id)
            attachment = Attachment(
                id=attachment_id or self._new_id(),
                volume_id=volume_id,
                status="reserved",
                mode=mode or ("ro" if volume.read_only else "rw"),
                instance_id=instance_id,
            )
            changes = [(volume, {"status": "reserved"})] if volume.status == "available" else []
            self._commit(changes, added=[attachment])
        return attachment

    def connect(
        self,
        attachment_id: str,
        connector: Mapping[str, Any],
        portal: Portal | None = None,
        *,
        place: str | None = None,
        mountpoint: str | None = None,
    ) -> Attachment:
        """Make the connection of a host whose connector that is; its `connection_info` is known then.

        :param portal: None: the protocol fake
        :param place: where the volume has been realized
        :raises ConnectorRefused: the host does not say what the protocol needs
        :raises VolumeBusy: another host has the volume, and it may not be attached several times
        :raises WrongState: it is connected already, or being detached
        """
        portal = portal or _FAKE
        with self.lock:
            attachment = self.attachment(attachment_id)
            status = self._next(attachment, "connect")
            volume = self.volumes[attachment.volume_id]
            host = require_connector(connector, portal)
        self._check("volume.connect", volume, volume.pool)
        with self.lock:
            self._next(self.attachment(attachment_id), "connect")
            # It may have become another volume's meanwhile.
            volume = self.volumes[attachment.volume_id]
            self._change_attachment(
                volume,
                attachment,
                status=status,
                host=host,
                mountpoint=mountpoint,
                connector=dict(connector),
                connection_info=connection_info(volume, attachment.mode, portal, place),
            )
        return attachment

    def complete(self, attachment_id: str) -> Attachment:
        """Note that the server has the volume now.

        :raises WrongState: its host has not been connected
        """
        with self.lock:
            attachment = self.attachment(attachment_id)
            status = self._next(attachment, "complete")
            volume = self.volumes[attachment.volume_id]
            self._change_attachment(volume, attachment, status=status, attached_at=self.clock.now())
        return attachment

    def attach(
        self,
        volume_id: str,
        instance_id: str | None = None,
        *,
        connector: Mapping[str, Any] | None = None,
        portal: Portal | None = None,
        mode: str | None = None,
        mountpoint: str | None = None,
        place: str | None = None,
    ) -> Attachment:
        """Reserve, connect and complete in one; whatever fails, the volume is as before.

        :param connector: None: of a host that only has a name, ``localhost``
        """
        attachment = self.reserve(volume_id, instance_id, mode=mode)
        try:
            self.connect(attachment.id, connector or _LOCALHOST, portal, place=place, mountpoint=mountpoint)
            return self.complete(attachment.id)
        except BaseException:
            self._forget(attachment)
            raise

    def begin_detaching(self, attachment_id: str) -> None:
        """Note that the server is about to let the volume go.

        :raises WrongState: it is not attached
        """
        self._step(attachment_id, "begin_detaching")

    def roll_detaching(self, attachment_id: str) -> None:
        """Take :meth:`begin_detaching` back: the server has it still.

        :raises WrongState: it is not being detached
        """
        self._step(attachment_id, "roll_detaching")

    def detach(self, attachment_id: str) -> None:
        """End an attachment, however far it has come; who reads or writes through it cannot any longer.

        :raises AttachmentNotFound: there is none
        """
        with self.lock:
            attachment = self.attachment(attachment_id)
            volume = self.volumes[attachment.volume_id]
        self._check("volume.detach", volume, volume.pool)
        self._forget(attachment)

    def open(self, attachment_id: str) -> Device:
        """Return the device by which a server reads and writes an attached volume.

        :raises WrongState: it is not attached
        """
        with self.lock:
            attachment = self.attachment(attachment_id)
            if attachment.status not in ("attached", "detaching"):
                raise WrongState(f"attachment {attachment_id} is {attachment.status}: complete it first")
            return Device(self, attachment)

    def _require_shareable(self, volume: Volume, instance_id: str | None) -> None:
        """Refuse another attachment of a volume that is not available, unless it may have one."""
        there = self._attachments_of.get(volume.id, {}).values()
        if not there or volume.status not in ("in-use", "reserved", "attaching"):
            raise WrongState(f"volume {volume.id} is {volume.status}: it has to be available")
        moves = instance_id is not None and any(one.instance_id == instance_id for one in there)
        if not volume.multiattach and not moves:
            raise VolumeBusy(f"volume {volume.id} is {volume.status} and may not be attached several times")

    def _next(self, attachment: Attachment, operation: str) -> str:
        allowed, status = TRANSITIONS[operation]
        if attachment.status not in allowed:
            raise WrongState(
                f"attachment {attachment.id} is {attachment.status}: it has to be {' or '.join(sorted(allowed))}"
            )
        return status

    def _step(self, attachment_id: str, operation: str) -> None:
        with self.lock:
            attachment = self.attachment(attachment_id)
            status = self._next(attachment, operation)
            self._change_attachment(self.volumes[attachment.volume_id], attachment, status=status)

    def _change_attachment(self, volume: Volume, attachment: Attachment, *, status: str, **values: Any) -> None:
        others = self._attachments_of[volume.id]
        statuses = (
            {status} if len(others) == 1 else {status, *(o.status for o in others.values() if o is not attachment)}
        )
        settled = _settled(statuses)
        if settled == volume.status:
            self._change((attachment, {"status": status, **values}))
        else:
            self._change((attachment, {"status": status, **values}), (volume, {"status": settled}))

    def _forget(self, attachment: Attachment) -> None:
        with self.lock:
            self.attachment(attachment.id)
            volume = self.volumes[attachment.volume_id]
            others = self._attachments_of[volume.id]
            statuses = {one.status for one in others.values() if one is not attachment}
            settled = _settled(statuses) if statuses else "available"
            self._commit([(volume, {"status": settled})], removed=[attachment])
            # A device that is open looks here.
            attachment.status = "detached"


def _settled(statuses: set[str]) -> str:
    return next(value for key, value in _STATUS_BY_ATTACHMENT.items() if key in statuses)


_FAKE = Portal()
_LOCALHOST: Mapping[str, Any] = {"host": "localhost"}
