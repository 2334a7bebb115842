"""The driver's methods by which hosts get at volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from cinder import exception

from nova_fakes.volume import errors
from nova_fakes.volume.cinder.base import StoreDriver, is_replicated, translated
from nova_fakes.volume.connections import Portal, connection_info, require_connector
from nova_fakes.volume.records import Attachment

__all__ = ["ConnectionMethods"]

#: For whom all attachments are: Cinder has checked who may have a volume beside whom.
_ANYBODY = "cinder"


class ConnectionMethods(StoreDriver):
    """Export, connect, part."""

    def validate_connector(self, connector: Mapping[str, Any]) -> None:
        """Require what the protocol needs of a host."""
        try:
            require_connector(connector, self._portal)
        except errors.ConnectorRefused as error:
            raise exception.InvalidConnectorException(missing=f"{error.field}: {error.cure}") from error

    @translated
    def create_export(self, context: Any, volume: Any, connector: Mapping[str, Any]) -> dict[str, Any] | None:
        """Put a volume where hosts find it."""
        return self._export(volume)

    @translated
    def ensure_export(self, context: Any, volume: Any) -> dict[str, Any] | None:
        """Put a volume that is in use where hosts find it, after a restart."""
        return self._export(volume)

    def _export(self, volume: Any) -> dict[str, Any] | None:
        if self._portal.protocol != "local":
            return None
        return {"provider_location": str(self.files.publish(volume.name_id))}

    @translated
    def remove_export(self, context: Any, volume: Any) -> None:
        """Take a volume back; one that somebody has in use still, or that is not there, is no error."""
        if volume.name_id in self.store.volumes and not self.store.attachments_of(volume.name_id):
            self.files.withdraw(volume.name_id)

    @translated
    def initialize_connection(
        self, volume: Any, connector: Mapping[str, Any], initiator_data: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Connect a host; return how it gets at the volume."""
        if self._active and not is_replicated(volume):
            raise errors.WrongState(
                f"volume {volume.id} is not replicated and out of reach while {self._active} serves"
            )
        there = self._attachment(volume.name_id, connector)
        if there is not None:
            return cast("dict[str, Any]", there.connection_info)
        attachment = self.store.attach(
            volume.name_id, _ANYBODY, connector=connector, portal=self._portal, place=self._place(volume)
        )
        return cast("dict[str, Any]", attachment.connection_info)

    def _place(self, volume: Any) -> str | None:
        return str(self.files.publish(volume.name_id)) if self._portal.protocol == "local" else None

    @translated
    def terminate_connection(self, volume: Any, connector: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        """Part with a host, or with all where none is named; tell whether another server there has the volume still."""
        if connector is None:
            for attachment in self.store.attachments_of(volume.name_id):
                self.store.detach(attachment.id)
            return False
        host = connector.get("host")
        attachments = volume.volume_attachment or []
        if sum((one.connector or {}).get("host") == host for one in attachments) > 1:
            return True
        there = self._attachment(volume.name_id, connector)
        if there is not None:
            self.store.detach(there.id)
        return False

    def _attachment(self, volume_id: str, connector: Mapping[str, Any]) -> Attachment | None:
        host = connector.get("host")
        return next((one for one in self.store.attachments_of(volume_id) if one.host == host), None)

    @translated
    def create_export_snapshot(self, context: Any, snapshot: Any, connector: Any) -> dict[str, Any]:
        """Put a copy of a snapshot where this machine finds it."""
        return {"provider_location": str(self.files.publish_snapshot(snapshot.id))}

    @translated
    def remove_export_snapshot(self, context: Any, snapshot: Any) -> None:
        """Remove that copy."""
        self.files.withdraw_snapshot(snapshot.id)

    @translated
    def initialize_connection_snapshot(self, snapshot: Any, connector: Any, **kwargs: Any) -> dict[str, Any]:
        """Return how this machine reads a snapshot."""
        path = str(self.files.publish_snapshot(snapshot.id))
        parent = self.store.volume(self.store.snapshot(snapshot.id).volume_id)
        return connection_info(parent, "ro", Portal(protocol="local"), path)

    def terminate_connection_snapshot(self, snapshot: Any, connector: Any, **kwargs: Any) -> None:
        """Do nothing: the copy goes with the export."""

    def secure_file_operations_enabled(self) -> bool:
        """Tell Cinder that it needs no root to open the files."""
        return True
