"""What request bodies have to look like: the constraints of cinder/api/schemas, checked and worded as Cinder does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]

from nova_fakes.exceptions import ApiError

__all__ = ["BOOLEAN", "SCHEMAS", "boolean", "validate"]

UUID = {
    "type": "string",
    "pattern": "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$",
}
OPTIONAL_UUID = {"oneOf": [UUID, {"type": "null"}]}
TEXT = {"type": ["string", "null"], "maxLength": 255}
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
BOOLEAN = {
    "enum": [
        *(True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t"),
        *(False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"),
    ]
}
SIZE = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 1, "maximum": 2**31 - 1}
METADATA = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}
CONNECTOR = {"type": ["object", "null"]}


def _object(properties: Mapping[str, Any], *, required: tuple[str, ...] = (), closed: bool = True, **more: Any) -> Any:
    schema = {"type": "object", "properties": dict(properties), "additionalProperties": not closed, **more}
    return {**schema, "required": list(required)} if required else schema


def _action(name: str, properties: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Return the schema of an action with arguments."""
    return {name: _object({name: _object(properties, **options)}, required=(name,))}


def _bare(name: str) -> dict[str, Any]:
    """Return the schema of an action without arguments, of which Cinder does not care what it carries."""
    return {name: _object({name: {}}, required=(name,))}


_DESCRIBED = {"name": TEXT, "description": TEXT, "display_name": TEXT, "display_description": TEXT}
_ANY_DESCRIBED = [{"required": [name]} for name in _DESCRIBED]
_VOLUME = {
    **_DESCRIBED,
    "volume_type": TEXT,
    "metadata": {**METADATA, "type": ["object", "null"]},
    "snapshot_id": OPTIONAL_UUID,
    "source_volid": OPTIONAL_UUID,
    "consistencygroup_id": OPTIONAL_UUID,
    "size": {**SIZE, "type": ["integer", "string", "null"]},
    "availability_zone": {"type": ["string", "null"], "minLength": 1, "maxLength": 255},
    "multiattach": {"oneOf": [BOOLEAN, {"type": "null"}]},
    "image_id": TEXT,
    "imageRef": TEXT,
}
_HINTS = {"OS-SCH-HNT:scheduler_hints": {"type": ["object", "null"]}}
_ATTACHMENT = {"instance_uuid": UUID, "connector": CONNECTOR, "volume_uuid": UUID}
_TYPE = {"name": NAME, "description": TEXT, "extra_specs": METADATA, "os-volume-type-access:is_public": BOOLEAN}

_TRANSFER = {"volume_id": UUID, "name": TEXT}
_CONSUMER = {"enum": ["front-end", "back-end", "both"]}

_BACKUP = {
    "volume_id": UUID,
    "container": {"type": ["string", "null"], "maxLength": 255},
    "description": TEXT,
    "incremental": BOOLEAN,
    "force": BOOLEAN,
    "name": TEXT,
    "snapshot_id": OPTIONAL_UUID,
}
_BACKUP_IDENTITY = {"id": UUID, "size": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_OPTIONAL_TEXT = {"type": ["string", "null"]}
_BACKUP_VOLUME = {
    **dict.fromkeys(("name", "description", "type_id", "encryption_key_id"), _OPTIONAL_TEXT),
    "metadata": _STRINGS,
    "image_metadata": _STRINGS,
    "bootable": {"type": "boolean"},
}
_BACKUP_RECORD = {
    **_BACKUP_IDENTITY,
    **dict.fromkeys(("display_name", "display_description", "container", "volume_id"), _OPTIONAL_TEXT),
    **dict.fromkeys(("parent_id", "snapshot_id", "encryption_key_id"), _OPTIONAL_TEXT),
    **dict.fromkeys(("created_at", "data_timestamp"), _OPTIONAL_TEXT),
    "object_count": {"type": "integer"},
    "metadata": {**_STRINGS, "type": ["object", "null"]},
    "driver_info": {"type": ["object", "null"], "properties": {"volume": _object(_BACKUP_VOLUME, closed=False)}},
}
_BACKUP_LABELLED = {**_BACKUP, "metadata": {**METADATA, "type": ["object", "null"]}}

_GROUP_TYPE = {"description": TEXT, "is_public": BOOLEAN}
_SPECS = {**METADATA, "type": ["object", "null"]}
_GROUP_SPECS = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:.]{1,255}$": TEXT},
    "additionalProperties": False,
}
_GROUP_CHANGES = {"name": TEXT, "description": TEXT, "add_volumes": TEXT, "remove_volumes": TEXT}

_ENCRYPTION = {
    "key_size": {
        "type": ["string", "integer", "null"],
        "pattern": "^[0-9]+$",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "maxLength": 9,
    },
    "provider": {"type": "string", "maxLength": 255},
    "control_location": {"enum": ["front-end", "back-end"]},
    "cipher": TEXT,
}

SCHEMAS: Mapping[str, Any] = {
    "volume create": _object({"volume": _object(_VOLUME, closed=False), **_HINTS}, required=("volume",)),
    "volume create strict": _object(
        {"volume": _object({**_VOLUME, "group_id": TEXT, "backup_id": OPTIONAL_UUID}), **_HINTS}, required=("volume",)
    ),
    "volume update": _object(
        {"volume": _object({**_DESCRIBED, "metadata": METADATA})},
        required=("volume",),
    ),
    "volume update strict": _object(
        {"volume": _object({**_DESCRIBED, "metadata": METADATA}, anyOf=[*_ANY_DESCRIBED, {"required": ["metadata"]}])},
        required=("volume",),
    ),
    "metadata": _object({"metadata": METADATA}, required=("metadata",)),
    "meta": _object({"meta": METADATA}, required=("meta",)),
    "attachment create": _object(
        {"attachment": _object(_ATTACHMENT, required=("volume_uuid",))}, required=("attachment",)
    ),
    "attachment create mode": _object(
        {"attachment": _object({**_ATTACHMENT, "mode": {"enum": ["rw", "ro"]}}, required=("volume_uuid",))},
        required=("attachment",),
    ),
    "attachment update": _object(
        {"attachment": _object({"connector": {"type": "object", "minProperties": 1}}, required=("connector",))},
        required=("attachment",),
    ),
    "snapshot create": _object(
        {
            "snapshot": _object(
                {
                    "name": TEXT,
                    "display_name": TEXT,
                    "description": TEXT,
                    "volume_id": OPTIONAL_UUID,
                    "force": {"anyOf": [BOOLEAN, {"type": "null"}]},
                    "metadata": {**METADATA, "type": ["object", "null"]},
                },
                required=("volume_id",),
            )
        },
        required=("snapshot",),
    ),
    "snapshot update": _object({"snapshot": _object(_DESCRIBED, anyOf=_ANY_DESCRIBED)}, required=("snapshot",)),
    "backup create": _object({"backup": _object(_BACKUP, required=("volume_id",))}, required=("backup",)),
    "backup create metadata": _object(
        {"backup": _object(_BACKUP_LABELLED, required=("volume_id",))}, required=("backup",)
    ),
    "backup create zone": _object(
        {"backup": _object({**_BACKUP_LABELLED, "availability_zone": TEXT}, required=("volume_id",))},
        required=("backup",),
    ),
    "backup update": _object({"backup": _object({"name": TEXT, "description": TEXT})}, required=("backup",)),
    "backup update metadata": _object(
        {"backup": _object({"name": TEXT, "description": TEXT, "metadata": METADATA})}, required=("backup",)
    ),
    "backup restore": _object(
        {"restore": {**_object({"name": TEXT, "volume_id": OPTIONAL_UUID}), "type": ["object", "null"]}},
        required=("restore",),
    ),
    "backup import": _object(
        {
            "backup-record": _object(
                {
                    "backup_service": {"type": "string", "maxLength": 255},
                    "backup_url": {"type": "string", "minLength": 1},
                },
                required=("backup_service", "backup_url"),
            )
        },
        required=("backup-record",),
    ),
    "backup identity": _object(_BACKUP_IDENTITY),
    "backup record": _object(_BACKUP_RECORD, closed=False),
    "backup status": _object(
        {"os-reset_status": _object({"status": {"type": "string"}}, required=("status",))},
        required=("os-reset_status",),
    ),
    "default type": _object(
        {"default_type": _object({"volume_type": NAME}, required=("volume_type",))}, required=("default_type",)
    ),
    "encryption create": _object(
        {"encryption": _object(_ENCRYPTION, required=("provider", "control_location"), closed=False)},
        required=("encryption",),
    ),
    "encryption update": _object({"encryption": _object(_ENCRYPTION, closed=False)}, required=("encryption",)),
    "group type create": _object(
        {"group_type": _object({**_GROUP_TYPE, "name": NAME, "group_specs": _SPECS}, required=("name",))},
        required=("group_type",),
    ),
    "group type update": _object({"group_type": _object({**_GROUP_TYPE, "name": TEXT})}, required=("group_type",)),
    "group specs": _object({"group_specs": _GROUP_SPECS}, required=("group_specs",)),
    "group spec": {**_GROUP_SPECS, "minProperties": 1, "maxProperties": 1},
    "group create": _object(
        {
            "group": _object(
                {
                    "name": TEXT,
                    "description": TEXT,
                    "group_type": NAME,
                    "volume_types": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "maxLength": 255},
                        "uniqueItems": True,
                    },
                    "availability_zone": TEXT,
                },
                required=("group_type", "volume_types"),
            )
        },
        required=("group",),
    ),
    "group create from source": _object(
        {
            "create-from-src": _object(
                {"name": TEXT, "description": TEXT, "source_group_id": UUID, "group_snapshot_id": UUID},
                oneOf=[{"required": ["group_snapshot_id"]}, {"required": ["source_group_id"]}],
            )
        },
        required=("create-from-src",),
    ),
    "group update": _object(
        {"group": _object(_GROUP_CHANGES, anyOf=[{"required": [name]} for name in _GROUP_CHANGES])},
        required=("group",),
    ),
    "group delete": _object({"delete": _object({"delete-volumes": BOOLEAN})}, required=("delete",)),
    "group status": _object(
        {"reset_status": _object({"status": {"type": "string"}}, required=("status",))}, required=("reset_status",)
    ),
    "group snapshot create": _object(
        {"group_snapshot": _object({"group_id": UUID, "name": TEXT, "description": TEXT}, required=("group_id",))},
        required=("group_snapshot",),
    ),
    "type create": _object({"volume_type": _object(_TYPE, required=("name",))}, required=("volume_type",)),
    "type update": _object(
        {"volume_type": _object({"name": TEXT, "description": TEXT, "is_public": BOOLEAN})}, required=("volume_type",)
    ),
    "extra specs": _object({"extra_specs": METADATA}, required=("extra_specs",)),
    "quota set": _object({"quota_set": {"type": "object"}}, required=("quota_set",)),
    "service": _object(
        {"host": NAME, "binary": NAME, "service": TEXT, "disabled_reason": {**NAME}}, required=("host",)
    ),
    **_bare("os-complete"),
    **_bare("os-reserve"),
    **_bare("os-unreserve"),
    **_bare("os-begin_detaching"),
    **_bare("os-roll_detaching"),
    **_bare("os-force_delete"),
    **_bare("os-show_image_metadata"),
    **_action(
        "os-attach",
        {
            "instance_uuid": UUID,
            "mountpoint": NAME,
            "host_name": {"type": "string", "maxLength": 255},
            "mode": {"enum": ["rw", "ro"]},
        },
        required=("mountpoint",),
        anyOf=[{"required": ["instance_uuid"]}, {"required": ["host_name"]}],
    ),
    "os-detach": _object(
        {"os-detach": {**_object({"attachment_id": OPTIONAL_UUID}), "type": ["object", "null"]}},
        required=("os-detach",),
    ),
    **_action("os-force_detach", {"attachment_id": OPTIONAL_UUID, "connector": CONNECTOR}),
    **_action("os-initialize_connection", {"connector": {"type": "object"}}, required=("connector",), closed=False),
    **_action("os-terminate_connection", {"connector": CONNECTOR}, required=("connector",), closed=False),
    **_action("os-extend", {"new_size": SIZE}, required=("new_size",)),
    **_action(
        "os-reset_status",
        {
            "status": {"type": ["string", "null"]},
            "attach_status": {"type": ["string", "null"]},
            "migration_status": {"type": ["string", "null"]},
        },
    ),
    **_action("os-set_bootable", {"bootable": BOOLEAN}, required=("bootable",), closed=False),
    **_action("os-update_readonly_flag", {"readonly": BOOLEAN}, required=("readonly",), closed=False),
    **_action(
        "os-retype",
        {"new_type": NAME, "migration_policy": {"enum": ["on-demand", "never", None]}},
        required=("new_type",),
    ),
    **_action(
        "os-migrate_volume",
        {
            "host": TEXT,
            "force_host_copy": BOOLEAN,
            "lock_volume": BOOLEAN,
            "cluster": TEXT,
        },
    ),
    **_action(
        "os-migrate_volume_completion",
        {"new_volume": UUID, "error": {"type": ["string", "null", "boolean"]}},
        required=("new_volume",),
    ),
    **_action("os-reimage", {"image_id": UUID, "reimage_reserved": BOOLEAN}, required=("image_id",)),
    **_action(
        "os-volume_upload_image",
        {
            "image_name": NAME,
            "force": BOOLEAN,
            "disk_format": {"enum": ["raw", "vmdk", "vdi", "qcow2", "vhd", "vhdx", "ploop", None]},
            "container_format": TEXT,
            "visibility": {"enum": ["community", "public", "private", "shared"]},
            "protected": BOOLEAN,
        },
        required=("image_name",),
    ),
    **_action("revert", {"snapshot_id": UUID}, required=("snapshot_id",)),
    "transfer create": _object({"transfer": _object(_TRANSFER, required=("volume_id",))}, required=("transfer",)),
    "transfer create strict": _object(
        {"transfer": _object({**_TRANSFER, "no_snapshots": BOOLEAN}, required=("volume_id",))}, required=("transfer",)
    ),
    "transfer accept": _object({"accept": _object({"auth_key": NAME}, required=("auth_key",))}, required=("accept",)),
    "qos create": _object(
        {"qos_specs": {**METADATA, "properties": {"name": NAME, "consumer": _CONSUMER}, "required": ["name"]}},
        required=("qos_specs",),
    ),
    "qos update": _object({"qos_specs": {**METADATA, "properties": {"consumer": _CONSUMER}}}, required=("qos_specs",)),
    "qos keys": _object({"keys": {"type": "array", "items": NAME, "minItems": 1}}, required=("keys",)),
    **_action("os-set_image_metadata", {"metadata": METADATA}, required=("metadata",)),
    **_action("os-unset_image_metadata", {"key": NAME}, required=("key",)),
    **_action(
        "os-update_snapshot_status",
        {"status": {"type": "string"}, "progress": {"type": ["string", "null"]}},
        required=("status",),
    ),
    **_action("addProjectAccess", {"project": NAME}, required=("project",)),
    **_action("removeProjectAccess", {"project": NAME}, required=("project",)),
}


@cache
def _validator(name: str) -> Any:
    return jsonschema.Draft4Validator(SCHEMAS[name])


def validate(name: str, body: Mapping[str, Any]) -> None:
    """Refuse a body that the schema of that name (`SCHEMAS`) does not allow.

    Raises:
        ApiError: 400, naming the field, its value and what is wrong with it.
    """
    error = next(_validator(name).iter_errors(body), None)
    if error is None:
        return
    if error.path:
        raise ApiError(
            400, f"Invalid input for field/attribute {error.path[-1]}. Value: {error.instance}. {error.message}"
        )
    raise ApiError(400, error.message)


def boolean(value: object) -> bool:
    """Return what one of the spellings of a boolean means that the schemas allow."""
    return value is True or str(value).lower() in ("true", "1", "on", "yes", "y", "t")
