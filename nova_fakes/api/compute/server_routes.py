"""/servers: create, list, show, change, delete; their metadata, tags, addresses, topology and diagnostics."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from nova_fakes.api.compute import guests, interfaces, views, volumes
from nova_fakes.api.compute.creation import create_servers
from nova_fakes.api.compute.power import require_unlocked
from nova_fakes.api.compute.records import Server
from nova_fakes.api.compute.routing import Answer, Request, Route
from nova_fakes.api.compute.schema import MANY, METADATA, NUMBERS, TAG, TIMES, boolean, objects, wrapped
from nova_fakes.api.compute.server_schema import TAG_LIMIT, create_schema, update_schema
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["ROUTES"]

#: Filters that everybody may use; administrators have more.
_FILTERS = (
    "reservation_id", "name", "status", "image", "flavor", "ip", "ip6", "changes-since", "changes-before",
    "all_tenants", "tags", "tags-any", "not-tags", "not-tags-any", "locked", "availability_zone", "config_drive",
    "key_name", "created_at", "launched_at", "terminated_at", "power_state", "task_state", "vm_state", "progress",
    "user_id",
)  # fmt: skip
_ADMIN_FILTERS = (
    "host", "node", "tenant_id", "project_id", "deleted", "uuid", "hostname", "display_name", "description",
    "launch_index", "access_ip_v4", "access_ip_v6", "root_device_name", "auto_disk_config", "kernel_id", "ramdisk_id",
    "soft_deleted", "image_ref", "display_description", "locked_by",
    # Taken, and looked at by nobody.
    "block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices",
)  # fmt: skip
#: Filters that are regular expressions.
_PATTERNS = (
    "kernel_id", "ramdisk_id", "hostname", "key_name", "power_state", "node", "flavor", "reservation_id", "launched_at",
    "terminated_at", "availability_zone", "name", "display_name", "description", "display_description", "locked_by",
    "root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress", "ip", "ip6",
    "created_at", "tags", "tags-any", "not-tags", "not-tags-any",
)  # fmt: skip
_ATTRIBUTES = {
    "key_name": "key_name",
    "reservation_id": "reservation_id",
    "hostname": "hostname",
    "node": "host",
    "availability_zone": "zone",
    "description": "description",
    "display_description": "description",
    "access_ip_v4": "access_ipv4",
    "access_ip_v6": "access_ipv6",
    "locked_by": "locked_by",
}
_PAGING = ("limit", "marker", "sort_key", "sort_dir")
_TAG_FILTERS: dict[str, Callable[[set[str], set[str]], bool]] = {
    "tags": lambda have, want: want <= have,
    "tags-any": lambda have, want: bool(want & have),
    "not-tags": lambda have, want: not want <= have,
    "not-tags-any": lambda have, want: not want & have,
}
_SORTABLE: dict[str, Callable[[Server], Any]] = {
    "created_at": lambda one: (one.created_at, one.number),
    "updated_at": lambda one: one.updated_at,
    "display_name": lambda one: one.name,
    "name": lambda one: one.name,
    "uuid": lambda one: one.id,
    "id": lambda one: one.number,
    "host": lambda one: one.host or "",
    "vm_state": lambda one: one.vm_state,
    "task_state": lambda one: one.task_state or "",
    "launched_at": lambda one: one.launched_at or 0.0,
    "image_ref": lambda one: one.image_id or "",
    "instance_type_id": lambda one: one.flavor.id,
    "key_name": lambda one: one.key_name or "",
    "project_id": lambda one: one.project_id,
    "user_id": lambda one: one.user_id,
}
_IGNORED_KEYS = frozenset(
    [
        "access_ip_v4",
        "access_ip_v6",
        "architecture",
        "auto_disk_config",
        "availability_zone",
        "cell_name",
        "cleaned",
        "config_drive",
        "created_at",
        "default_ephemeral_device",
        "default_swap_device",
        "deleted",
        "deleted_at",
        "disable_terminate",
        "display_description",
        "ephemeral_gb",
        "ephemeral_key_uuid",
        "hidden",
        "hostname",
        "info_cache",
        "instance_uuid",
        "internal_id",
        "kernel_id",
        "launch_index",
        "launched_on",
        "locked",
        "locked_by",
        "memory_mb",
        "node",
        "os_type",
        "power_state",
        "progress",
        "ramdisk_id",
        "reservation_id",
        "root_device_name",
        "root_gb",
        "services",
        "shutdown_terminate",
        "system_metadata",
        "terminated_at",
        "user_data",
        "vcpus",
        "vm_mode",
    ]
)


def _list_query(version: Version) -> dict[str, Any]:
    properties: dict[str, Any] = dict.fromkeys((*_FILTERS, *_ADMIN_FILTERS, "sort_key", "marker"), MANY)
    properties["limit"] = NUMBERS
    pattern = {"type": "array", "items": {"type": "string", "format": "regex"}}
    properties |= dict.fromkeys(_PATTERNS, pattern)
    properties["changes-since"] = TIMES
    if version >= (2, 66):
        properties["changes-before"] = TIMES
    known = sorted({*_SORTABLE, *_IGNORED_KEYS})
    properties["sort_key"] = {"type": "array", "items": {"type": "string", "enum": known}}
    properties["sort_dir"] = MANY
    return dict(objects(properties, more=version < (2, 75)))


def _index(request: Request) -> dict[str, Any]:
    return _list(request, lambda asked, page: [views.basic(asked, one) for one in page], "servers")


def _detail(request: Request) -> dict[str, Any]:
    return _list(request, views.listed, "servers/detail")


def _list(
    request: Request, view: Callable[[Request, Sequence[Server]], list[dict[str, Any]]], path: str
) -> dict[str, Any]:
    found = _select(request)
    if found is None:
        return {"servers": []}
    page, more = request.page(_sorted(request, found), lambda one: str(one.id))
    body: dict[str, Any] = {"servers": view(request, page)}
    if more and page:
        body["servers_links"] = request.next_links(path, page[-1].id)
    return body


def _select(request: Request) -> list[Server] | None:
    """Return the servers that the filters leave; None where a status is none."""
    admin = request.token.is_admin
    filters = {name: values for name, values in request.query.items() if name not in _PAGING}
    if not admin:
        allowed = {"reservation_id", "name", "status", "image", "flavor", "ip", "ip6", "changes-since", "all_tenants"}
        allowed |= {"changes-before"} if request.since(66) else set()
        allowed |= set(_TAG_FILTERS) if request.since(26) else set()
        allowed |= {"locked"} if request.since(73) else set()
        allowed |= {"availability_zone", "config_drive", "key_name", "user_id"} if request.since(83) else set()
        filters = {name: values for name, values in filters.items() if name in allowed}
    everywhere = boolean(filters.pop("all_tenants", ["0"])[0] or "1")
    if everywhere:
        request.require_admin(f"servers:{'detail' if request.path.endswith('detail') else 'index'}:get_all_tenants")
    else:
        filters.pop("tenant_id", None)
        filters.pop("project_id", None)
    deleted = boolean(filters.pop("deleted", ["0"])[0])
    changes = [name for name in ("changes-since", "changes-before") if filters.pop(name, None)]
    since, before = request.moments() if changes else (-math.inf, math.inf)
    states = _states(request, filters.pop("status", None))
    if states is not None and not states:
        return None
    if states == {"DELETED"}:
        if not admin:
            raise ApiError(403, "Only administrators may list deleted instances")
        deleted = True
    return [
        one
        for one in request.service.servers.values()
        if (everywhere or one.project_id == request.project_id)
        and (changes or one.deleted is deleted)
        and since <= one.updated_at <= before
        and (states is None or views.status(one) in states)
        and all(_matches(one, name, values) for name, values in filters.items())
    ]


def _states(request: Request, asked: Any) -> set[str] | None:
    if asked is None:
        return None
    known = {
        "ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT", "REBUILD",
        "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED", "SUSPENDED",
        "UNKNOWN", "VERIFY_RESIZE",
    }  # fmt: skip
    found = {word.upper() for word in asked} & known
    if not found and request.since(38):
        raise ApiError(400, "Invalid status value")
    return found


def _matches(server: Server, name: str, values: Any) -> bool:
    value: str = values[-1]
    if name in _TAG_FILTERS:
        return _TAG_FILTERS[name](set(server.tags), set(value.split(",")))
    if name in ("name", "display_name"):
        return _found(value, server.name)
    if name in ("ip", "ip6"):
        kind = 4 if name == "ip" else 6
        rows = [row for several in views.addresses(server).values() for row in several]
        return any(row["version"] == kind and _found(value, row["addr"]) for row in rows)
    if name == "locked":
        return (server.locked_by is not None) == boolean(value)
    if name == "config_drive":
        return server.config_drive == boolean(value)
    if name == "flavor":
        return server.flavor.id == value
    if name in ("image", "image_ref"):
        return server.image_id == value
    if name in ("tenant_id", "project_id"):
        return server.project_id == value
    if name in ("uuid", "host", "user_id", "vm_state", "task_state"):
        return str(getattr(server, "id" if name == "uuid" else name) or "") == value
    if name in _ATTRIBUTES:
        return _found(value, str(getattr(server, _ATTRIBUTES[name]) or ""))
    return True


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _sorted(request: Request, rows: list[Server]) -> list[Server]:
    keys = list(request.query.get("sort_key", ())) or ["created_at"]
    directions = list(request.query.get("sort_dir", ()))
    for index in reversed(range(len(keys))):
        key = _SORTABLE.get(keys[index])
        if key is None:
            continue  # nova ignores some
        down = (directions[index] if index < len(directions) else "desc") == "desc"
        rows = sorted(rows, key=key, reverse=down)
    return rows


def _show(request: Request, server_id: str) -> dict[str, Any]:
    return {"server": views.detailed(request, request.service.server(request.token, server_id))}


def _update(request: Request, server_id: str) -> dict[str, Any]:
    request.require_member("servers:update")
    server = request.service.server(request.token, server_id)
    asked = request.body["server"]
    for name, attribute in (
        ("name", "name"),
        ("description", "description"),
        ("OS-DCF:diskConfig", "disk_config"),
        ("accessIPv4", "access_ipv4"),
        ("accessIPv6", "access_ipv6"),
        ("hostname", "hostname"),
    ):
        if name in asked:
            setattr(server, attribute, asked[name])
    server.updated_at = request.service.now
    return {"server": views.changed(request, server)}


def delete(request: Request, server_id: str) -> None:
    """Delete a server with its guest, ports and volumes; the administrator sees its record for good."""
    request.require_member("servers:delete")
    service = request.service
    server = service.server(request.token, server_id)
    require_unlocked(request, server)
    action = service.begin(request, server, "delete", "compute_terminate_instance")
    try:
        guests.remove(service, server)
    except NovaFakesError as error:
        server.vm_state = "error"
        service.fail(server, error, action)
        return
    for migration in service.migrations:
        if migration.server_id == server.id and migration.status == "finished":
            migration.status = "confirmed"
    interfaces.release(service, server)
    volumes.release(service, server)
    server.deleted, server.vm_state, server.task_state = True, "deleted", None
    server.terminated_at = server.updated_at = action.updated_at = service.now
    server.host = None


def _metadata(request: Request, server_id: str) -> dict[str, Any]:
    return {"metadata": request.service.server(request.token, server_id).metadata}


def _set_metadata(request: Request, server_id: str) -> dict[str, Any]:
    return _change_metadata(request, server_id, request.body["metadata"], keep=False)


def _add_metadata(request: Request, server_id: str) -> dict[str, Any]:
    return _change_metadata(request, server_id, request.body["metadata"], keep=True)


def _change_metadata(request: Request, server_id: str, values: dict[str, str], *, keep: bool) -> dict[str, Any]:
    request.require_member("server-metadata:update")
    server = request.service.server(request.token, server_id)
    require_unlocked(request, server)
    new = {**(server.metadata if keep else {}), **values}
    request.service.quotas.check(
        server.project_id, "metadata_items", len(new), "Maximum number of metadata items exceeds the limit."
    )
    server.metadata, server.updated_at = new, request.service.now
    return {"metadata": new}


def _show_item(request: Request, server_id: str, key: str) -> dict[str, Any]:
    metadata = request.service.server(request.token, server_id).metadata
    if key not in metadata:
        raise ApiError(404, "Metadata item was not found")
    return {"meta": {key: metadata[key]}}


def _set_item(request: Request, server_id: str, key: str) -> dict[str, Any]:
    values = request.body["meta"]
    if key not in values:
        raise ApiError(400, "Request body and URI mismatch")
    _change_metadata(request, server_id, values, keep=True)
    return {"meta": values}


def _delete_item(request: Request, server_id: str, key: str) -> None:
    _show_item(request, server_id, key)
    metadata = request.service.server(request.token, server_id).metadata
    _change_metadata(request, server_id, {name: metadata[name] for name in metadata if name != key}, keep=False)


def _tags(request: Request, server_id: str) -> dict[str, Any]:
    return {"tags": request.service.server(request.token, server_id).tags}


def _tagged(request: Request, server_id: str) -> Server:
    request.require_member("os-server-tags:update")
    return request.service.server(request.token, server_id)


def _set_tags(request: Request, server_id: str) -> dict[str, Any]:
    server = _tagged(request, server_id)
    server.tags = sorted(set(request.body["tags"]))
    return {"tags": server.tags}


def _clear_tags(request: Request, server_id: str) -> None:
    _tagged(request, server_id).tags = []


def _show_tag(request: Request, server_id: str, tag: str) -> None:
    if tag not in request.service.server(request.token, server_id).tags:
        raise ApiError(404, f"Server {server_id} has no tag '{tag}'")


def _add_tag(request: Request, server_id: str, tag: str) -> Answer:
    server = _tagged(request, server_id)
    if not tag or len(tag) > 60 or "," in tag or "/" in tag:
        raise ApiError(400, f"Tag '{tag}' is invalid. It must be a non empty string without characters '/' and ','.")
    if tag in server.tags:
        return Answer(status=204)
    if len(server.tags) >= TAG_LIMIT:
        raise ApiError(400, f"The number of tags exceeded the per-server limit {TAG_LIMIT}")
    server.tags = sorted([*server.tags, tag])
    return Answer(status=201, headers={"Location": f"{request.base}/v2.1/servers/{server_id}/tags/{tag}"})


def _remove_tag(request: Request, server_id: str, tag: str) -> None:
    server = _tagged(request, server_id)
    _show_tag(request, server_id, tag)
    server.tags = [one for one in server.tags if one != tag]


def _ips(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    interfaces.refresh(request.service, server)
    return {"addresses": views.addresses(server)}


def _network_ips(request: Request, server_id: str, label: str) -> dict[str, Any]:
    found = _ips(request, server_id)["addresses"]
    if label not in found:
        raise ApiError(404, "Instance is not a member of specified network")
    return {label: found[label]}


def _topology(request: Request, server_id: str) -> dict[str, Any]:
    request.service.server(request.token, server_id)
    # Cells and pinned processors need nova's fitting, which is not here: no server has any.
    body: dict[str, Any] = {"nodes": []}
    if request.token.is_admin:
        body["pagesize_kb"] = None
    return body


_TAGS = objects({"tags": {"type": "array", "items": TAG, "maxItems": TAG_LIMIT}}, ("tags",))
_SERVER, _META, _TAG = "/servers/<server_id>", "/servers/<server_id>/metadata", "/servers/<server_id>/tags"

ROUTES = (
    Route("GET", "/servers", _index, query=_list_query, errors=(403,)),
    Route("GET", "/servers/detail", _detail, query=_list_query, errors=(403,)),
    Route("POST", "/servers", create_servers, 202, create_schema, errors=(403, 409, 503)),
    Route("GET", _SERVER, _show),
    Route("PUT", _SERVER, _update, body=update_schema),
    Route("DELETE", _SERVER, delete, 204, errors=(403, 404, 409)),
    Route("GET", _META, _metadata),
    Route("PUT", _META, _set_metadata, body=lambda _: wrapped("metadata", METADATA), errors=(403, 404, 409)),
    Route("POST", _META, _add_metadata, body=lambda _: wrapped("metadata", METADATA), errors=(403, 404, 409)),
    Route("GET", f"{_META}/<key>", _show_item),
    Route(
        "PUT",
        f"{_META}/<key>",
        _set_item,
        body=lambda _: wrapped("meta", {**METADATA, "minProperties": 1, "maxProperties": 1}),
        errors=(403, 404, 409),
    ),
    Route("DELETE", f"{_META}/<key>", _delete_item, 204, errors=(403, 404, 409)),
    Route("GET", _TAG, _tags, since=(2, 26)),
    Route("PUT", _TAG, _set_tags, body=lambda _: _TAGS, since=(2, 26)),
    Route("DELETE", _TAG, _clear_tags, 204, since=(2, 26)),
    Route("GET", f"{_TAG}/<tag>", _show_tag, 204, since=(2, 26)),
    Route("PUT", f"{_TAG}/<tag>", _add_tag, 201, since=(2, 26)),
    Route("DELETE", f"{_TAG}/<tag>", _remove_tag, 204, since=(2, 26)),
    Route("GET", f"{_SERVER}/ips", _ips),
    Route("GET", f"{_SERVER}/ips/<label>", _network_ips),
    Route("GET", f"{_SERVER}/topology", _topology, since=(2, 78)),
)
