"""The demo's first steps: a sandbox, an image, flavors, networks, servers, a floating IP, a volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import StepFailed
from nova_fakes.scenario.diagnostics import diagnostics
from nova_fakes.scenario.leaks import Footprint
from nova_fakes.scenario.stage import DemoServer, Stage

if TYPE_CHECKING:
    from nova_fakes.sandbox.spec import Progress

__all__ = [
    "attach_volume",
    "boot_servers",
    "make_floating_ip",
    "make_image_and_flavors",
    "make_networks",
    "start_sandbox",
]

IMAGE_BYTES = b"A disk image that no hypervisor will ever boot.\n"
SUBNETS = {4: "10.20.0.0/24", 6: "fd20::/64"}
EXTERNAL_SUBNET = "203.0.113.0/24"


def start_sandbox(stage: Stage) -> str:
    """Start the daemon, connect to its APIs, and remember what was on the machine before."""
    from nova_fakes.sandbox.spec import SandboxSpec

    plan = stage.plan
    spec = SandboxSpec(
        state=plan.state,
        hosts=plan.hosts,
        realizer=plan.realizer,
        port=plan.port,
        fallback_null=plan.fallback_null,
    )

    def on_progress(progress: Progress) -> None:
        stage.services.append(progress)
        stage.on_progress(progress)

    stage.enter(stage.sandboxes.up(spec, on_progress))
    return f"{len(stage.status['services'])} services, {len(plan.hosts)} hypervisors, {stage.status['url']}"


def make_image_and_flavors(stage: Stage) -> str:
    """Upload an image, and make the two flavors between which a server is resized."""
    image = stage.cloud.image.create_image(
        name="demo", disk_format="raw", container_format="bare", data=IMAGE_BYTES, validate_checksum=False
    )
    stage.made["image"] = image
    if stage.cloud.image.get_image(image.id).status != "active":
        raise StepFailed(f"image {image.id} is not active after its upload")
    for size, (vcpus, memory_mb, disk_gb) in {"small": (1, 64, 1), "large": (2, 128, 1)}.items():
        stage.made[f"{size} flavor"] = stage.cloud.compute.create_flavor(
            name=f"demo-{size}", vcpus=vcpus, ram=memory_mb, disk=disk_gb
        )
    return f"{len(IMAGE_BYTES)} bytes uploaded; demo-small, demo-large"


def make_networks(stage: Stage) -> str:
    """Make one network with a subnet of each family, an external network, and a router between them."""
    network = stage.cloud.network
    stage.made["network"] = inside = network.create_network(name="demo")
    for family, cidr in SUBNETS.items():
        options = {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"} if family == 6 else {}
        stage.made[f"IPv{family} subnet"] = network.create_subnet(
            name=f"demo-v{family}", network_id=inside.id, ip_version=family, cidr=cidr, **options
        )
    stage.made["external network"] = outside = network.create_network(name="demo-outside", is_router_external=True)
    stage.made["external subnet"] = network.create_subnet(
        name="demo-outside", network_id=outside.id, ip_version=4, cidr=EXTERNAL_SUBNET, enable_dhcp=False
    )
    stage.made["router"] = router = network.create_router(name="demo", external_gateway_info={"network_id": outside.id})
    network.add_interface_to_router(router, subnet_id=stage.made["IPv4 subnet"].id)
    return f"{SUBNETS[4]} and {SUBNETS[6]}, routed to {EXTERNAL_SUBNET}"


def boot_servers(stage: Stage) -> str:
    """Ask for all servers at once, on each host in turn; wait until all are ACTIVE with addresses of both families."""
    begun = stage.clock.monotonic()
    for number in range(1, stage.plan.servers + 1):
        name = f"demo-{number}"
        record = stage.cloud.compute.create_server(
            name=name,
            image_id=stage.made["image"].id,
            flavor_id=stage.made["small flavor"].id,
            networks=[{"uuid": stage.made["network"].id}],
            # Left to the scheduler, all could be on one host, and their pings would show little.
            host=stage.plan.hosts[(number - 1) % len(stage.plan.hosts)],
        )
        stage.servers.append(DemoServer(record.id, name))
    waiting = {server.id: server for server in stage.servers}

    def look() -> bool | None:
        for found in stage.cloud.compute.servers():
            server = waiting.get(found.id)
            if server is not None and _has_booted(server, found):
                server.active_after_s = stage.clock.monotonic() - begun
                _describe(server, found)
                del waiting[server.id]
        return None if waiting else True

    stage.wait_for(f"{stage.plan.servers} servers ACTIVE", look)
    for server in stage.servers:
        _ = (server.address(4), server.address(6))  # each raises where there is none
    stage.footprint = Footprint.take(stage.client, stage.plan.state)
    hosts = sorted({server.host for server in stage.servers})
    first = min(server.active_after_s for server in stage.servers)
    return f"on {', '.join(hosts)}; the first ACTIVE after {first:.2f} s"


def _has_booted(server: DemoServer, found: Any) -> bool:
    if found.status == "ERROR":
        fault = (found.fault or {}).get("message", "nova tells no reason")
        raise StepFailed(f"{server.name} is in ERROR: {fault}")
    return bool(found.status == "ACTIVE" and not found.task_state)


def _describe(server: DemoServer, found: Any) -> None:
    server.host = found.compute_host
    addresses = [entry for entries in found.addresses.values() for entry in entries]
    server.addresses = tuple(entry["addr"] for entry in addresses)
    server.mac = addresses[0]["OS-EXT-IPS-MAC:mac_addr"] if addresses else ""


def make_floating_ip(stage: Stage) -> str:
    """Give a server a floating IP, and see the record in the network service and in nova."""
    server = stage.subject(0)
    fixed = server.address(4)
    port = next(iter(stage.cloud.network.ports(device_id=server.id)))
    stage.made["floating IP"] = record = stage.cloud.network.create_ip(
        floating_network_id=stage.made["external network"].id, port_id=port.id, fixed_ip_address=fixed
    )
    if record.fixed_ip_address != fixed or record.port_id != port.id:
        raise StepFailed(
            f"floating IP {record.floating_ip_address} points to {record.fixed_ip_address}, not to {fixed}"
        )

    def in_nova() -> bool | None:
        entries = stage.cloud.compute.get_server(server.id).addresses["demo"]
        return True if any(entry["addr"] == record.floating_ip_address for entry in entries) else None

    stage.wait_for(f"{record.floating_ip_address} among the addresses of {server.name}", in_nova)
    return f"{record.floating_ip_address} → {server.name} {fixed}"


def attach_volume(stage: Stage) -> str:
    """Make a volume, attach it to a server, and find it there: in both services and in the diagnostics."""
    server = stage.subject(1)
    disks_before = diagnostics(stage, server)["num_disks"]
    stage.made["volume"] = volume = stage.cloud.block_storage.create_volume(name="demo", size=1)
    stage.wait_for("volume available", _volume_is(stage, volume.id, "available"))
    attachment = stage.cloud.compute.create_volume_attachment(server.id, volume_id=volume.id)
    stage.made["attachment"] = (server, volume.id)
    stage.wait_for("volume in-use", _volume_is(stage, volume.id, "in-use"))
    listed = [found.volume_id for found in stage.cloud.compute.volume_attachments(server.id)]
    if volume.id not in listed:
        raise StepFailed(f"nova lists the volumes {listed} at {server.name}, not {volume.id}")
    disks = diagnostics(stage, server)["num_disks"]
    if disks != disks_before + 1:
        raise StepFailed(f"{server.name} had {disks_before} disks and has {disks} after a volume was attached")
    return f"1 GiB at {server.name} as {attachment.device}; {disks_before} → {disks} disks in its diagnostics"


def _volume_is(stage: Stage, volume_id: str, status: str) -> Callable[[], bool | None]:
    def look() -> bool | None:
        found = stage.cloud.block_storage.get_volume(volume_id).status
        if found.startswith("error"):
            raise StepFailed(f"volume {volume_id} is in {found}")
        return True if found == status else None

    return look
