"""New servers: what a request for some means, checked as nova's API does, and what becomes of it."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nova_fakes.api.compute import guests, interfaces, volumes
from nova_fakes.api.compute.records import Flavor, Server
from nova_fakes.api.compute.routing import Answer, Request
from nova_fakes.api.compute.scheduler import NO_HOST
from nova_fakes.api.compute.schema import boolean
from nova_fakes.exceptions import ApiError, NovaFakesError

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = ["build", "check_image", "create_servers", "flavor_named", "hostname_of", "image_properties", "password"]

PASSWORD_LENGTH = 12
PASSWORD_LETTERS = "23456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
MIB = 1 << 20
GIB = 1 << 30
#: What an image shows of itself, rather than properties of it.
IMAGE_FIELDS = frozenset(
    [
        "id",
        "name",
        "status",
        "visibility",
        "protected",
        "os_hidden",
        "checksum",
        "os_hash_algo",
        "os_hash_value",
        "owner",
        "size",
        "virtual_size",
        "container_format",
        "disk_format",
        "created_at",
        "updated_at",
        "tags",
        "direct_url",
        "min_ram",
        "min_disk",
        "self",
        "file",
        "stores",
        "schema",
        "locations",
    ]
)


def password(asked: str | None) -> str:
    """Return the password that was asked for, or a new one."""
    if asked is not None:
        return asked
    return "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(PASSWORD_LENGTH))


def hostname_of(name: str, server_id: str) -> str:
    """Return a host name made of a server's name (`nova/utils.py`: sanitize_hostname)."""
    text = re.sub(r"[ _.]", "-", name).lower()
    text = re.sub(r"[^\w.-]+", "", text, flags=re.ASCII).strip(".-")[:63]
    return text or f"Server-{server_id}"


def flavor_named(request: Request, reference: object) -> Flavor:
    """Return the flavor that an id or an address ending in one names; ApiError 400."""
    flavor_id = str(reference).rsplit("/", 1)[-1]
    try:
        return request.service.flavors.get(request.token, flavor_id)
    except ApiError:
        raise ApiError(400, f"Flavor {flavor_id} could not be found.") from None


def check_image(image: dict[str, Any] | None, flavor: Flavor, *, volume_backed: bool = False) -> None:
    """Refuse an image that a server of this size cannot boot from; ApiError 400."""
    if image is None:
        return
    if image["status"] != "active":
        raise ApiError(400, f"Image {image['id']} is not active.")
    if flavor.memory_mb < int(image.get("min_ram") or 0):
        raise ApiError(400, "Flavor's memory is too small for requested image.")
    if volume_backed or not flavor.root_gb:
        return
    smallest_gb = int(image.get("min_disk") or 0)
    if int(image.get("size") or 0) > flavor.root_gb * GIB:
        raise ApiError(
            400,
            f"Flavor's disk is too small for requested image. Flavor disk is {flavor.root_gb * GIB} bytes, image is "
            f"{image['size']} bytes.",
        )
    if flavor.root_gb < smallest_gb:
        raise ApiError(
            400,
            f"Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is "
            f"{flavor.root_gb * GIB} bytes, minimum size is {smallest_gb * GIB} bytes.",
        )


def image_properties(image: dict[str, Any] | None) -> dict[str, str]:
    """Return the properties of an image, beside its attributes."""
    if image is None:
        return {}
    return {key: str(value) for key, value in image.items() if key not in IMAGE_FIELDS and value is not None}


def create_servers(request: Request) -> Answer:
    """Answer POST /servers: refuse it, or make servers, which have failed if they could not be built."""
    request.require_member("servers:create")
    service, asked = request.service, request.body["server"]
    flavor = flavor_named(request, asked["flavorRef"])
    minimum = int(asked.get("min_count", 1))
    maximum = int(asked.get("max_count", minimum))
    if minimum > maximum:
        raise ApiError(400, "min_count must be <= max_count")
    zone, host, force = _place(request, asked)
    devices = _devices(request, asked)
    boots = any(str(one.get("boot_index")) == "0" for one in devices)
    image_id = asked.get("imageRef") or None
    if image_id is None and not boots:
        raise ApiError(
            400,
            "Missing imageRef attribute"
            if not devices
            else "Block Device Mapping is Invalid: Boot "
            "sequence for the instance and image/block device mapping combination is not valid.",
        )
    image = service.neighbours.image(request.token, image_id) if image_id else None
    check_image(image, flavor, volume_backed=boots)
    key_name = asked.get("key_name")
    if key_name is not None and (request.token.user_id, key_name) not in service.keypairs:
        raise ApiError(400, "Invalid key_name provided.")
    metadata = asked.get("metadata", {})
    service.quotas.check(
        request.project_id, "metadata_items", len(metadata), "Maximum number of metadata items exceeds the limit."
    )
    hints = request.body.get("os:scheduler_hints") or request.body.get("OS-SCH-HNT:scheduler_hints") or {}
    group = _group(request, hints)
    networks = interfaces.validate(service, request.token, asked.get("networks"))
    if maximum > 1 and any(one.port_id is not None for one in networks):
        raise ApiError(
            400,
            "Unable to launch multiple instances with a single configured port ID. Please launch your "
            "instance one by one with different ports.",
        )
    service.quotas.check_servers(request.project_id, flavor, maximum)
    now = service.now
    secret = password(asked.get("adminPass"))
    reservation = "r-" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(8))
    made: list[Server] = []
    for index in range(maximum):
        server_id = str(uuid.uuid4())
        name = asked["name"] if maximum == 1 else f"{asked['name']}-{index + 1}"
        server = Server(
            id=server_id,
            number=service.number(),
            name=name,
            project_id=request.project_id,
            user_id=request.token.user_id,
            flavor=replace(flavor, extra_specs=dict(flavor.extra_specs)),
            created_at=now,
            updated_at=now,
            image_id=image_id,
            image_properties=image_properties(image),
            metadata=dict(metadata),
            description=asked.get("description") if request.since(19) else asked["name"],
            hostname=asked.get("hostname") or hostname_of(name, server_id),
            key_name=key_name,
            user_data=asked.get("user_data"),
            config_drive=boolean(asked.get("config_drive", False)),
            disk_config=asked.get("OS-DCF:diskConfig", "MANUAL"),
            access_ipv4=asked.get("accessIPv4", ""),
            access_ipv6=asked.get("accessIPv6", ""),
            reservation_id=reservation,
            launch_index=index,
            pinned_zone=zone,
            hints=hints,
            group_id=group,
            admin_password=secret,
            tags=sorted(set(asked.get("tags", []))),
            certificates=asked.get("trusted_image_certificates"),
            security_groups=list(
                dict.fromkeys(one["name"] for one in asked.get("security_groups", []) if "name" in one)
            ),
            files=[[one["path"], one.get("contents", "")] for one in asked.get("personality", []) if "path" in one],
        )
        service.servers[server_id] = server
        made.append(server)
        try:
            _reserve(service, request, server, devices)
        except ApiError:
            for one in made:
                volumes.release(service, one)
                del service.servers[one.id]
            raise
    for server in made:
        build(service, request, server, networks, wanted=host, force=force)
    if boolean(asked.get("return_reservation_id", False)):
        return Answer({"reservation_id": reservation})
    first = made[0]
    shown = {
        "id": first.id,
        "links": request.links(f"servers/{first.id}"),
        "OS-DCF:diskConfig": first.disk_config,
        "security_groups": asked.get("security_groups", [{"name": "default"}]),
        "adminPass": secret,
    }
    return Answer({"server": shown}, headers={"Location": f"{request.base}/v2.1/servers/{first.id}"})


def build(
    service: ComputeService,
    request: Request,
    server: Server,
    networks: list[interfaces.Wanted],
    *,
    wanted: str | None = None,
    force: bool = False,
) -> None:
    """Bring a new server to life, or into the state ERROR with the reason as its fault."""
    action = service.begin(request, server, "create", "compute__do_build_and_run_instance")
    claim = guests.spec_of(server).claim()
    host = service.scheduler.choose(server, server.flavor, claim=claim, wanted=wanted, force=force)
    if host is None:
        server.vm_state = "error"
        action.event = "conductor_schedule_and_build_instances"
        service.fail(server, NO_HOST, action)
        return
    server.host, server.zone = host.name, service.hosts.zone(host.name)
    try:
        interfaces.allocate(service, server, networks, host.name)
        for one in server.attachments:
            volumes.connect(service, server, one, host.name)
        guests.spawn(service, server, host)
    except NovaFakesError as error:
        interfaces.release(service, server)
        server.vm_state, server.host = "error", None
        service.fail(server, f"Build of instance {server.id} aborted: {error}", action)
        return
    action.host = host.name
    action.updated_at = server.updated_at = server.launched_at = service.now
    server.vm_state, server.task_state = "active", None


def _place(request: Request, asked: dict[str, Any]) -> tuple[str | None, str | None, bool]:
    """Return the zone, the host and whether that is taken unseen: ZONE[:HOST[:NODE]], or the host since 2.74."""
    service = request.service
    zone, _, rest = str(asked.get("availability_zone") or "").partition(":")
    host = rest.partition(":")[0] or None
    if rest:
        request.require_admin("servers:create:forced_host")
        if host is not None and host not in service.fleet.hosts:
            raise ApiError(400, f"Compute host {host} could not be found.")
    if zone and zone not in service.hosts.zones():
        raise ApiError(400, "The requested availability zone is not available")
    chosen = asked.get("host") or asked.get("hypervisor_hostname")
    if chosen is not None:
        request.require_admin("compute:servers:create:requested_destination")
        if host is not None:
            raise ApiError(
                400,
                "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are "
                "mutually exclusive.",
            )
        if chosen not in service.fleet.hosts:
            raise ApiError(400, f"Compute host {chosen} could not be found.")
        return zone or None, chosen, False
    return zone or None, host, host is not None


def _group(request: Request, hints: dict[str, Any]) -> str | None:
    """Return the id of the server group that the hints name; ApiError 400, 403."""
    group_id = hints.get("group")
    if group_id is None:
        return None
    group = request.service.groups.get(group_id)
    if group is None or not (request.token.is_admin or group.project_id == request.project_id):
        raise ApiError(400, f"Instance group {group_id} could not be found.")
    request.service.quotas.check(
        request.project_id,
        "server_group_members",
        request.service.quotas.members(group_id) + 1,
        "Quota exceeded, too many servers in group",
    )
    return str(group_id)


def _devices(request: Request, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the block devices of a request in the newer form; ApiError 400."""
    old, new = asked.get("block_device_mapping", []), asked.get("block_device_mapping_v2", [])
    if old and new:
        raise ApiError(400, "Using different block_device_mapping syntaxes is not allowed in the same request.")
    if not old:
        for one in new:
            if "source_type" not in one and not one.get("no_device"):
                raise ApiError(400, "Block Device Mapping is Invalid: Invalid source_type field.")
        return list(new)
    found = []
    for one in old:
        kind = "volume" if one.get("volume_id") else "snapshot"
        found.append(
            {
                **one,
                "source_type": kind,
                "destination_type": "volume",
                "uuid": one.get(f"{kind}_id"),
                "boot_index": 0 if str(one.get("device_name", "")).endswith("vda") else -1,
            }
        )
    return found


def _reserve(service: ComputeService, request: Request, server: Server, devices: list[dict[str, Any]]) -> None:
    """Make what volumes of a new server do not exist yet, and reserve all; ApiError 400."""
    for one in devices:
        kind, reference = one.get("source_type"), one.get("uuid")
        volume_wanted = kind == "volume" or one.get("destination_type") == "volume"
        if one.get("no_device") or not volume_wanted:
            continue  # a disk of the host's, which its flavor describes
        try:
            if kind == "volume":
                found = volumes.volume(service, request.token, str(reference))
            else:
                found = _new_volume(service, request, server, one)
            volumes.reserve(
                service,
                server,
                found,
                device="/dev/vda" if str(one.get("boot_index")) == "0" else one.get("device_name"),
                tag=one.get("tag"),
                delete_on_termination=boolean(one.get("delete_on_termination", False)),
                boot=str(one.get("boot_index")) == "0",
            )
        except ApiError as error:
            raise ApiError(400, f"Block Device Mapping is Invalid: {error.message}") from None


def _new_volume(service: ComputeService, request: Request, server: Server, device: dict[str, Any]) -> dict[str, Any]:
    size = device.get("volume_size")
    kind = device["source_type"]
    values: dict[str, Any] = {"name": "", "size": None if size is None else int(size)}
    if kind == "image":
        values["imageRef"] = device["uuid"]
        values["size"] = values["size"] or server.flavor.root_gb
    elif kind == "snapshot":
        values["snapshot_id"] = device["uuid"]
    if device.get("volume_type"):
        values["volume_type"] = device["volume_type"]
    reply = service.neighbours.call(
        request.token, "volume", "POST", "/v3/volumes", {"volume": values}, as_service=False
    )
    if not reply.ok:
        raise ApiError(400, reply.message)
    made = reply.json()["volume"]
    return volumes.volume(service, request.token, made["id"])
