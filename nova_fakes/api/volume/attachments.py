"""Attachments: a volume's way from reserved to in use and back, by the attachments API and by the older actions."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.messages import Event, tell
from nova_fakes.api.volume.records import Attachment, Volume
from nova_fakes.api.volume.refusals import (
    attachment_in_use,
    attachment_not_found,
    conflict,
    invalid_input,
    invalid_volume,
    one_of,
)
from nova_fakes.api.volume.store import Store
from nova_fakes.api.volume.volumes import Volumes
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["Attachments", "ServerVolumes"]

# Which attachment nova holds for (server id, volume id); None where nova knows of none.
ServerVolumes = Callable[[str, str], str | None]

# Of several attachments the one that is furthest decides about the volume; failed ones count for nothing.
PRECEDENCE = ("attached", "attaching", "detaching", "reserved")


class Attachments:
    """The attachments of one volume service.

    Args:
        store: the records.
        volumes: what may be attached.
        server_volumes: asks nova whether it still holds an attachment that a user wants to delete; None: whatever is
            connected to a server counts as held.
    """

    def __init__(self, store: Store, volumes: Volumes, *, server_volumes: ServerVolumes | None = None) -> None:
        self._store = store
        self._volumes = volumes
        self._server_volumes = server_volumes

    def get(self, token: Token, attachment_id: str) -> Attachment:
        """Return the attachment.

        Raises:
            ApiError: 404, there is none, or its volume is another project's.
        """
        attachment = self._store.attachments.get(attachment_id)
        if attachment is not None:
            volume = self._store.volumes[attachment.volume_id]
            if token.is_admin or volume.project_id == token.project_id:
                return attachment
        raise attachment_not_found(attachment_id)

    def visible(
        self,
        token: Token,
        *,
        volume_id: str | None = None,
        instance_id: str | None = None,
        all_projects: bool = False,
    ) -> list[Attachment]:
        """Return the project's attachments: all, or those of one volume or one server."""
        with self._store.lock:
            if volume_id is not None:
                found = self._store.attachments_of(volume_id)
            elif instance_id is not None:
                found = self._store.attachments_to(instance_id)
            else:
                found = list(self._store.attachments.values())
            everywhere = all_projects and token.is_admin
            return [
                attachment
                for attachment in found
                if (instance_id is None or attachment.instance_id == instance_id)
                and (everywhere or self._store.volumes[attachment.volume_id].project_id == token.project_id)
            ]

    def create(
        self,
        token: Token,
        volume_id: str,
        instance_id: str | None,
        *,
        connector: Mapping[str, Any] | None = None,
        mode: str | None = None,
    ) -> Attachment:
        """Reserve a volume for a server and, where the connector is known, make the connection.

        A volume that is in use can be reserved again if its type allows multiattach, or for the server that has it
        already: that is how nova moves a server to another host.

        Args:
            token: who asks.
            volume_id: the volume.
            instance_id: the server; None for a host.
            connector: what the host says of itself (nova.virt.driver, get_volume_connector); None: only reserve.
            mode: "rw" or "ro"; None: the connector's, else "rw".

        Raises:
            ApiError: 404, unknown volume; 400, its state does not allow it; 500, the connector names no host, or the
                backend fails, as Cinder answers there.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if "error" in volume.status:
                raise invalid_volume(
                    f"Volume attachments can not be created if the volume is in an error state. The Volume {volume_id} "
                    f"currently has a status of: {volume.status} "
                )
            if connector is not None and not connector.get("host"):
                raise ApiError(
                    500,
                    f"Unable to create attachment for volume (Invalid input received: {_missing_host()}).",
                )
            expected = ("available", "in-use", "downloading") if volume.multiattach else ("available", "downloading")
            if volume.status in expected:
                volume.status = "reserved"
            elif not (
                instance_id is not None
                and volume.status in ("in-use", "reserved")
                and any(other.instance_id == instance_id for other in self._store.attachments_of(volume_id))
            ):
                raise invalid_volume(
                    f"Volume {volume_id} status must be {one_of(expected)} to reserve, but the current status is "
                    f"{volume.status}."
                )
            attachment = Attachment(
                id=self._store.new_id(),
                volume_id=volume_id,
                instance_id=instance_id,
                mode="ro" if volume.read_only else mode,
            )
            self._store.add_attachment(attachment)
            if connector is not None:
                self._connect(volume, attachment, connector, "Unable to create attachment for volume")
            volume.updated_at = self._store.clock.now()
            return attachment

    def update(self, token: Token, attachment_id: str, connector: Mapping[str, Any]) -> Attachment:
        """Make a reserved attachment's connection.

        Raises:
            ApiError: 404, unknown attachment; 400, the connector names no host; 409, the volume is in an error state,
                or is connected elsewhere and does not allow multiattach; 500, the backend fails.
        """
        with self._store.lock:
            attachment = self.get(token, attachment_id)
            volume = self._store.volumes[attachment.volume_id]
            if "error" in volume.status:
                raise conflict(
                    f"Volume attachments can not be updated if the volume is in an error state. The Volume {volume.id} "
                    f"currently has a status of: {volume.status} "
                )
            if not connector.get("host"):
                raise invalid_input(_missing_host())
            attachments = self._store.attachments_of(volume.id)
            if len(attachments) > 1 and not volume.multiattach and any(other.connection_info for other in attachments):
                raise conflict(f"duplicate connectors detected on volume {volume.id}")
            self._connect(volume, attachment, connector, "Unable to update attachment")
            return attachment

    def complete(self, token: Token, attachment_id: str) -> None:
        """Note that the server has the volume now: it is in use.

        Raises:
            ApiError: 404, unknown attachment.
        """
        with self._store.lock:
            attachment = self.get(token, attachment_id)
            volume = self._store.volumes[attachment.volume_id]
            attachment.status = "attached"
            volume.status, volume.attach_status = "in-use", "attached"
            volume.updated_at = self._store.clock.now()

    def delete(self, token: Token, attachment_id: str, *, service: bool) -> list[Attachment]:
        """Cut the connection and forget the attachment; return the volume's others.

        Args:
            token: who asks.
            attachment_id: the attachment.
            service: whether a service asks, or asks along (X-Service-Token): users may not take from under nova what a
                server is connected to.

        Raises:
            ApiError: 404, unknown attachment; 409, nova has it in use and a user asks; 500, the backend fails.
        """
        with self._store.lock:
            attachment = self.get(token, attachment_id)
        self._refuse_theft(attachment, service)
        with self._store.lock:
            attachment = self.get(token, attachment_id)
            volume = self._store.volumes[attachment.volume_id]
            self._forget(volume, attachment)
            return self._store.attachments_of(volume.id)

    def reserve(self, token: Token, volume_id: str) -> None:
        """Mark a volume as about to be attached (os-reserve).

        Raises:
            ApiError: 404, unknown volume; 400, its status does not allow it.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            expected = ("available", "in-use") if volume.multiattach else ("available",)
            if volume.status not in expected:
                raise invalid_volume(
                    f"Volume status must be {one_of(expected)} to reserve, but the status is {volume.status}."
                )
            volume.status = "attaching"

    def unreserve(self, token: Token, volume_id: str) -> None:
        """Take `reserve` back; does nothing to a volume that is not reserved (os-unreserve).

        Raises:
            ApiError: 404, unknown volume.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status == "attaching":
                volume.status = "in-use" if self._store.attachments_of(volume_id) else "available"

    def begin_detaching(self, token: Token, volume_id: str) -> None:
        """Mark a volume as about to be detached (os-begin_detaching).

        Raises:
            ApiError: 404, unknown volume; 400, it is not attached.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status != "in-use" or volume.attach_status != "attached":
                if volume.migrating:
                    return  # that it moves is what its users see
                raise invalid_volume(
                    "Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to "
                    "detach."
                )
            if not volume.migrating:
                volume.status = "detaching"

    def roll_detaching(self, token: Token, volume_id: str) -> None:
        """Take `begin_detaching` back; does nothing to a volume that is not detaching (os-roll_detaching).

        Raises:
            ApiError: 404, unknown volume.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status == "detaching":
                volume.status = "in-use"

    def attach(
        self,
        token: Token,
        volume_id: str,
        *,
        instance_id: str | None,
        host: str | None,
        mountpoint: str,
        mode: str = "rw",
    ) -> None:
        """Note that a server or a host has the volume (os-attach).

        Raises:
            ApiError: 404, unknown volume; 400, it is attached already, in maintenance, or read-only.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if volume.status == "maintenance":
                raise invalid_volume("The volume cannot be attached in maintenance mode.")
            volume.read_only = bool(volume.read_only)
            if volume.read_only and mode != "ro":
                raise ApiError(400, f"Invalid attaching mode '{mode}' for volume {volume_id}.")
            for attachment in self._store.attachments_of(volume_id):
                if attachment.instance_id == instance_id and (instance_id is not None or attachment.host == host):
                    volume.status = "in-use"
                    return
            if volume.status == "in-use" and not volume.multiattach:
                raise ApiError(
                    400,
                    "Error attaching volume - InvalidVolume: Invalid volume: volume is already attached and multiple "
                    "attachments are not enabled",
                )
            attachment = Attachment(
                id=self._store.new_id(),
                volume_id=volume_id,
                instance_id=instance_id,
                status="attached",
                mode=mode,
                host=host,
                mountpoint=mountpoint,
                attached_at=self._store.clock.now(),
            )
            try:
                self._store.content.attach(attachment)
            except NovaFakesError as error:
                raise ApiError(400, f"Error attaching volume - InvalidVolume: Invalid volume: {error}") from error
            self._store.add_attachment(attachment)
            volume.status, volume.attach_status = "in-use", "attached"
            volume.updated_at = self._store.clock.now()

    def detach(self, token: Token, volume_id: str, attachment_id: str | None, *, service: bool) -> None:
        """Note that a server or a host no longer has the volume (os-detach).

        Args:
            token: who asks.
            volume_id: the volume.
            attachment_id: may be None where there is only one.
            service: as for `delete`.

        Raises:
            ApiError: 404, unknown volume; 400, one of several attachments is meant and none named, or another volume's
                is; 409, nova has it in use and a user asks.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            attachments = self._store.attachments_of(volume_id)
            attachment = attachments[0] if len(attachments) == 1 else None
            if attachment_id is not None:
                attachment = self._store.attachments.get(attachment_id)
                if attachment is not None and attachment.volume_id != volume_id:
                    raise invalid_input("Mismatched volume and attachment")
        self._refuse_theft(attachment, service)
        with self._store.lock:
            if volume.status == "maintenance":
                raise invalid_volume("The volume cannot be detached in maintenance mode.")
            if attachment_id is None and len(attachments) > 1:
                raise ApiError(
                    400,
                    "Error detaching volume - InvalidVolume: Invalid volume: Detach volume failed: More than one "
                    "attachment, but no attachment_id provided.",
                )
            if attachment is not None and attachment.id in self._store.attachments:
                self._forget(volume, attachment)
            else:
                self._settle(volume)

    def initialize_connection(self, token: Token, volume_id: str, connector: Mapping[str, Any]) -> dict[str, Any]:
        """Return how a host gets at a volume (os-initialize_connection): driver_volume_type and data.

        Raises:
            ApiError: 404, unknown volume; 400, the connector names no host.
        """
        with self._store.lock:
            volume = self._volumes.get(token, volume_id)
            if not connector.get("host"):
                raise invalid_input(_missing_host())
            mode = "ro" if volume.read_only else "rw"
            info = _connection_info(volume, mode, self._front_end(volume))
            return {"driver_volume_type": info.pop("driver_volume_type"), "data": info}

    def terminate_connection(
        self, token: Token, volume_id: str, connector: Mapping[str, Any] | None, *, service: bool
    ) -> None:
        """Forget the connections that a host has to a volume (os-terminate_connection).

        Raises:
            ApiError: 404, unknown volume; 409, nova has it in use and a user asks.
        """
        with self._store.lock:
            self._volumes.get(token, volume_id)
            host = (connector or {}).get("host")
            connected = [
                attachment
                for attachment in self._store.attachments_of(volume_id)
                if attachment.connection_info and (host is None or attachment.host == host)
            ]
        for attachment in connected:
            self._refuse_theft(attachment, service)
        with self._store.lock:
            for attachment in connected:
                attachment.connection_info, attachment.connector = {}, None

    def _connect(self, volume: Volume, attachment: Attachment, connector: Mapping[str, Any], failure: str) -> None:
        """Make a connection; where the backend fails the attachment is in error, and the volume stays reserved."""
        mode = attachment.mode or connector.get("mode") or "rw"
        attachment.connector = {**copy.deepcopy(dict(connector)), "mode": mode}
        attachment.mode = mode
        attachment.host = str(connector["host"])
        attachment.mountpoint = connector.get("mountpoint", "na")
        # nova drops the attachment's id and keeps the rest; by it the device is found whatever the volume is called.
        names = {"attachment_id": attachment.id, "connection_id": attachment.id}
        attachment.connection_info = {
            **_connection_info(volume, mode, self._front_end(volume)),
            **names,
        }
        attachment.attached_at = self._store.clock.now()
        attachment.status = "attaching"
        try:
            self._store.content.attach(attachment)
        except NovaFakesError as error:
            attachment.status, attachment.attached_at = "error_attaching", None
            attachment.connection_info, attachment.connector = {}, None
            tell(self._store, Event.NOT_CONNECTED, volume.project_id, volume.id)
            raise ApiError(500, f"{failure} ({error}).") from error
        volume.status = volume.attach_status = "attaching"
        volume.updated_at = self._store.clock.now()

    def _front_end(self, volume: Volume) -> dict[str, str] | None:
        """Return what a volume's type asks of hosts in quality of service."""
        specs = self._store.qos.get(self._store.types[volume.type_id].qos_specs_id or "")
        return None if specs is None or specs.consumer == "back-end" else dict(specs.specs)

    def _forget(self, volume: Volume, attachment: Attachment) -> None:
        self._store.remove_attachment(attachment)
        self._settle(volume)

    def _settle(self, volume: Volume) -> None:
        """Give a volume the status that its remaining attachments call for."""
        there = {attachment.status for attachment in self._store.attachments_of(volume.id)}
        volume.attach_status = next((status for status in PRECEDENCE if status in there), "detached")
        volume.status = {"attached": "in-use", "detached": "available"}.get(volume.attach_status, volume.attach_status)
        volume.updated_at = self._store.clock.now()

    def _refuse_theft(self, attachment: Attachment | None, service: bool) -> None:
        # CVE-2023-2088: a device left behind on the compute host would show the next owner's data.
        if service or attachment is None or attachment.instance_id is None or not attachment.connection_info:
            return
        if self._server_volumes is not None:
            held = self._server_volumes(attachment.instance_id, attachment.volume_id)
            if held != attachment.id:
                return
        raise attachment_in_use(attachment.instance_id)


def _missing_host() -> str:
    return "Connector doesn't have required information: host"


def _connection_info(volume: Volume, mode: str, qos: dict[str, str] | None) -> dict[str, Any]:
    return {
        "driver_volume_type": "fake",
        "volume_id": volume.id,
        # Stable for a volume, as the identifiers that storage arrays give are.
        "target_lun": 1,
        "target_wwn": uuid.uuid5(uuid.NAMESPACE_URL, f"volume:{volume.id}").hex[:16],
        "access_mode": mode,
        "encrypted": volume.encryption_key_id is not None,
        "qos_specs": qos,
        "cacheable": False,
        "enforce_multipath": False,
    }
