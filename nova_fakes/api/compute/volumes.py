"""Servers' volumes: attachments of the volume service, made and given up as nova does since microversion 3.44 of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.api.auth import Token
from nova_fakes.api.compute.guests import acting_for, volume_of
from nova_fakes.api.compute.records import Attachment, Server
from nova_fakes.exceptions import ApiError, NovaFakesError

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["attach", "connect", "detach", "disconnect", "release", "reserve", "swap", "volume"]

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def volume(service: ComputeService, token: Token, volume_id: str) -> dict[str, Any]:
    """Return a volume as the volume service shows it to the caller; ApiError 404."""
    if service.neighbours.has("volume"):
        reply = service.neighbours.call(token, "volume", "GET", f"/v3/volumes/{volume_id}", as_service=False)
        if reply.ok:
            found: dict[str, Any] = reply.json()["volume"]
            return found
    raise ApiError(404, f"Volume {volume_id} could not be found.")


def device_for(server: Server, asked: str | None) -> str:
    """Return the device name of another volume; ApiError 409, the one asked for is taken."""
    taken = {one.device for one in server.attachments}
    if not server.volume_backed:
        taken.add(server.root_device)
    if asked:
        name = asked if asked.startswith("/dev/") else f"/dev/{asked}"
        if name in taken:
            raise ApiError(409, f"The supplied device path ({asked}) is in use.")
        return name
    return next(name for name in (f"/dev/vd{letter}" for letter in LETTERS) if name not in taken)


def reserve(
    service: ComputeService,
    server: Server,
    found: Mapping[str, Any],
    *,
    device: str | None = None,
    tag: str | None = None,
    delete_on_termination: bool = False,
    boot: bool = False,
) -> Attachment:
    """Reserve a volume for a server, which has it from now on, unconnected.

    Raises:
        ApiError: 400, it is in use or otherwise not available; 409, the device is taken.
    """
    if any(one.volume_id == found["id"] for one in server.attachments):
        raise ApiError(400, f"Invalid volume: volume {found['id']} already attached to instance {server.id}")
    name = device_for(server, device)
    reply = service.neighbours.call(
        acting_for(server, service.now),
        "volume",
        "POST",
        "/v3/attachments",
        {"attachment": {"volume_uuid": found["id"], "instance_uuid": server.id}},
    )
    if not reply.ok:
        raise ApiError(400, f"Invalid volume: {reply.message}")
    made = Attachment(
        uuid=str(uuid.uuid4()),
        volume_id=found["id"],
        attachment_id=reply.json()["attachment"]["id"],
        device=name,
        tag=tag,
        delete_on_termination=delete_on_termination,
        boot=boot,
        size_gb=found.get("size"),
    )
    server.attachments = [*server.attachments, made]
    return made


def connect(service: ComputeService, server: Server, attachment: Attachment, host: str) -> None:
    """Connect a reserved volume to a host; ApiError as the volume service refuses it."""
    token = acting_for(server, service.now)
    connector = {
        "host": host,
        "initiator": f"iqn.2026-01.org.nova-fakes:{host}",
        "ip": "127.0.0.1",
        "platform": "x86_64",
        "os_type": "linux",
        "multipath": False,
        "mountpoint": attachment.device,
    }
    path = f"/v3/attachments/{attachment.attachment_id}"
    reply = service.neighbours.call(token, "volume", "PUT", path, {"attachment": {"connector": connector}})
    if not reply.ok:
        raise ApiError(reply.status, reply.message)
    info = dict(reply.json()["attachment"].get("connection_info") or {})
    info.pop("attachment_id", None)
    kind = info.pop("driver_volume_type", None)
    # nova keeps the id where every driver leaves room for it.
    data = {**info, "volume_id": attachment.volume_id}
    attachment.connection_info = {"driver_volume_type": kind, "data": data, "serial": attachment.volume_id}
    reply = service.neighbours.call(token, "volume", "POST", f"{path}/action", {"os-complete": None})
    if not reply.ok:
        raise ApiError(reply.status, reply.message)


def attach(service: ComputeService, server: Server, attachment: Attachment) -> None:
    """Connect a reserved volume and attach it to the guest, where the server has one; undone if that fails.

    Raises:
        ApiError, NovaFakesError: why not.
    """
    if server.host is None:
        return
    try:
        connect(service, server, attachment, server.host)
        service.host(server).attach_volume(server.id, volume_of(attachment))
    except NovaFakesError:
        disconnect(service, server, attachment)
        raise


def swap(service: ComputeService, server: Server, old: Attachment, new: Attachment) -> None:
    """Put a reserved volume in the place of one that is moving, and tell the volume service how that ended.

    Raises:
        NovaFakesError: the server has its old volume still.
    """
    host = service.host(server)
    new.device, new.boot = old.device, old.boot
    try:
        connect(service, server, new, host.name)
        host.swap_volume(server.id, volume_of(new))
    except BaseException:
        disconnect(service, server, new)
        _complete_migration(service, server, old, new, failed=True)
        raise
    disconnect(service, server, old)
    new.volume_id = _complete_migration(service, server, old, new, failed=False)
    if new.connection_info is not None:
        info = new.connection_info
        new.connection_info = {
            **info,
            "serial": new.volume_id,
            "data": {**info["data"], "volume_id": new.volume_id},
        }


def _complete_migration(
    service: ComputeService, server: Server, old: Attachment, new: Attachment, *, failed: bool
) -> str:
    """Tell the volume service; return the id that the volume has from then on."""
    reply = service.neighbours.call(
        acting_for(server, service.now),
        "volume",
        "POST",
        f"/v3/volumes/{old.volume_id}/action",
        {"os-migrate_volume_completion": {"new_volume": new.volume_id, "error": failed}},
    )
    if not reply.ok:
        raise ApiError(reply.status, reply.message)
    return str(reply.json()["save_volume_id"])


def detach(service: ComputeService, server: Server, attachment: Attachment) -> None:
    """Detach a volume from the guest, and give it up; NovaFakesError, the hypervisor refuses it."""
    if server.host is not None and not service.host(server).down:
        service.host(server).detach_volume(server.id, attachment.device)
    disconnect(service, server, attachment)


def disconnect(service: ComputeService, server: Server, attachment: Attachment) -> None:
    """Give up an attachment in the volume service."""
    service.neighbours.call(
        acting_for(server, service.now), "volume", "DELETE", f"/v3/attachments/{attachment.attachment_id}"
    )
    server.attachments = [one for one in server.attachments if one is not attachment]


def release(service: ComputeService, server: Server) -> None:
    """Give up all volumes of a server that is being deleted, and delete those that go with it."""
    token = acting_for(server, service.now)
    for one in list(server.attachments):
        disconnect(service, server, one)
        if one.delete_on_termination:
            service.neighbours.call(token, "volume", "DELETE", f"/v3/volumes/{one.volume_id}")
