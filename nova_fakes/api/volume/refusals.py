"""What Cinder says when it refuses, with the status it says it with (cinder/exception.py, 2025)."""

from __future__ import annotations

from nova_fakes.exceptions import ApiError

__all__ = [
    "attachment_in_use",
    "attachment_not_found",
    "conflict",
    "invalid_backup",
    "invalid_group",
    "invalid_input",
    "invalid_snapshot",
    "invalid_volume",
    "key_not_found",
    "not_found",
    "one_of",
    "over_quota",
]


def invalid_input(reason: str) -> ApiError:
    """Return the refusal of a value: 400."""
    return ApiError(400, f"Invalid input received: {reason}")


def invalid_volume(reason: str) -> ApiError:
    """Return the refusal of what the volume's state does not allow: 400."""
    return ApiError(400, f"Invalid volume: {reason}")


def invalid_snapshot(reason: str) -> ApiError:
    """Return the refusal of what the snapshot's state does not allow: 400."""
    return ApiError(400, f"Invalid snapshot: {reason}")


def invalid_backup(reason: str) -> ApiError:
    """Return the refusal of what the backup's state does not allow: 400."""
    return ApiError(400, f"Invalid backup: {reason}")


def invalid_group(reason: str) -> ApiError:
    """Return the refusal of what the group's state does not allow: 400."""
    return ApiError(400, f"Invalid Group: {reason}")


def conflict(reason: str) -> ApiError:
    """Return the refusal of what collides with another request's outcome: 409."""
    return ApiError(409, f"Resource conflict: {reason}")


def not_found(kind: str, identifier: str) -> ApiError:
    """Return the 404 of a volume, snapshot, backup, group, type or image."""
    return ApiError(404, f"{kind} {identifier} could not be found.")


def key_not_found(kind: str, identifier: str, key: str) -> ApiError:
    """Return the 404 of a metadata or extra specs key."""
    what = "extra specs" if kind == "Volume Type" else "metadata"
    return ApiError(404, f"{kind} {identifier} has no {what} with key {key}.")


def attachment_not_found(attachment_id: str) -> ApiError:
    """Return the 404 of an attachment."""
    return ApiError(404, f"Volume attachment could not be found with filter: attachment_id = {attachment_id}.")


def attachment_in_use(instance_id: str) -> ApiError:
    """Return the refusal to a user who removes, behind nova's back, what nova has connected: 409."""
    return ApiError(409, f"Detach volume from instance {instance_id} using the Compute API")


def over_quota(message: str) -> ApiError:
    """Return the refusal of what a quota does not leave room for: 413, as Cinder still answers."""
    return ApiError(413, message, headers={"Retry-After": "0"})


def one_of(values: tuple[str, ...]) -> str:
    """Return the values the way Cinder lists states in its messages: "available, in-use or error"."""
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"
