"""Setting an image's attributes: which may be set, to what, and by whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.image.record import CONTAINER_FORMATS, DISK_FORMATS, READ_ONLY, VISIBILITIES, Image
from nova_fakes.exceptions import ApiError

__all__ = ["BASE", "check_formats", "check_size", "patch_operations", "remove", "set_attribute"]

# Attributes with a meaning of their own; everything else is a property, a string with any name.
BASE = frozenset(
    (
        "name",
        "visibility",
        "container_format",
        "disk_format",
        "min_disk",
        "min_ram",
        "protected",
        "os_hidden",
        "tags",
        "owner",
        "id",
    )
)
RESERVED = frozenset(("deleted", "deleted_at", "is_public", "location", "locations", "members", "stores"))
NULLABLE_PROPERTIES = frozenset(("kernel_id", "ramdisk_id"))
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
TEXT_LIMIT = 255
TAGS_LIMIT = 128
PROPERTIES_LIMIT = 128
NUMBER_LIMIT = 2**31 - 1

PATCH_V21 = "application/openstack-images-v2.1-json-patch"
PATCH_V20 = "application/openstack-images-v2.0-json-patch"


def set_attribute(image: Image, name: str, value: object, token: Token, *, new: bool) -> None:
    """Set one attribute or property of an image that may not be known to anyone yet.

    Args:
        image: changed in place.
        name: of the attribute.
        value: as it came in JSON.
        token: whose request it is.
        new: whether the image is being created.

    Raises:
        ApiError: 400, the value is none that the attribute can have; 403, it may not be set, or not by this user.
    """
    if name in READ_ONLY:
        raise ApiError(403, f"Attribute '{name}' is read-only.")
    if name in RESERVED:
        raise ApiError(403, f"Attribute '{name}' is reserved.")
    if name not in BASE:
        _check_text(name, value, nullable=name in NULLABLE_PROPERTIES, limit=65535)
        if name in NULLABLE_PROPERTIES and value is not None and not UUID.fullmatch(str(value)):
            raise _mismatch(f"'{value}' does not match the pattern of an image id", name)
        if len(name) > TEXT_LIMIT:
            raise _mismatch(f"the name '{name[:20]}…' is longer than {TEXT_LIMIT} characters", "property")
        if name not in image.properties and len(image.properties) >= PROPERTIES_LIMIT:
            raise ApiError(413, f"Maximum number of properties ({PROPERTIES_LIMIT}) exceeded for image {image.id}.")
        image.properties[name] = None if value is None else str(value)
        return
    if name == "id":
        if not isinstance(value, str) or not UUID.fullmatch(value):
            raise _mismatch(f"{value!r} is no UUID", "id")
        if not new:
            raise ApiError(403, "Attribute 'id' is read-only.")
    elif name == "owner":
        _check_text(name, value, nullable=True)
        if value != image.owner and not token.is_admin:
            raise ApiError(403, f"You are not permitted to set the owner of an image to '{value}'.")
    elif name == "name":
        _check_text(name, value, nullable=True)
    elif name == "visibility":
        _check_choice(name, value, VISIBILITIES)
        if value == "public" and image.visibility != "public" and not token.is_admin:
            raise ApiError(403, "You are not authorized to complete publicize_image action.")
    elif name in ("container_format", "disk_format"):
        _check_choice(name, value, (None, *(CONTAINER_FORMATS if name[0] == "c" else DISK_FORMATS)))
        if not new and image.status != "queued" and value != getattr(image, name):
            raise ApiError(403, f"Attribute {name} can be only replaced for a queued image.")
    elif name in ("min_disk", "min_ram"):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NUMBER_LIMIT:
            raise _mismatch(f"{value!r} is no integer from 0 to {NUMBER_LIMIT}", name)
    elif name in ("protected", "os_hidden"):
        if not isinstance(value, bool):
            raise _mismatch(f"{value!r} is not of type 'boolean'", name)
    elif name == "tags":
        value = _tags(value)
    setattr(image, name, value)


def remove(image: Image, name: str) -> None:
    """Remove a property from an image.

    Raises:
        ApiError: 403, it is no property but an attribute; 409, the image has no such property.
    """
    if name in READ_ONLY:
        raise ApiError(403, f"Attribute '{name}' is read-only.")
    if name in RESERVED:
        raise ApiError(403, f"Attribute '{name}' is reserved.")
    if name in BASE:
        raise ApiError(403, f"Property {name} may not be removed.")
    if name not in image.properties:
        raise ApiError(409, f"Property {name} does not exist.")
    del image.properties[name]


def patch_operations(body: object, media_type: str) -> list[tuple[str, str, Any]]:
    """Return the (operation, attribute, value) triples of a PATCH body.

    Args:
        body: the JSON document.
        media_type: which of the two forms it has; RFC 6902's with paths of one segment, or the older one.

    Raises:
        ApiError: 400, it is malformed; 415, the type is neither.
    """
    if media_type not in (PATCH_V20, PATCH_V21):
        raise ApiError(
            415,
            f"The request's Content-Type must be one of {PATCH_V20}, {PATCH_V21}; it is '{media_type}'.",
            headers={"Accept-Patch": f"{PATCH_V20}, {PATCH_V21}"},
        )
    if not isinstance(body, list):
        raise ApiError(400, "Request body must be a JSON array of operation objects.")
    return [_operation(change, media_type) for change in body]


def _operation(change: object, media_type: str) -> tuple[str, str, Any]:
    if not isinstance(change, dict):
        raise ApiError(400, "Operations must be JSON objects.")
    operation: Mapping[str, Any] = change
    name: Any
    path: Any
    if media_type == PATCH_V20:
        names = [name for name in ("add", "replace", "remove") if name in operation]
        if len(names) != 1:
            raise ApiError(400, "Operation objects must contain exactly one member of 'add', 'remove' and 'replace'.")
        name, path = names[0], operation[names[0]]
    else:
        name, path = operation.get("op"), operation.get("path")
        if name not in ("add", "replace", "remove"):
            raise ApiError(400, f"Operations must be one of 'add', 'replace' and 'remove', not {name!r}.")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ApiError(400, f"Pointer {path!r} does not start with '/'.")
    if path.endswith("/") or "//" in path:
        raise ApiError(400, f"Pointer {path!r} has an empty token.")
    if re.search(r"~(?![01])", path):
        raise ApiError(400, f"Pointer {path!r} contains '~' that is not part of a recognized escape sequence.")
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]
    if len(tokens) != 1:
        raise ApiError(400, f"Invalid JSON pointer for this resource: '{path}'.")
    if name != "remove" and "value" not in operation:
        raise ApiError(400, f"Operation '{name}' requires a member named 'value'.")
    return name, tokens[0], operation.get("value")


def _check_text(name: str, value: object, *, nullable: bool, limit: int = TEXT_LIMIT) -> None:
    if value is None and nullable:
        return
    if not isinstance(value, str):
        raise _mismatch(f"{value!r} is not of type 'string'", name)
    if len(value) > limit:
        raise _mismatch(f"'{value[:20]}…' is too long, {limit} characters are allowed", name)


def _check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise _mismatch(f"{value!r} is not one of {list(choices)}", name)


def _tags(value: object) -> list[str]:
    if not isinstance(value, list):
        raise _mismatch(f"{value!r} is not of type 'array'", "tags")
    for tag in value:
        _check_text("tags", tag, nullable=False)
    tags = list(dict.fromkeys(value))
    if len(tags) > TAGS_LIMIT:
        raise ApiError(413, f"Maximum number of tags ({TAGS_LIMIT}) exceeded.")
    return tags


def _mismatch(reason: str, name: str) -> ApiError:
    return ApiError(400, f"Provided object does not match schema 'image': {reason} (in '{name}').")


def check_formats(image: Image) -> None:
    """Refuse an image whose formats are not set, as it is to get its bytes; ApiError 400."""
    unset = [name for name in ("disk_format", "container_format") if getattr(image, name) is None]
    if unset:
        raise ApiError(400, f"Properties {', '.join(unset)} must be set prior to saving data.")


def check_size(announced_bytes: int | None, size_bytes: int) -> None:
    """Refuse other bytes than were announced; ApiError 400."""
    if announced_bytes is not None and announced_bytes != size_bytes:
        raise ApiError(400, f"The image's announced size is {announced_bytes} bytes, but {size_bytes} came.")
