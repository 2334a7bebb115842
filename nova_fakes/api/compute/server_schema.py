"""What a request to create, change or rebuild a server may hold, by microversion (`nova/…/schemas/servers.py`)."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.compute.schema import (
    BOOLEAN,
    DESCRIPTION,
    FQDN,
    HOSTNAME,
    METADATA,
    NAME,
    PASSWORD,
    POSITIVE,
    SIZE,
    TAG,
    TEXT,
    UUID,
    Schema,
    nullable,
    objects,
    wrapped,
)
from nova_fakes.api.compute.versions import Version

__all__ = ["create_schema", "rebuild_schema", "update_schema"]

TAG_LIMIT = 50
CERTIFICATE_LIMIT = 50
DISK_CONFIG: Schema = {"type": "string", "enum": ["AUTO", "MANUAL"]}
ADDRESS: Schema = {"type": "string", "format": "ip"}
ACCESS: dict[str, Schema] = {
    "accessIPv4": {"type": "string", "format": "ipv4"},
    "accessIPv6": {"type": "string", "format": "ipv6"},
}
KEY: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
FLAVOR: Schema = {"type": ["string", "integer"], "minLength": 1}
IMAGE: Schema = {"oneOf": [UUID, {"type": "string", "maxLength": 0}]}
USER_DATA: Schema = {"type": "string", "format": "base64", "maxLength": 65535}
FILES: Schema = {
    "type": "array",
    "items": objects({"path": {"type": "string"}, "contents": {"type": "string", "format": "base64"}}),
}
CERTIFICATES: Schema = {
    "type": ["array", "null"],
    "minItems": 1,
    "maxItems": CERTIFICATE_LIMIT,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 1},
}
HINTS: Schema = {
    "type": "object",
    "properties": {
        "group": {"oneOf": [UUID, {"type": "array", "items": UUID}]},
        "different_host": {"oneOf": [UUID, {"type": "array", "items": UUID}]},
        "same_host": {"type": ["string", "array"], "items": UUID},
        "query": {"type": ["string", "object"]},
        "target_cell": NAME,
        "different_cell": {"type": ["string", "array"], "items": {"type": "string"}},
        "build_near_host_ip": ADDRESS,
        "cidr": {"type": "string", "pattern": "^/[0-9a-f.:]+$"},
    },
    "additionalProperties": True,
}
OLD_DEVICE: dict[str, Any] = {
    "virtual_name": TEXT,
    "volume_id": UUID,
    "snapshot_id": UUID,
    "volume_size": {**SIZE, "minimum": 1},
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN,
    "no_device": {},
    "connection_info": {"type": "string", "maxLength": 16777215},
}
DEVICE: dict[str, Any] = {
    **OLD_DEVICE,
    "source_type": {"type": "string", "enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": UUID,
    "destination_type": {"type": "string", "enum": ["local", "volume"]},
    "guest_format": TEXT,
    "device_type": TEXT,
    "disk_bus": TEXT,
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]{1,9}$"},
}


def create_schema(version: Version) -> Schema:
    """Return the schema of POST /servers."""
    device = dict(DEVICE)
    if version == (2, 32) or version >= (2, 42):
        device["tag"] = TAG
    if version >= (2, 67):
        device["volume_type"] = nullable({"type": "string", "maxLength": 255})
    server: dict[str, Any] = {
        "name": NAME,
        "imageRef": IMAGE,
        "flavorRef": FLAVOR,
        "adminPass": PASSWORD,
        "metadata": METADATA,
        "networks": _networks(version),
        "OS-DCF:diskConfig": DISK_CONFIG,
        **ACCESS,
        "availability_zone": NAME,
        "block_device_mapping": {"type": "array", "items": objects(OLD_DEVICE)},
        "block_device_mapping_v2": {"type": "array", "items": objects(device)},
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": POSITIVE,
        "max_count": POSITIVE,
        "return_reservation_id": BOOLEAN,
        "security_groups": {"type": "array", "items": objects({"name": NAME})},
        "user_data": USER_DATA,
    }
    if version < (2, 57):
        server["personality"] = FILES
    if version >= (2, 19):
        server["description"] = DESCRIPTION
    if version >= (2, 52):
        server["tags"] = {"type": "array", "items": TAG, "maxItems": TAG_LIMIT}
    if version >= (2, 63):
        server["trusted_image_certificates"] = CERTIFICATES
    if version >= (2, 74):
        server |= {"host": FQDN, "hypervisor_hostname": FQDN}
    if version >= (2, 90):
        server["hostname"] = FQDN if version >= (2, 94) else HOSTNAME
    required = ["name", "flavorRef", *(["networks"] if version >= (2, 37) else [])]
    body = {"server": objects(server, required), "os:scheduler_hints": HINTS, "OS-SCH-HNT:scheduler_hints": HINTS}
    return objects(body, ("server",))


def _networks(version: Version) -> Schema:
    network: dict[str, Any] = {
        "fixed_ip": ADDRESS,
        "port": nullable(UUID),
        "uuid": UUID if version >= (2, 37) else {"type": "string"},
    }
    if (2, 32) <= version <= (2, 36) or version >= (2, 42):
        network["tag"] = TAG
    several: Schema = {"type": "array", "items": objects(network)}
    if version < (2, 37):
        return several
    return {"oneOf": [several, {"type": "string", "enum": ["none", "auto"]}]}


def update_schema(version: Version) -> Schema:
    """Return the schema of PUT /servers/{id}."""
    server: dict[str, Any] = {
        "name": NAME,
        "OS-DCF:diskConfig": DISK_CONFIG,
        **ACCESS,
    }
    if version >= (2, 19):
        server["description"] = DESCRIPTION
    if version >= (2, 90):
        server["hostname"] = FQDN if version >= (2, 94) else HOSTNAME
    return wrapped("server", objects(server))


def rebuild_schema(version: Version) -> Schema:
    """Return the schema of the action rebuild."""
    values: dict[str, Any] = {
        "name": NAME,
        "imageRef": UUID,
        "adminPass": PASSWORD,
        "metadata": METADATA,
        "preserve_ephemeral": BOOLEAN,
        "OS-DCF:diskConfig": DISK_CONFIG,
        **ACCESS,
    }
    if version < (2, 57):
        values["personality"] = FILES
    else:
        values["user_data"] = nullable(USER_DATA)
    if version >= (2, 19):
        values["description"] = DESCRIPTION
    if version >= (2, 54):
        values["key_name"] = nullable(KEY)
    if version >= (2, 63):
        values["trusted_image_certificates"] = CERTIFICATES
    if version >= (2, 90):
        values["hostname"] = FQDN if version >= (2, 94) else HOSTNAME
    return wrapped("rebuild", objects(values, ("imageRef",)))
