"""Messages that tell users what became of that which failed after their request was accepted."""

from __future__ import annotations

from enum import Enum

from nova_fakes.api.auth import Token
from nova_fakes.api.volume.records import Message
from nova_fakes.api.volume.refusals import not_found
from nova_fakes.api.volume.store import Store
from nova_fakes.api.wsgi import request_id

__all__ = ["Event", "Messages", "tell"]

#: How long a message is kept at least (message_ttl).
LIFETIME_S = 30 * 24 * 3600.0


class Event(Enum):
    """What failed, and how: kind of the resource, action and detail with the numbers that Cinder gives them."""

    NO_BACKEND = (
        "VOLUME",
        ("001", "schedule allocate volume"),
        ("003", "Could not find any available weighted backend."),
    )
    NOT_CREATED = (
        "VOLUME",
        ("008", "create volume from backend storage"),
        ("012", "Driver failed to create the volume."),
    )
    NOT_UPLOADED = (
        "VOLUME",
        ("003", "copy volume to image"),
        ("004", "Failed to upload volume to image at backend."),
    )
    NOT_CONNECTED = ("VOLUME", ("004", "update attachment"), ("001", "An unknown error occurred."))
    NOT_EXTENDED = ("VOLUME", ("007", "extend volume"), ("010", "Volume Driver failed to extend volume."))
    NOT_REIMAGED = ("VOLUME", ("016", "reimage volume"), ("028", "Compute service failed to reimage volume."))
    NO_SNAPSHOT = ("VOLUME_SNAPSHOT", ("009", "create snapshot"), ("013", "Snapshot failed to create."))
    SNAPSHOT_STAYS = ("VOLUME_SNAPSHOT", ("010", "delete snapshot"), ("016", "Snapshot failed to delete."))
    NO_BACKUP = ("VOLUME_BACKUP", ("013", "create backup"), ("020", "Backup driver failed to create backup."))
    NO_BACKUP_SERVICE = (
        "VOLUME_BACKUP",
        ("013", "create backup"),
        ("024", "Backup failed to schedule. Service not found for creating backup."),
    )
    NOT_RESTORED = ("VOLUME_BACKUP", ("015", "restore backup"), ("026", "Backup driver failed to restore backup."))


def tell(store: Store, event: Event, project_id: str, resource_id: str) -> None:
    """Leave a message for a project.

    Args:
        store: the records; the caller holds its lock.
        event: what failed.
        project_id: who is told.
        resource_id: of the volume, snapshot or backup.
    """
    kind, action, detail = event.value
    now = store.clock.now()
    message = Message(
        id=store.new_id(),
        project_id=project_id,
        event_id=f"VOLUME_{kind}_{action[0]}_{detail[0]}",
        text=f"{action[1]}:{detail[1]}",
        resource_type=kind,
        resource_id=resource_id,
        created_at=now,
        expires_at=now + LIFETIME_S,
        request_id=request_id(),
    )
    store.messages[message.id] = message


class Messages:
    """The messages of one volume service. What is older than a month is gone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, token: Token, message_id: str) -> Message:
        """Return the message; ApiError 404, there is none, or it is another project's."""
        with self._store.lock:
            found = next((one for one in self.visible(token) if one.id == message_id), None)
        if found is None:
            raise not_found("Message", message_id)
        return found

    def visible(self, token: Token) -> list[Message]:
        """Return the project's messages, the newest first; every project's to an administrator."""
        with self._store.lock:
            now = self._store.clock.now()
            for message in [one for one in self._store.messages.values() if one.expires_at <= now]:
                del self._store.messages[message.id]
            every = self._store.messages.values()
            return [one for one in every if token.is_admin or one.project_id == token.project_id][::-1]

    def delete(self, token: Token, message_id: str) -> None:
        """Forget a message; ApiError 404."""
        with self._store.lock:
            del self._store.messages[self.get(token, message_id).id]
