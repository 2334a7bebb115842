"""The volume service's description of itself, at its highest microversion, made from the schemas that it checks by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.openapi import Operation
from nova_fakes.api.volume.backup_routes import ACTIONS as BACKUP_ACTIONS
from nova_fakes.api.volume.group_routes import ACTIONS as GROUP_ACTIONS
from nova_fakes.api.volume.group_snapshot_routes import ACTIONS as GROUP_SNAPSHOT_ACTIONS
from nova_fakes.api.volume.request import MAXIMUM
from nova_fakes.api.volume.schema import BOOLEAN, SCHEMAS
from nova_fakes.api.volume.snapshot_routes import ACTIONS as SNAPSHOT_ACTIONS
from nova_fakes.api.volume.transfer_routes import PREFIXES as TRANSFERS
from nova_fakes.api.volume.type_routes import ACTIONS as TYPE_ACTIONS
from nova_fakes.api.volume.volume_actions import ACTIONS as VOLUME_ACTIONS

__all__ = ["describe"]

PREFIX = "/v3"
#: What any request may be refused with: a bad query or body, no token, no right, nothing there, no such version.
REFUSED = (400, 401, 403, 404, 406)
#: What a request that changes something may be refused with besides: another's change, a quota, the format.
CHANGE_REFUSED = (*REFUSED, 409, 413, 415)
_HEADER: Mapping[str, Any] = {"OpenStack-API-Version": {"type": "string", "enum": ["volume {}.{}".format(*MAXIMUM)]}}
_TEXT: Mapping[str, Any] = {"type": "string"}
_PAGING: Mapping[str, Any] = {
    "limit": {"type": "integer", "minimum": 0},
    "marker": _TEXT,
    "offset": {"type": "integer", "minimum": 0},
    "sort": {"type": "string", "pattern": "^[a-z_]{1,20}(:(asc|desc))?$"},
    "all_tenants": {"type": "boolean"},
    "with_count": {"type": "boolean"},
}
_LISTS: Mapping[str, tuple[str, ...]] = {
    "/volumes": ("name", "status", "metadata", "bootable", "availability_zone", "created_at"),
    "/snapshots": ("name", "status", "volume_id", "created_at"),
    "/backups": ("name", "status", "volume_id"),
    "/messages": ("resource_uuid", "resource_type", "event_id"),
    "/group_types": ("is_public",),
    "/groups": ("name", "list_volume"),
    "/group_snapshots": ("name", "status", "group_id"),
    "/attachments": ("volume_id", "instance_id", "status"),
    "/types": ("is_public",),
    "/qos-specs": ("name", "consumer"),
    **dict.fromkeys(TRANSFERS, ("name", "volume_id")),
}
_SPEC = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string"}}
_CONNECTOR = {"type": "object", "required": ["host"], "properties": {"host": {"type": "string", "minLength": 1}}}

#: Schema of the body, by method and path behind the prefix.
_BODIES: Mapping[tuple[str, str], str] = {
    ("POST", "/volumes"): "volume create strict",
    ("PUT", "/volumes/<volume_id>"): "volume update strict",
    ("POST", "/attachments"): "attachment create mode",
    ("PUT", "/attachments/<attachment_id>"): "attachment update",
    ("POST", "/attachments/<attachment_id>/action"): "os-complete",
    ("POST", "/snapshots"): "snapshot create",
    ("PUT", "/snapshots/<snapshot_id>"): "snapshot update",
    ("POST", "/backups"): "backup create zone",
    ("PUT", "/backups/<backup_id>"): "backup update metadata",
    ("POST", "/backups/import_record"): "backup import",
    ("POST", "/backups/<backup_id>/restore"): "backup restore",
    ("POST", "/types/<type_id>/encryption"): "encryption create",
    ("PUT", "/types/<type_id>/encryption/<encryption_id>"): "encryption update",
    ("PUT", "/default-types/<project>"): "default type",
    ("POST", "/group_types"): "group type create",
    ("PUT", "/group_types/<group_type_id>"): "group type update",
    ("POST", "/group_types/<group_type_id>/group_specs"): "group specs",
    ("PUT", "/group_types/<group_type_id>/group_specs/<key>"): "group spec",
    ("POST", "/groups"): "group create",
    ("POST", "/groups/action"): "group create from source",
    ("PUT", "/groups/<group_id>"): "group update",
    ("POST", "/group_snapshots"): "group snapshot create",
    ("POST", "/types"): "type create",
    ("PUT", "/types/<type_id>"): "type update",
    ("POST", "/types/<type_id>/extra_specs"): "extra specs",
    **{("POST", prefix): "transfer create strict" for prefix in TRANSFERS},
    **{("POST", f"{prefix}/<transfer_id>/accept"): "transfer accept" for prefix in TRANSFERS},
    ("POST", "/qos-specs"): "qos create",
    ("PUT", "/qos-specs/<qos_id>"): "qos update",
    ("PUT", "/qos-specs/<qos_id>/delete_keys"): "qos keys",
    ("PUT", "/os-quota-sets/<project>"): "quota set",
    ("PUT", "/os-services/<action>"): "service",
}
_ACTIONS = {
    "/volumes/<volume_id>/action": VOLUME_ACTIONS,
    "/snapshots/<snapshot_id>/action": SNAPSHOT_ACTIONS,
    "/backups/<backup_id>/action": BACKUP_ACTIONS,
    "/groups/<group_id>/action": GROUP_ACTIONS,
    "/group_snapshots/<group_snapshot_id>/action": GROUP_SNAPSHOT_ACTIONS,
    "/types/<type_id>/action": TYPE_ACTIONS,
}
#: What a request is answered with that is granted, where its method's usual status is not it.
_GRANTED: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("POST", "/volumes"): (202,),
    ("POST", "/snapshots"): (202,),
    ("DELETE", "/volumes/<volume_id>"): (202,),
    ("DELETE", "/snapshots/<snapshot_id>"): (202,),
    ("POST", "/backups"): (202,),
    ("POST", "/backups/import_record"): (201,),
    ("DELETE", "/backups/<backup_id>"): (202,),
    ("POST", "/backups/<backup_id>/restore"): (202,),
    ("POST", "/backups/<backup_id>/action"): (202,),
    ("DELETE", "/types/<type_id>/encryption/<encryption_id>"): (202,),
    ("DELETE", "/default-types/<project>"): (204,),
    ("DELETE", "/messages/<message_id>"): (204,),
    ("POST", "/group_types"): (202,),
    ("DELETE", "/group_types/<group_type_id>"): (202,),
    ("POST", "/group_types/<group_type_id>/group_specs"): (202,),
    ("DELETE", "/group_types/<group_type_id>/group_specs/<key>"): (202,),
    ("POST", "/groups"): (202,),
    ("POST", "/groups/action"): (202,),
    ("PUT", "/groups/<group_id>"): (202,),
    ("POST", "/groups/<group_id>/action"): (202,),
    ("POST", "/group_snapshots"): (202,),
    ("DELETE", "/group_snapshots/<group_snapshot_id>"): (202,),
    ("POST", "/group_snapshots/<group_snapshot_id>/action"): (202,),
    ("DELETE", "/types/<type_id>"): (202,),
    ("DELETE", "/types/<type_id>/extra_specs/<key>"): (202,),
    **{("POST", prefix): (202,) for prefix in TRANSFERS},
    **{("POST", f"{prefix}/<transfer_id>/accept"): (202,) for prefix in TRANSFERS},
    **{("DELETE", f"{prefix}/<transfer_id>"): (202,) for prefix in TRANSFERS},
    ("DELETE", "/qos-specs/<qos_id>"): (202,),
    ("PUT", "/qos-specs/<qos_id>/delete_keys"): (202,),
    **{("GET", f"/qos-specs/<qos_id>/{verb}"): (202,) for verb in ("associate", "disassociate", "disassociate_all")},
    ("POST", "/volumes/<volume_id>/action"): (200, 202),
    ("POST", "/snapshots/<snapshot_id>/action"): (202,),
    ("POST", "/types/<type_id>/action"): (202,),
    ("POST", "/attachments/<attachment_id>/action"): (204,),
}


def describe(method: str, path: str) -> Operation | None:
    """Return what a method on a path takes and answers; None for a path with a project in it, which is as without."""
    if path == "/":
        return Operation((300,))
    if path == PREFIX:
        return Operation((200,))
    if "<project:" in path:
        return None
    path = path.removeprefix(PREFIX)
    refused = REFUSED if method == "GET" else CHANGE_REFUSED
    return Operation(
        (*_GRANTED.get((method, path), (200,)), *refused),
        body=_body(method, path),
        query=_query(path) if method == "GET" else {},
        headers=_HEADER,
    )


def _body(method: str, path: str) -> Mapping[str, Any] | None:
    if method not in ("POST", "PUT"):
        return None
    if path in _ACTIONS:
        return {"anyOf": [_connecting(SCHEMAS[name]) for name in _ACTIONS[path]]}
    last = path.rpartition("/")[2]
    if last == "metadata":
        return SCHEMAS["metadata"]  # type: ignore[no-any-return]
    if last == "<key>" and not path.startswith("/group_types"):
        return SCHEMAS["meta"] if "metadata" in path else _SPEC
    return _connecting(SCHEMAS[_BODIES[method, path]])  # type: ignore[no-any-return]


def _connecting(schema: Any) -> Any:
    """Return a schema in which a connector names its host: without one Cinder answers with 500, in places."""
    if isinstance(schema, Mapping):
        return {key: _CONNECTOR if key == "connector" else _connecting(value) for key, value in schema.items()}
    return [_connecting(one) for one in schema] if isinstance(schema, list) else schema


def _query(path: str) -> Mapping[str, Any]:
    filters = _LISTS.get(path.removesuffix("/detail"))
    if filters is not None:
        return {**dict.fromkeys(filters, _TEXT), **_PAGING}
    if path.endswith("associate"):
        return {"vol_type_id": _TEXT}
    return {"usage": {"type": "string", "enum": BOOLEAN["enum"][1:6]}} if path == "/os-quota-sets/<project>" else {}
