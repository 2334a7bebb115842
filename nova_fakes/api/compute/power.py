"""What can be done to a server where it is: power, pause, rescue, rebuild, images of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any

from nova_fakes.api.compute import guests, views
from nova_fakes.api.compute.creation import check_image, image_properties, password
from nova_fakes.api.compute.records import ActionRecord, Server
from nova_fakes.api.compute.routing import Answer, Request
from nova_fakes.exceptions import ApiError, InvalidTransition, NovaFakesError

__all__ = [
    "ALIVE",
    "change",
    "console_output",
    "create_backup",
    "create_image",
    "perform",
    "reboot",
    "rebuild",
    "require_state",
    "require_unlocked",
    "rescue",
    "reset_state",
    "set_password",
    "snapshot",
]

#: States in which a server has a disk that an image can be made of.
ALIVE = ("active", "stopped", "paused", "suspended")
_AFTER_REBUILD = {"active": True, "stopped": False, "error": True}


def require_unlocked(request: Request, server: Server) -> None:
    """Refuse to touch a locked server, unless for an administrator; ApiError 409."""
    if server.locked_by is not None and not request.token.is_admin:
        raise ApiError(409, f"Instance {server.id} is locked")


def require_state(server: Server, action: str, allowed: Collection[str], *, during: Collection[str] = ()) -> None:
    """Refuse an action in the wrong state; ApiError 409 in nova's words.

    Args:
        server: of which.
        action: as the API calls it.
        allowed: the `vm_state`s in which it may be done.
        during: `task_state`s that do not stand in its way.
    """
    if server.vm_state not in allowed:
        raise ApiError(409, f"Cannot '{action}' instance {server.id} while it is in vm_state {server.vm_state}")
    if server.task_state is not None and server.task_state not in during:
        raise ApiError(409, f"Cannot '{action}' instance {server.id} while it is in task_state {server.task_state}")


def perform(request: Request, server: Server, action: ActionRecord, work: Callable[[], Any], after: str | None) -> None:
    """Do what an action is about; the server is in the state `after` then, or in ERROR with the reason.

    What a hypervisor refuses without having changed anything leaves the server as it was.
    """
    service = request.service
    try:
        work()
    except InvalidTransition as error:
        service.fail(server, error, action)
        return
    except NovaFakesError as error:
        service.fail(server, error, action)
        server.vm_state = "error"
        return
    action.updated_at = server.updated_at = service.now
    if after is not None:
        server.vm_state = after
        if after != "error":
            server.fault = None


def change(request: Request, server: Server, name: str, operation: str, after: str, event: str) -> None:
    """Change the power state of a server's guest."""
    host = request.service.host(server)
    action = request.service.begin(request, server, name, event)
    if operation in ("power_on", "resume", "hard_reboot"):
        perform(request, server, action, lambda: host.boot(server.id, operation), after)
    else:
        perform(request, server, action, lambda: host.change(server.id, operation), after)


def reboot(request: Request, server: Server) -> None:
    """Answer the action reboot."""
    kind = request.body["reboot"]["type"].upper()
    if kind == "SOFT":
        require_state(server, "reboot", ("active",))
    else:
        allowed = ("active", "stopped", "paused", "suspended", "error")
        require_state(server, "reboot", allowed, during=("rebooting", "reboot_started", "resuming"))
    operation = "soft_reboot" if kind == "SOFT" else "hard_reboot"
    change(request, server, "reboot", operation, "active", "compute_reboot_instance")


def rescue(request: Request, server: Server) -> dict[str, str]:
    """Answer the action rescue."""
    require_state(server, "rescue", ("active", "stopped", "error"))
    asked = request.body["rescue"] or {}
    image_id = asked.get("rescue_image_ref") or server.image_id
    if server.volume_backed and not request.since(87):
        raise ApiError(400, "Cannot rescue a volume-backed instance")
    if asked.get("rescue_image_ref"):
        request.service.neighbours.image(request.token, str(image_id))
    secret = password(asked.get("adminPass"))
    action = request.service.begin(request, server, "rescue", "compute_rescue_instance")
    host = request.service.host(server)
    perform(request, server, action, lambda: host.rescue(server.id, image_id or "", secret), "rescued")
    return {"adminPass": secret}


def rebuild(request: Request, server: Server) -> Answer:
    """Answer the action rebuild: the same server, with another image on its disk."""
    require_state(server, "rebuild", tuple(_AFTER_REBUILD))
    service, asked = request.service, request.body["rebuild"]
    if server.volume_backed and not request.since(93) and asked["imageRef"] != server.image_id:
        raise ApiError(400, "Unable to rebuild with a different image for a volume-backed server.")
    image = service.neighbours.image(request.token, asked["imageRef"])
    check_image(image, server.flavor, volume_backed=server.volume_backed)
    key_name = asked.get("key_name")
    if key_name is not None and (server.user_id, key_name) not in service.keypairs:
        raise ApiError(400, "Invalid key_name provided.")
    for name, field in (
        ("name", "name"),
        ("description", "description"),
        ("metadata", "metadata"),
        ("user_data", "user_data"),
        ("key_name", "key_name"),
        ("hostname", "hostname"),
        ("trusted_image_certificates", "certificates"),
        ("OS-DCF:diskConfig", "disk_config"),
        ("accessIPv4", "access_ipv4"),
        ("accessIPv6", "access_ipv6"),
    ):
        if name in asked:
            setattr(server, field, asked[name])
    server.image_id, server.image_properties = asked["imageRef"], image_properties(image)
    server.admin_password = password(asked.get("adminPass"))
    running = _AFTER_REBUILD[server.vm_state]
    action = service.begin(request, server, "rebuild", "compute_rebuild_instance")
    host = service.host(server)

    def work() -> None:
        host.destroy(server.id)
        guests.spawn(service, server, host, power_on=running)

    perform(request, server, action, work, "active" if running else "stopped")
    server.launched_at = service.now
    return Answer(
        {"server": views.rebuilt(request, server)}, headers={"Location": f"{request.base}/v2.1/servers/{server.id}"}
    )


def snapshot(request: Request, server: Server, name: str, metadata: dict[str, str]) -> str:
    """Make an image of a server's disk and return its id.

    Raises:
        ApiError: 503, there is no image service; what that refuses.
    """
    service = request.service
    values: dict[str, Any] = {
        "name": name,
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "private",
        "min_disk": server.flavor.root_gb,
        "base_image_ref": server.image_id or "",
        "boot_roles": ",".join(request.token.roles),
        "image_type": "snapshot",
        "instance_uuid": server.id,
        "owner_user_name": request.token.user_name,
        "user_id": request.token.user_id,
        **metadata,
    }
    reply = service.neighbours.call(request.token, "image", "POST", "/v2/images", values, as_service=False)
    if not reply.ok:
        raise ApiError(reply.status, reply.message)
    image_id = str(reply.json()["id"])
    contents = service.host(server).snapshot(server.id)
    reply = service.neighbours.call(
        request.token, "image", "PUT", f"/v2/images/{image_id}/file", data=contents, as_service=False
    )
    if not reply.ok:
        raise ApiError(reply.status, reply.message)
    return image_id


def create_image(request: Request, server: Server) -> Answer:
    """Answer the action createImage."""
    require_state(server, "createImage", ALIVE)
    asked = request.body["createImage"]
    image_id = _image(request, server, "createImage", asked["name"], asked.get("metadata") or {})
    return _image_answer(request, image_id)


def create_backup(request: Request, server: Server) -> Answer:
    """Answer the action createBackup: an image, and fewer older ones of its kind."""
    require_state(server, "createBackup", ALIVE)
    if server.volume_backed:
        raise ApiError(400, "Backup is not supported for volume-backed instances.")
    asked = request.body["createBackup"]
    metadata = {**(asked.get("metadata") or {}), "backup_type": asked["backup_type"], "image_type": "backup"}
    rotation = int(asked["rotation"])
    image_id = _image(request, server, "createBackup", asked["name"], metadata)
    service = request.service
    query = [
        ("instance_uuid", server.id),
        ("backup_type", asked["backup_type"]),
        ("image_type", "backup"),
        ("sort", "created_at:desc"),
    ]
    found = service.neighbours.call(request.token, "image", "GET", "/v2/images", query=query, as_service=False)
    for old in found.json().get("images", [])[rotation:]:
        service.neighbours.call(request.token, "image", "DELETE", f"/v2/images/{old['id']}", as_service=False)
    return _image_answer(request, image_id)


def _image(request: Request, server: Server, name: str, image_name: str, metadata: dict[str, str]) -> str:
    action = request.service.begin(request, server, name, "compute_snapshot_instance")
    try:
        image_id = snapshot(request, server, image_name, metadata)
    except ApiError:
        request.service.actions[server.id].remove(action)
        raise
    except NovaFakesError as error:  # the API has promised an image by then
        request.service.fail(server, error, action)
        return str(uuid.uuid4())
    action.updated_at = request.service.now
    return image_id


def _image_answer(request: Request, image_id: str) -> Answer:
    if request.since(45):
        return Answer({"image_id": image_id})
    return Answer(headers={"Location": f"{request.base}/images/{image_id}"})


def set_password(request: Request, server: Server) -> None:
    """Answer the action changePassword."""
    require_state(server, "changePassword", ("active",))
    secret = request.body["changePassword"]["adminPass"]
    action = request.service.begin(request, server, "changePassword", "compute_set_admin_password")
    host = request.service.host(server)
    perform(request, server, action, lambda: host.set_password(server.id, secret), None)
    server.admin_password = secret


def console_output(request: Request, server: Server) -> dict[str, str]:
    """Answer the action os-getConsoleOutput."""
    asked = request.body["os-getConsoleOutput"].get("length")
    if server.host is None:
        raise ApiError(409, f"Instance {server.id} is not ready")
    text = request.service.host(server).console_log(server.id)
    lines = text.splitlines()
    count = -1 if asked is None else int(asked)
    if count == 0:
        lines = []
    elif count > 0:
        lines = lines[-count:]
    return {"output": "\n".join(lines)}


def reset_state(request: Request, server: Server) -> None:
    """Answer the action os-resetState."""
    server.vm_state = request.body["os-resetState"]["state"]
    server.task_state = None
    server.updated_at = request.service.now
    request.service.begin(request, server, "resetState").updated_at = server.updated_at
