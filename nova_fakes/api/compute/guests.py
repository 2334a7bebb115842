"""Servers as guests of the fleet: what they are made from, made and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_fakes.api.auth import Token
from nova_fakes.api.compute.records import Attachment, Flavor, Interface, Server
from nova_fakes.virt.disks import GIB, Volume
from nova_fakes.virt.guest import GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import Nic

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["acting_for", "nic_of", "nics_of", "remove", "spawn", "spec_of", "volume_of", "volumes_of"]


def acting_for(server: Server, now: float) -> Token:
    """Return a token with which compute asks other services on the behalf of a server's project."""
    return Token(
        id="",
        user_id=server.user_id,
        user_name="nova",
        project_id=server.project_id,
        project_name=None,
        domain_id="default",
        roles=("admin", "service"),
        issued_at=now,
        expires_at=now + 60,
    )


def spec_of(server: Server, flavor: Flavor | None = None) -> GuestSpec:
    """Return what a server's guest is made from, in another size where `flavor` is given."""
    size = flavor or server.flavor
    return GuestSpec(
        uuid=server.id,
        name=server.instance_name,
        vcpus=size.vcpus,
        memory_mb=size.memory_mb,
        root_gb=size.root_gb,
        ephemeral_gb=size.ephemeral_gb,
        swap_mb=size.swap_mb,
        image=server.image_id,
        volume_backed=server.volume_backed,
        display_name=server.name,
        project_id=server.project_id,
        hostname=server.hostname or None,
        key_name=server.key_name,
        config_drive=server.config_drive,
        admin_password=server.admin_password,
        files=tuple((path, contents) for path, contents in server.files),
        flavor=size.name,
    )


def nic_of(interface: Interface) -> Nic:
    """Return an interface as its host has it."""
    info: dict[str, Any] = {"id": interface.port_id, "address": interface.mac, "type": "ovs"}
    return Nic(info)


def nics_of(server: Server) -> dict[str, Nic]:
    """Return a server's interfaces as its host has them."""
    return {one.port_id: nic_of(one) for one in server.interfaces}


def volume_of(attachment: Attachment) -> Volume:
    """Return a volume as its server's host has it."""
    info = attachment.connection_info or {"data": {"volume_id": attachment.volume_id}}
    size = None if attachment.size_gb is None else attachment.size_gb * GIB
    return Volume(attachment.device, info, size_bytes=size)


def volumes_of(server: Server) -> list[Volume]:
    """Return a server's volumes as its host has them."""
    return [volume_of(one) for one in server.attachments]


def spawn(service: ComputeService, server: Server, host: Hypervisor, *, power_on: bool = True) -> None:
    """Make a server's guest on a host; NovaFakesError, what `Hypervisor.spawn` raises."""
    host.spawn(spec_of(server), nics_of(server), volumes_of(server), power_on=power_on)
    server.host = host.name
    server.zone = service.hosts.zone(host.name)
    if service.agent is not None:
        for one in server.interfaces:
            service.agent.device_up(one.port_id, host.name)


def remove(service: ComputeService, server: Server, *, keep_disks: bool = False) -> None:
    """Take a server's guest away from its host, and what a resize has left elsewhere; nothing there is no error."""
    from nova_fakes.virt import resize

    for name in dict.fromkeys((server.host, server.old_host)):
        host = service.fleet.hosts.get(name or "")
        if host is None or host.down:
            continue
        if server.id in host.retained:
            resize.confirm(host, server.id)
        host.destroy(server.id, keep_disks=keep_disks)
        if service.agent is not None:
            for one in server.interfaces:
                service.agent.device_down(one.port_id, host.name)
