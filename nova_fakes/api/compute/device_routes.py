"""A server's interfaces and volumes over HTTP: /servers/{id}/os-interface and /servers/{id}/os-volume_attachments."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.compute import guests, interfaces, volumes
from nova_fakes.api.compute.power import require_state, require_unlocked
from nova_fakes.api.compute.records import Attachment, Server
from nova_fakes.api.compute.routing import Request, Route
from nova_fakes.api.compute.schema import BOOLEAN, NUMBERS, TAG, UUID, nullable, objects, wrapped
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError, NovaFakesError

__all__ = ["ROUTES"]

#: States in which volumes can be attached and detached.
_VOLUME_STATES = ("active", "paused", "stopped", "resized", "soft-delete", "shelved", "shelved_offloaded")
_DETACH_STATES = ("active", "paused", "stopped", "suspended", "resized", "soft-delete", "shelved", "shelved_offloaded")
_INTERFACE_STATES = ("active", "paused", "stopped")


def _interface_view(request: Request, server: Server, port: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "net_id": port["network_id"],
        "port_id": port["id"],
        "mac_addr": port["mac_address"],
        "port_state": port["status"],
        "fixed_ips": port["fixed_ips"],
    }
    if request.since(70):
        shown["tag"] = next((one.tag for one in server.interfaces if one.port_id == port["id"]), None)
    return shown


def _list_interfaces(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    found = interfaces.ports(request.service, server)
    return {"interfaceAttachments": [_interface_view(request, server, port) for port in found]}


def _port(request: Request, server: Server, port_id: str) -> dict[str, Any]:
    found = next((port for port in interfaces.ports(request.service, server) if port["id"] == port_id), None)
    if found is None:
        raise ApiError(404, f"Instance {server.id} does not have a port with id {port_id}")
    return found


def _show_interface(request: Request, server_id: str, port_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    return {"interfaceAttachment": _interface_view(request, server, _port(request, server, port_id))}


def _attach_interface(request: Request, server_id: str) -> dict[str, Any]:
    request.require_member("os-attach-interfaces:create")
    service = request.service
    server = service.server(request.token, server_id)
    asked = (request.body or {}).get("interfaceAttachment") or {}
    network_id, port_id = asked.get("net_id"), asked.get("port_id")
    fixed = asked.get("fixed_ips") or []
    if network_id and port_id:
        raise ApiError(400, "Must not input both network_id and port_id")
    if fixed and not network_id:
        raise ApiError(400, "Must input network_id when request IP address")
    require_unlocked(request, server)
    require_state(server, "attach_interface", _INTERFACE_STATES)
    wanted = [{"port": port_id, "uuid": network_id, "fixed_ip": fixed[0]["ip_address"] if fixed else None}]
    (chosen,) = interfaces.validate(service, request.token, wanted if port_id or network_id else None)[:1] or (None,)
    if chosen is None:
        raise ApiError(400, "No Networks found to attach the interface to.")
    one = interfaces.Wanted(chosen.network_id, chosen.port_id, chosen.fixed_ip, asked.get("tag"))
    action = service.begin(request, server, "attach_interface", "compute_attach_interface")
    made = interfaces.attach(service, server, one, server.host)
    host = service.host(server)
    try:
        host.attach_nic(server.id, guests.nic_of(made))
    except NovaFakesError as error:
        interfaces.detach(service, server, made.port_id)
        service.fail(server, error, action)
        raise ApiError(400, "Failed to attach network adapter device to " + server.id) from None
    if service.agent is not None:
        service.agent.device_up(made.port_id, host.name)
    action.updated_at = service.now
    return {"interfaceAttachment": _interface_view(request, server, _port(request, server, made.port_id))}


def _detach_interface(request: Request, server_id: str, port_id: str) -> None:
    request.require_member("os-attach-interfaces:delete")
    service = request.service
    server = service.server(request.token, server_id)
    require_unlocked(request, server)
    require_state(server, "detach_interface", _INTERFACE_STATES)
    if all(one.port_id != port_id for one in server.interfaces):
        raise ApiError(404, f"Port id {port_id} could not be found.")
    action = service.begin(request, server, "detach_interface", "compute_detach_interface")
    try:
        service.host(server).detach_nic(server.id, port_id)
    except NovaFakesError as error:
        service.fail(server, error, action)
        return
    interfaces.detach(service, server, port_id)
    action.updated_at = service.now


def _volume_view(request: Request, server: Server, one: Attachment, *, new: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if new or not request.since(89):
        shown["id"] = one.volume_id
    shown |= {"volumeId": one.volume_id, "serverId": server.id, "device": one.device}
    if request.since(70):
        shown["tag"] = one.tag
    if request.since(79):
        shown["delete_on_termination"] = one.delete_on_termination
    if request.since(89) and not new:
        shown |= {"attachment_id": one.attachment_id, "bdm_uuid": one.uuid}
    return shown


def _list_volumes(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    start = request.number("offset") or 0
    limit = request.number("limit")
    rows = server.attachments[start:][: limit or None]
    return {"volumeAttachments": [_volume_view(request, server, one) for one in rows]}


def _attached(server: Server, volume_id: str) -> Attachment:
    found = next((one for one in server.attachments if one.volume_id == volume_id), None)
    if found is None:
        raise ApiError(404, f"Instance {server.id} is not attached to volume {volume_id}")
    return found


def _show_volume(request: Request, server_id: str, volume_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    return {"volumeAttachment": _volume_view(request, server, _attached(server, volume_id))}


def _attach_volume(request: Request, server_id: str) -> dict[str, Any]:
    request.require_member("os-volumes-attachments:create")
    service = request.service
    server = service.server(request.token, server_id)
    asked = request.body["volumeAttachment"]
    if server.vm_state in ("shelved", "shelved_offloaded") and not request.since(20):
        raise ApiError(409, f"Cannot 'attach_volume' instance {server.id} while it is in vm_state {server.vm_state}")
    require_unlocked(request, server)
    require_state(server, "attach_volume", _VOLUME_STATES)
    found = volumes.volume(service, request.token, asked["volumeId"])
    if found.get("multiattach") and not request.since(60):
        raise ApiError(400, "Multiattach volumes are only supported starting with compute API version 2.60.")
    made = volumes.reserve(
        service,
        server,
        found,
        device=asked.get("device"),
        tag=asked.get("tag"),
        delete_on_termination=asked.get("delete_on_termination") in (True, "True", "true", "1"),
    )
    action = service.begin(request, server, "attach_volume", "compute_attach_volume")
    try:
        volumes.attach(service, server, made)
    except NovaFakesError as error:  # what comes after nova's answer
        service.fail(server, error, action)
        server.fault = None
    action.updated_at = service.now
    return {"volumeAttachment": _volume_view(request, server, made, new=True)}


def _update_volume(request: Request, server_id: str, volume_id: str) -> None:
    service = request.service
    server = service.server(request.token, server_id)
    asked = request.body["volumeAttachment"]
    new_id = asked["volumeId"]
    if new_id == volume_id and request.since(85):
        old = _attached(server, volume_id)
        for name, present in (("device", old.device), ("tag", old.tag), ("serverId", server.id), ("id", volume_id)):
            if name in asked and asked[name] != present:
                raise ApiError(400, f"The {name} property of the attachment cannot be changed.")
        if "delete_on_termination" in asked:
            old.delete_on_termination = asked["delete_on_termination"] in (True, "True", "true", "1")
        return
    if not request.token.is_service:
        raise ApiError(403, "Policy doesn't allow os_compute_api:os-volumes-attachments:swap to be performed.")
    before = volumes.volume(service, request.token, volume_id)
    if not before.get("migration_status"):
        raise ApiError(409, f"volume {volume_id} is not migrating; this API should only be called by Cinder")
    try:
        new = volumes.volume(service, request.token, new_id)
    except ApiError as error:
        raise ApiError(400, error.message) from error
    require_unlocked(request, server)
    require_state(server, "swap_volume", ("active", "paused", "resized"))
    old = _attached(server, volume_id)
    if before.get("size", 0) > new.get("size", 0):
        raise ApiError(400, "Invalid volume: New volume must be the same size or larger.")
    made = volumes.reserve(service, server, new, tag=old.tag, delete_on_termination=old.delete_on_termination)
    action = service.begin(request, server, "swap_volume", "compute_swap_volume")
    try:
        volumes.swap(service, server, old, made)
    except NovaFakesError as error:
        service.fail(server, error, action)
        server.fault = None
    action.updated_at = service.now


def _detach_volume(request: Request, server_id: str, volume_id: str) -> None:
    request.require_member("os-volumes-attachments:delete")
    service = request.service
    server = service.server(request.token, server_id)
    if server.vm_state in ("shelved", "shelved_offloaded") and not request.since(20):
        raise ApiError(409, f"Cannot 'detach_volume' instance {server.id} while it is in vm_state {server.vm_state}")
    volumes.volume(service, request.token, volume_id)
    one = _attached(server, volume_id)
    if one.boot and server.vm_state not in ("stopped", "shelved_offloaded"):
        raise ApiError(403, "Cannot detach a root device volume")
    require_unlocked(request, server)
    require_state(server, "detach_volume", _DETACH_STATES)
    action = service.begin(request, server, "detach_volume", "compute_detach_volume")
    try:
        volumes.detach(service, server, one)
    except NovaFakesError as error:
        service.fail(server, error, action)
        server.fault = None
    action.updated_at = service.now


def _interface_body(version: Version) -> Any:
    address = {
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": objects({"ip_address": {"type": "string", "format": "ip"}}, ("ip_address",)),
    }
    values: dict[str, Any] = {"net_id": UUID, "port_id": UUID, "fixed_ips": address}
    if version >= (2, 49):
        values["tag"] = TAG
    return objects({"interfaceAttachment": objects(values)})


_DEVICE = nullable({"type": "string", "pattern": r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$", "maxLength": 255})


def _volume_body(version: Version) -> Any:
    values: dict[str, Any] = {"volumeId": UUID, "device": _DEVICE}
    if version >= (2, 49):
        values["tag"] = TAG
    if version >= (2, 79):
        values["delete_on_termination"] = BOOLEAN
    return wrapped("volumeAttachment", objects(values, ("volumeId",)))


def _change_body(version: Version) -> Any:
    values: dict[str, Any] = {"volumeId": UUID}
    if version >= (2, 85):
        values |= {"device": _DEVICE, "tag": TAG, "delete_on_termination": BOOLEAN, "serverId": UUID, "id": UUID}
    return wrapped("volumeAttachment", objects(values, ("volumeId",)))


def _volumes_query(version: Version) -> Any:
    return objects({"limit": NUMBERS, "offset": NUMBERS}, more=version < (2, 75))


_INTERFACE, _VOLUME = "/servers/<server_id>/os-interface", "/servers/<server_id>/os-volume_attachments"

ROUTES = (
    Route("GET", _INTERFACE, _list_interfaces),
    Route("POST", _INTERFACE, _attach_interface, body=_interface_body, errors=(403, 404, 409)),
    Route("GET", f"{_INTERFACE}/<port_id>", _show_interface),
    Route("DELETE", f"{_INTERFACE}/<port_id>", _detach_interface, 202, errors=(403, 404, 409)),
    Route("GET", _VOLUME, _list_volumes, query=_volumes_query),
    Route("POST", _VOLUME, _attach_volume, body=_volume_body, errors=(403, 404, 409)),
    Route("GET", f"{_VOLUME}/<volume_id>", _show_volume),
    Route("PUT", f"{_VOLUME}/<volume_id>", _update_volume, 202, _change_body, errors=(403, 404, 409)),
    Route("DELETE", f"{_VOLUME}/<volume_id>", _detach_volume, 202, errors=(403, 404, 409)),
)
