"""POST /servers/{id}/action: the table of actions, and the diagnostics, consoles and records of what was done."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nova_fakes.api.compute import moves, power, security_groups
from nova_fakes.api.compute.diagnostics import described
from nova_fakes.api.compute.records import ActionRecord, Server, host_id, naive_time
from nova_fakes.api.compute.routing import NOT_SUPPORTED, Answer, Request, Route, SchemaOf, by_version
from nova_fakes.api.compute.schema import (
    BOOLEAN,
    FQDN,
    METADATA,
    NAME,
    ONE,
    ONE_NUMBER,
    ONE_TIME,
    PASSWORD,
    SIZE,
    UUID,
    check,
    nullable,
    objects,
    wrapped,
)
from nova_fakes.api.compute.server_routes import delete
from nova_fakes.api.compute.server_schema import DISK_CONFIG, FLAVOR, rebuild_schema
from nova_fakes.api.compute.versions import MAXIMUM, MINIMUM, Version
from nova_fakes.exceptions import ApiError
from nova_fakes.virt.diagnostics import flat

__all__ = ["ACTIONS", "ROUTES", "Action"]


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        work: does it.
        body: schema of the whole body by microversion.
        admin: what nova's policy calls it, where it is the administrator's alone.
        locked: whether a lock keeps it out.
        status: of the answer.
    """

    work: Callable[[Request, Server], Any]
    body: SchemaOf
    admin: str | None = None
    locked: bool = True
    status: int = 202
    since: Version = MINIMUM
    until: Version = MAXIMUM


def _bare(name: str) -> SchemaOf:
    schema = wrapped(name, {})
    return lambda _: schema


def _fixed(schema: Any) -> SchemaOf:
    return lambda _: schema


def _power(name: str, api_name: str, operation: str, allowed: tuple[str, ...], after: str, event: str) -> Action:
    def work(request: Request, server: Server) -> None:
        power.require_state(server, api_name, allowed)
        power.change(request, server, name, operation, after, event)

    return Action(work, _bare(api_name))


def _unrescue(request: Request, server: Server) -> None:
    power.require_state(server, "unrescue", ("rescued",))
    action = request.service.begin(request, server, "unrescue", "compute_unrescue_instance")
    host = request.service.host(server)
    power.perform(request, server, action, lambda: host.unrescue(server.id), "active")


def _lock(request: Request, server: Server) -> None:
    owner = server.project_id == request.project_id
    if server.locked_by is not None and owner:
        return
    reason = (request.body["lock"] or {}).get("locked_reason") if request.since(73) else None
    server.locked_by, server.locked_reason = "owner" if owner else "admin", reason or server.locked_reason
    request.service.begin(request, server, "lock").updated_at = request.service.now


def _unlock(request: Request, server: Server) -> None:
    expected = "owner" if server.project_id == request.project_id else "admin"
    if server.locked_by not in (None, expected) and not request.token.is_admin:
        raise ApiError(
            403, "Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be performed."
        )
    server.locked_by = server.locked_reason = None
    request.service.begin(request, server, "unlock").updated_at = request.service.now


def _crash_dump(request: Request, server: Server) -> None:
    power.require_state(server, "trigger_crash_dump", ("active", "paused", "rescued", "resized", "error"))
    request.service.host(server).guest(server.id, "inject_nmi")
    request.service.begin(request, server, "trigger_crash_dump").updated_at = request.service.now


def _force_delete(request: Request, server: Server) -> None:
    delete(request, server.id)


def _restore(request: Request, server: Server) -> None:
    power.require_state(server, "restore", ("soft-delete",))


def _add_group(request: Request, server: Server) -> None:
    security_groups.add(request.service, request.token, server, request.body["addSecurityGroup"]["name"])


def _remove_group(request: Request, server: Server) -> None:
    security_groups.remove(request.service, request.token, server, request.body["removeSecurityGroup"]["name"])


def _console(kind: str, key: str) -> Callable[[Request, Server], Any]:
    def work(request: Request, server: Server) -> dict[str, Any]:
        console_type = request.body[key]["type"]
        return {"console": {"type": console_type, "url": _console_url(request, server, kind, console_type)}}

    return work


def _console_url(request: Request, server: Server, kind: str, console_type: str) -> str:
    known = {"vnc": "novnc", "spice": "spice-html5", "serial": "serial", "mks": "webmks"}
    if known.get(kind) != console_type:
        raise ApiError(400, f"Unavailable console type {console_type}.")
    power.require_state(server, f"get_{kind}_console", ("active", "paused", "suspended", "rescued", "error", "stopped"))
    where = request.service.host(server).console(server.id, kind)
    scheme = "ws" if kind == "serial" else "http"
    return f"{scheme}://127.0.0.1:{where.port}/?token={where.path}"


_HOST = nullable(FQDN)
_LIVE = {"block_migration": BOOLEAN, "host": _HOST}
_LIVE_AUTO = {"block_migration": {**BOOLEAN, "enum": [*BOOLEAN["enum"], "auto"]}, "host": _HOST}
_EVACUATE = {"host": FQDN, "adminPass": PASSWORD}


def _live_body(version: Version) -> Any:
    values: dict[str, Any] = dict(_LIVE_AUTO if version >= (2, 25) else {**_LIVE, "disk_over_commit": BOOLEAN})
    required = ("block_migration", "host") if version >= (2, 25) else ("block_migration", "disk_over_commit", "host")
    if (2, 30) <= version < (2, 68):
        values["force"] = BOOLEAN
    return wrapped("os-migrateLive", objects(values, required))


def _evacuate_body(version: Version) -> Any:
    if version < (2, 14):
        return wrapped("evacuate", objects({**_EVACUATE, "onSharedStorage": BOOLEAN}, ("onSharedStorage",)))
    values = {**_EVACUATE, "force": BOOLEAN} if (2, 29) <= version < (2, 68) else _EVACUATE
    return wrapped("evacuate", objects(values))


def _unshelve_body(version: Version) -> Any:
    if version < (2, 77):
        return wrapped("unshelve", {})
    if version < (2, 91):
        return wrapped("unshelve", {**objects({"availability_zone": NAME}, ("availability_zone",)), "type": _OBJECT})
    values = {"availability_zone": {"type": ["string", "null"]}, "host": {"type": "string"}}
    return wrapped("unshelve", {**objects(values), "type": _OBJECT})


_OBJECT = ["object", "null"]
_IMAGE = objects({"name": NAME, "metadata": METADATA}, ("name",))
_BACKUP = objects(
    {"name": NAME, "backup_type": {"type": "string"}, "rotation": SIZE, "metadata": METADATA},
    ("name", "backup_type", "rotation"),
)
_RESIZE = objects({"flavorRef": FLAVOR, "OS-DCF:diskConfig": DISK_CONFIG}, ("flavorRef",))
_REBOOT = objects({"type": {"type": "string", "enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, ("type",))
_LOCK = {**objects({"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}}), "type": ["object", "null"]}
_RESCUE = {**objects({"adminPass": PASSWORD, "rescue_image_ref": UUID}), "type": ["object", "null"]}
_LENGTH = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]{1,9}$", "minimum": -1}
_GROUP = objects({"name": {"type": "string", "minLength": 1}}, ("name",))


def _console_body(key: str, *types: str) -> SchemaOf:
    return _fixed(wrapped(key, objects({"type": {"type": "string", "enum": list(types)}}, ("type",))))


def _group_body(key: str) -> SchemaOf:
    return _fixed(objects({key: _GROUP}, (key,), more=True))


ACTIONS: dict[str, Action] = {
    "pause": _power("pause", "pause", "pause", ("active",), "paused", "compute_pause_instance"),
    "unpause": _power("unpause", "unpause", "unpause", ("paused",), "active", "compute_unpause_instance"),
    "suspend": _power("suspend", "suspend", "suspend", ("active",), "suspended", "compute_suspend_instance"),
    "resume": _power("resume", "resume", "resume", ("suspended",), "active", "compute_resume_instance"),
    "os-stop": _power("stop", "os-stop", "power_off", ("active", "error"), "stopped", "compute_stop_instance"),
    "os-start": _power("start", "os-start", "power_on", ("stopped",), "active", "compute_start_instance"),
    "reboot": Action(power.reboot, _fixed(wrapped("reboot", _REBOOT))),
    "rescue": Action(power.rescue, _fixed(wrapped("rescue", _RESCUE)), status=200),
    "unrescue": Action(_unrescue, _bare("unrescue")),
    "rebuild": Action(power.rebuild, rebuild_schema),
    "resize": Action(moves.resize, _fixed(wrapped("resize", _RESIZE))),
    "confirmResize": Action(moves.confirm, _bare("confirmResize"), status=204),
    "revertResize": Action(moves.revert, _bare("revertResize")),
    "migrate": Action(
        moves.migrate,
        by_version(
            (1, wrapped("migrate", {})),
            (56, wrapped("migrate", {**objects({"host": _HOST}), "type": ["object", "null"]})),
        ),
        "os-migrate-server:migrate",
    ),
    "os-migrateLive": Action(moves.live, _live_body, "os-migrate-server:migrate_live"),
    "evacuate": Action(moves.evacuate, _evacuate_body, "os-evacuate", status=200),
    "shelve": Action(moves.shelve, _bare("shelve")),
    "shelveOffload": Action(moves.offload, _bare("shelveOffload"), "os-shelve:shelve_offload"),
    "unshelve": Action(moves.unshelve, _unshelve_body),
    "createImage": Action(power.create_image, _fixed(wrapped("createImage", _IMAGE)), locked=False),
    "createBackup": Action(power.create_backup, _fixed(wrapped("createBackup", _BACKUP)), locked=False),
    "changePassword": Action(
        power.set_password, _fixed(wrapped("changePassword", objects({"adminPass": PASSWORD}, ("adminPass",))))
    ),
    "lock": Action(_lock, by_version((1, wrapped("lock", {})), (73, wrapped("lock", _LOCK))), locked=False),
    "unlock": Action(_unlock, _bare("unlock"), locked=False),
    "forceDelete": Action(_force_delete, _bare("forceDelete")),
    "restore": Action(_restore, _bare("restore")),
    "trigger_crash_dump": Action(_crash_dump, _fixed(wrapped("trigger_crash_dump", {"type": "null"})), since=(2, 17)),
    "os-resetState": Action(
        power.reset_state,
        _fixed(wrapped("os-resetState", objects({"state": {"enum": ["active", "error"]}}, ("state",)))),
        "os-admin-actions:reset_state",
    ),
    "os-getConsoleOutput": Action(
        power.console_output,
        _fixed(wrapped("os-getConsoleOutput", objects({"length": _LENGTH}))),
        locked=False,
        status=200,
    ),
    "os-getVNCConsole": Action(
        _console("vnc", "os-getVNCConsole"),
        _console_body("os-getVNCConsole", "novnc", "xvpvnc"),
        locked=False,
        status=200,
        until=(2, 5),
    ),
    "os-getSPICEConsole": Action(
        _console("spice", "os-getSPICEConsole"),
        _console_body("os-getSPICEConsole", "spice-html5"),
        locked=False,
        status=200,
        until=(2, 5),
    ),
    "os-getSerialConsole": Action(
        _console("serial", "os-getSerialConsole"),
        _console_body("os-getSerialConsole", "serial"),
        locked=False,
        status=200,
        until=(2, 5),
    ),
    "addSecurityGroup": Action(_add_group, _group_body("addSecurityGroup")),
    "removeSecurityGroup": Action(_remove_group, _group_body("removeSecurityGroup")),
}


def _act(request: Request, server_id: str) -> Answer:
    name = next((key for key in request.body if key in ACTIONS), None)
    if name is None:
        asked = next(iter(request.body), "")
        raise ApiError(400, f"There is no such action: {asked}" if asked else "Malformed request body")
    action = ACTIONS[name]
    if not action.since <= request.version <= action.until:
        raise ApiError(404, NOT_SUPPORTED.format("{}.{}".format(*request.version)))
    check(_schema_of(name, request.version), request.body)
    if action.admin is not None:
        request.require_admin(action.admin)
    request.require_member(f"servers:{name}")
    server = request.service.server(request.token, server_id)
    if action.locked:
        power.require_unlocked(request, server)
    result = action.work(request, server)
    if isinstance(result, Answer):
        return Answer(result.body, result.status or action.status, result.headers)
    return Answer(result, action.status)


@functools.lru_cache(maxsize=4096)
def _schema_of(name: str, version: Version) -> Any:
    return ACTIONS[name].body(version)


def _body(version: Version) -> Any:
    """Return the schema of all actions together, as it is published; each is checked by its own."""
    offered = {
        name: one.body(version)["properties"][name]
        for name, one in ACTIONS.items()
        if one.since <= version <= one.until
    }
    return {"type": "object", "minProperties": 1, "properties": offered}


def _diagnostics(request: Request, server_id: str) -> dict[str, Any]:
    request.require_admin("os-server-diagnostics")
    server = request.service.server(request.token, server_id)
    if server.host is None:
        raise ApiError(409, f"Instance {server_id} is not ready")
    if server.vm_state not in ("active", "paused", "stopped", "suspended", "rescued", "resized", "error"):
        raise ApiError(409, f"Cannot 'get_diagnostics' instance {server_id} while it is in vm_state {server.vm_state}")
    found = request.service.host(server).statistics(server.id)
    if not request.since(48):
        return dict(flat(found))
    return described(found, server.config_drive)


def _remote_console(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    asked = request.body["remote_console"]
    url = _console_url(request, server, asked["protocol"], asked["type"])
    return {"remote_console": {"protocol": asked["protocol"], "type": asked["type"], "url": url}}


def _list_actions(request: Request, server_id: str) -> dict[str, Any]:
    service = request.service
    server = service.server(request.token, server_id, deleted=request.since(21))
    rows = service.actions.get(server.id, [])
    if not request.since(58):
        return {"instanceActions": [_action(request, one) for one in rows]}
    since, before = request.moments()
    rows = [one for one in rows if since <= (one.updated_at or one.start_time) <= before]
    page, more = request.page(rows, lambda one: str(one.request_id))
    body: dict[str, Any] = {"instanceActions": [_action(request, one) for one in page]}
    if more and page:
        body["links"] = request.next_links(f"servers/{server.id}/os-instance-actions", page[-1].request_id)
    return body


def _show_action(request: Request, server_id: str, request_id: str) -> dict[str, Any]:
    service = request.service
    server = service.server(request.token, server_id, deleted=request.since(21))
    found = next((one for one in service.actions.get(server.id, []) if one.request_id == request_id), None)
    if found is None:
        raise ApiError(404, f"Action {request_id} not found")
    shown = _action(request, found)
    if request.token.is_admin or request.since(51):
        shown["events"] = [_event(request, server, found)] if found.event else []
    return {"instanceAction": shown}


def _action(request: Request, record: ActionRecord) -> dict[str, Any]:
    shown = {
        "action": record.action,
        "instance_uuid": record.server_id,
        "request_id": record.request_id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "start_time": naive_time(record.start_time),
        "message": record.message,
    }
    if request.since(58):
        shown["updated_at"] = naive_time(record.updated_at or record.start_time)
    return shown


def _event(request: Request, server: Server, record: ActionRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "event": record.event,
        "start_time": naive_time(record.start_time),
        "finish_time": naive_time(record.updated_at),
        "result": record.event_result,
    }
    if request.token.is_admin:
        shown["traceback"] = None
        if request.since(62):
            shown["host"] = record.host
    if request.since(62):
        shown["hostId"] = host_id(record.host, server.project_id)
    if request.since(84) and request.token.is_admin:
        shown["details"] = record.event_details
    return shown


def _console_schema(version: Version) -> Any:
    protocols = ["vnc", "spice", "serial", "rdp", *(["mks"] if version >= (2, 8) else [])]
    types = ["novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5", *(["webmks"] if version >= (2, 8) else [])]
    types += ["spice-direct"] if version >= (2, 99) else []
    properties = {"protocol": {"type": "string", "enum": protocols}, "type": {"type": "string", "enum": types}}
    return wrapped("remote_console", objects(properties, ("protocol", "type")))


def _actions_query(version: Version) -> Any:
    values: dict[str, Any] = {}
    if version >= (2, 58):
        values |= {"limit": ONE_NUMBER, "marker": ONE, "changes-since": ONE_TIME}
    if version >= (2, 66):
        values["changes-before"] = ONE_TIME
    return objects(values, more=version < (2, 58))


_SERVER = "/servers/<server_id>"

ROUTES = (
    Route("POST", f"{_SERVER}/action", _act, 202, _body, errors=(200, 204, 403, 404, 409, 503)),
    Route("GET", f"{_SERVER}/diagnostics", _diagnostics, errors=(403, 404, 409)),
    Route("POST", f"{_SERVER}/remote-consoles", _remote_console, body=_console_schema, since=(2, 6), errors=(404, 409)),
    Route("GET", f"{_SERVER}/os-instance-actions", _list_actions, query=_actions_query),
    Route("GET", f"{_SERVER}/os-instance-actions/<request_id>", _show_action),
)
