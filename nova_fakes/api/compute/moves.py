"""Servers that change their host or size: resize, migration cold and live, evacuation, shelving."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nova_fakes.api.compute import guests, interfaces, volumes
from nova_fakes.api.compute.creation import check_image, flavor_named, password
from nova_fakes.api.compute.power import perform, require_state, snapshot
from nova_fakes.api.compute.records import Flavor, MigrationRecord, Server
from nova_fakes.api.compute.routing import Answer, Request
from nova_fakes.api.compute.scheduler import NO_HOST
from nova_fakes.api.compute.schema import boolean
from nova_fakes.exceptions import ApiError, NovaFakesError
from nova_fakes.virt import resize as cold
from nova_fakes.virt.hypervisor import Hypervisor

if TYPE_CHECKING:
    from nova_fakes.api.compute.service import ComputeService

__all__ = [
    "IN_PROGRESS",
    "abort_live",
    "confirm",
    "evacuate",
    "force_live",
    "live",
    "migrate",
    "offload",
    "resize",
    "revert",
    "settle",
    "shelve",
    "unshelve",
]

IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")
_RUNNING = {"active": True, "stopped": False}


def resize(request: Request, server: Server) -> None:
    """Answer the action resize."""
    require_state(server, "resize", tuple(_RUNNING))
    service, asked = request.service, request.body["resize"]
    flavor = flavor_named(request, asked["flavorRef"])
    if flavor.id == server.flavor.id:
        raise ApiError(400, "When resizing, instances must change flavor!")
    if flavor.root_gb == 0 and server.flavor.root_gb != 0 and not server.volume_backed:
        raise ApiError(400, "Resize to flavor with zero disk is not allowed unless the server is volume-backed.")
    if server.image_id is not None:
        check_image(
            service.neighbours.image(request.token, server.image_id), flavor, volume_backed=server.volume_backed
        )
    service.quotas.check_servers(server.project_id, flavor, 0, less=server.flavor)
    if "OS-DCF:diskConfig" in asked:
        server.disk_config = asked["OS-DCF:diskConfig"]
    _move(request, server, "resize", replace(flavor, extra_specs=dict(flavor.extra_specs)))


def migrate(request: Request, server: Server) -> None:
    """Answer the action migrate: the same size on another host."""
    require_state(server, "migrate", tuple(_RUNNING))
    asked = (request.body["migrate"] or {}) if request.since(56) else {}
    wanted = asked.get("host")
    if wanted is not None:
        if request.service.hosts.service(wanted) is None:
            raise ApiError(400, f"Compute host {wanted} could not be found.")
        if wanted == server.host:
            raise ApiError(400, f"Cannot migrate to the host ({wanted}) where the server exists.")
    _move(request, server, "migrate", server.flavor, wanted)


def _move(request: Request, server: Server, name: str, flavor: Flavor, wanted: str | None = None) -> None:
    """Carry a guest to the host that the scheduler chooses, there to wait for its user's word."""
    service = request.service
    source = service.host(server)
    if source.silent:
        raise ApiError(409, "Service is unavailable at this time.")
    kind = "migration" if name == "migrate" else "resize"
    event = "cold_migrate"
    action = service.begin(request, server, name, event)
    avoid = (source.name,) if name == "migrate" else ()
    claim = guests.spec_of(server, flavor).claim()
    target = service.scheduler.choose(server, flavor, claim=claim, wanted=wanted, avoid=avoid)
    if target is None:
        migration = service.migrate(server, kind, "error", source.name, None)
        migration.new_flavor = flavor.id
        service.fail(server, NO_HOST, action)
        return
    running = _RUNNING[server.vm_state]
    before = server.vm_state
    migration = service.migrate(server, kind, "finished", source.name, target.name)
    migration.new_flavor = flavor.id
    old_flavor = server.flavor
    try:
        cold.leave(source, server.id)
        try:
            server.flavor = flavor
            _connect_volumes(service, server, target.name)
            cold.arrive(
                target, guests.spec_of(server), guests.nics_of(server), guests.volumes_of(server), power_on=running
            )
        except NovaFakesError:
            server.flavor = old_flavor
            cold.revert(
                source, guests.spec_of(server), guests.nics_of(server), guests.volumes_of(server), power_on=running
            )
            raise
    except NovaFakesError as error:
        migration.status = "error"
        service.fail(server, error, action)
        server.vm_state = "error"
        return
    server.old_flavor, server.old_host, server.old_state = old_flavor, source.name, before
    _arrived(service, server, target, "resized")
    server.launched_at = service.now
    action.updated_at = migration.updated_at = service.now


def _connect_volumes(service: ComputeService, server: Server, host: str) -> None:
    for one in server.attachments:
        volumes.connect(service, server, one, host)


def _arrived(service: ComputeService, server: Server, host: Hypervisor, state: str) -> None:
    server.host, server.zone = host.name, service.hosts.zone(host.name)
    server.vm_state, server.task_state = state, None
    server.updated_at = service.now
    interfaces.bind(service, server, host.name)


def _waiting(service: ComputeService, server: Server) -> MigrationRecord:
    """Return the move of a server that is neither confirmed nor reverted; ApiError 400, there is none."""
    for one in reversed(service.migrations):
        if one.server_id == server.id and one.status == "finished":
            return one
    raise ApiError(400, "Instance has not been resized.")


def confirm(request: Request, server: Server) -> None:
    """Answer the action confirmResize."""
    require_state(server, "confirmResize", ("resized",))
    service = request.service
    migration = _waiting(service, server)
    action = service.begin(request, server, "confirmResize", "compute_confirm_resize")
    source = service.fleet.hypervisor(migration.source)
    perform(request, server, action, lambda: cold.confirm(source, server.id), None)
    if server.vm_state != "error":
        migration.status, migration.updated_at = "confirmed", service.now
        server.vm_state = server.old_state or "active"
        server.old_flavor = server.old_host = server.old_state = None


def revert(request: Request, server: Server) -> None:
    """Answer the action revertResize."""
    require_state(server, "revertResize", ("resized",))
    service = request.service
    migration = _waiting(service, server)
    old = server.old_flavor or server.flavor
    service.quotas.check_servers(server.project_id, old, 0, less=server.flavor)
    action = service.begin(request, server, "revertResize", "compute_revert_resize")
    source, target = service.fleet.hypervisor(migration.source), service.host(server)
    running = _RUNNING.get(server.old_state or "active", True)

    def work() -> None:
        target.destroy(server.id, keep_disks=source is not target and service.fleet.shared_storage)
        server.flavor = old
        _connect_volumes(service, server, source.name)
        cold.revert(source, guests.spec_of(server), guests.nics_of(server), guests.volumes_of(server), power_on=running)
        if source is not target:
            target.drop_disks(server.id)

    perform(request, server, action, work, None)
    if server.vm_state != "error":
        _arrived(service, server, source, server.old_state or "active")
        server.launched_at = service.now
        migration.status, migration.updated_at = "reverted", service.now
        server.old_flavor = server.old_host = server.old_state = None


def live(request: Request, server: Server) -> None:
    """Answer the action os-migrateLive: it goes on while the fleet's clock passes."""
    require_state(server, "os-migrateLive", ("active", "paused"))
    service, asked = request.service, request.body["os-migrateLive"]
    wanted = asked["host"]
    if boolean(asked.get("force", False)) and not wanted:
        raise ApiError(400, "Can't force to a non-provided destination")
    source = service.host(server)
    if wanted is not None and service.hosts.service(wanted) is None:
        raise ApiError(400, f"Compute host {wanted} could not be found.")
    late = request.since(34)  # errors that come after the answer
    action = service.begin(request, server, "live-migration", "conductor_live_migrate_instance")
    problem = None
    if wanted == source.name:
        problem = f"Unable to migrate instance ({server.id}) to current host ({wanted})."
    claim = guests.spec_of(server).claim()
    target = service.scheduler.choose(
        server,
        server.flavor,
        claim=claim,
        wanted=wanted,
        avoid=(source.name,),
        force=boolean(asked.get("force", False)),
    )
    if problem is None and (target is None or target is source):
        problem = NO_HOST
    migration = service.migrate(server, "live-migration", "preparing", source.name, target.name if target else wanted)
    if problem is None and target is not None:
        block = asked["block_migration"]
        try:
            service.fleet.migrations.prepare(
                target, guests.spec_of(server), guests.nics_of(server), guests.volumes_of(server)
            )
            try:
                service.fleet.migrations.begin(source, server.id, target.name, block=block != "auto" and boolean(block))
            except NovaFakesError:
                service.fleet.migrations.abort_arrival(target, server.id)
                raise
        except NovaFakesError as error:
            problem = str(error)
    if problem is not None:
        migration.status, migration.updated_at = "error", service.now
        service.fail(server, problem, action)
        server.fault = None
        if not late:
            raise ApiError(400, problem)
        return
    migration.status = "running"
    server.task_state = "migrating"
    action.updated_at = service.now
    settle(service)


def settle(service: ComputeService) -> None:
    """Let live migrations that are due switch over."""
    for migration in service.migrations:
        if migration.status not in IN_PROGRESS:
            continue
        server = service.servers[migration.server_id]
        source = service.fleet.hypervisor(migration.source)
        moving = source.migrations.get(server.id)
        if moving is None:
            _failed(service, server, migration)
        elif source.down or moving.remaining_s() <= 0:
            _switch_over(service, server, migration, source)


def _switch_over(service: ComputeService, server: Server, migration: MigrationRecord, source: Hypervisor) -> None:
    moving = service.fleet.migrations.find(source, server.id)
    target = service.fleet.hypervisor(str(migration.destination))
    try:
        _connect_volumes(service, server, target.name)
        service.fleet.migrations.switch_over(source, moving)
    except NovaFakesError as error:
        service.fail(server, error)
        server.fault = None
        service.fleet.migrations.abort_arrival(target, server.id)
        service.fleet.migrations.end(source, moving)
        _failed(service, server, migration)
        return
    service.fleet.migrations.end(source, moving)
    _arrived(service, server, target, server.vm_state)
    migration.status, migration.updated_at = "completed", service.now


def _failed(service: ComputeService, server: Server, migration: MigrationRecord) -> None:
    migration.status, migration.updated_at = "error", service.now
    server.task_state = None


def running(service: ComputeService, server: Server, migration_id: str) -> MigrationRecord:
    """Return a live migration of a server's that is under way; ApiError 404."""
    for one in service.migrations:
        if str(one.id) == migration_id and one.server_id == server.id:
            if one.type != "live-migration":
                raise ApiError(404, f"Migration {migration_id} for server {server.id} is not live-migration.")
            if one.status not in IN_PROGRESS:
                raise ApiError(404, f"Live migration {migration_id} for server {server.id} is not in progress.")
            return one
    raise ApiError(404, f"In-progress live migration {migration_id} is not found for server {server.id}.")


def abort_live(request: Request, server: Server, migration_id: str) -> None:
    """End a live migration before its switch-over; ApiError 400, too late; 404, 409."""
    service = request.service
    if server.task_state != "migrating":
        raise ApiError(
            409, f"Cannot 'abort live migration' instance {server.id} while it is in task_state {server.task_state}"
        )
    migration = running(service, server, migration_id)
    source = service.fleet.hypervisor(migration.source)
    if not service.fleet.migrations.abort(source, server.id):
        raise ApiError(
            400,
            f"Migration {migration_id} state of instance {server.id} is {migration.status}. Cannot "
            "abort while the migration is in this state.",
        )
    service.begin(request, server, "live_migration_cancel").updated_at = service.now
    moving = service.fleet.migrations.find(source, server.id)
    service.fleet.migrations.abort_arrival(service.fleet.hypervisor(str(migration.destination)), server.id)
    service.fleet.migrations.end(source, moving)
    migration.status, migration.updated_at = "cancelled", service.now
    server.task_state = None


def force_live(request: Request, server: Server, migration_id: str) -> None:
    """Bring a live migration to its end; ApiError 400, 409."""
    service = request.service
    if server.task_state != "migrating":
        raise ApiError(
            409, f"Cannot 'force_complete' instance {server.id} while it is in task_state {server.task_state}"
        )
    try:
        migration = running(service, server, migration_id)
    except ApiError as error:
        raise ApiError(400, error.message) from None
    service.begin(request, server, "live_migration_force_complete").updated_at = service.now
    service.fleet.migrations.force(service.fleet.hypervisor(migration.source), server.id)


def evacuate(request: Request, server: Server) -> Answer:
    """Answer the action evacuate: the server anew on another host, since its own is dead."""
    require_state(server, "evacuate", ("active", "stopped", "error"))
    service, asked = request.service, request.body["evacuate"]
    wanted = asked.get("host")
    if boolean(asked.get("force", False)) and not wanted:
        raise ApiError(400, "Can't force to a non-provided destination")
    if wanted is not None and service.hosts.service(wanted) is None:
        raise ApiError(404, f"Compute host {wanted} not found.")
    if wanted == server.host and wanted is not None:
        raise ApiError(400, "The target host can't be the same one.")
    source = service.host(server)
    compute = service.hosts.service(source.name)
    if compute is not None and service.hosts.alive(compute):
        raise ApiError(400, f"Compute service of {source.name} is still in use.")
    if boolean(asked.get("onSharedStorage", False)) and "adminPass" in asked:
        raise ApiError(400, "admin password can't be changed on existing disk")
    secret = password(asked.get("adminPass"))
    action = service.begin(request, server, "evacuate", "rebuild_server")
    force = boolean(asked.get("force", False))
    target = service.scheduler.choose(
        server, server.flavor, claim=guests.spec_of(server).claim(), wanted=wanted, avoid=(source.name,), force=force
    )
    migration = service.migrate(server, "evacuation", "done", source.name, target.name if target else wanted)
    answer = Answer() if request.since(14) else Answer({"adminPass": secret})
    if target is None:
        migration.status = "error"
        service.fail(server, NO_HOST, action)
        server.vm_state = "error"
        return answer
    running_again = server.vm_state != "stopped" and not request.since(95)

    def work() -> None:
        _connect_volumes(service, server, target.name)
        guests.spawn(service, server, target, power_on=running_again)

    server.admin_password = secret
    perform(request, server, action, work, "active" if running_again else "stopped")
    if server.vm_state != "error":
        interfaces.bind(service, server, target.name)
        service.left_behind.append((source.name, server.id))
    else:
        migration.status = "failed"
    return answer


def shelve(request: Request, server: Server) -> None:
    """Answer the action shelve: an image of it is kept, and its host is rid of it."""
    require_state(server, "shelve", ("active", "stopped", "paused", "suspended"))
    service = request.service
    action = service.begin(request, server, "shelve", "compute_shelve_offload_instance")

    def work() -> None:
        if not server.volume_backed and service.neighbours.has("image"):
            server.shelved_image_id = snapshot(request, server, f"{server.name}-shelved", {})
        _take_off(service, server)

    perform(request, server, action, work, "shelved_offloaded")


def _take_off(service: ComputeService, server: Server) -> None:
    guests.remove(service, server)
    for one in server.attachments:
        one.connection_info = {}
    server.host, server.zone = None, None


def offload(request: Request, server: Server) -> None:
    """Answer the action shelveOffload."""
    require_state(server, "shelveOffload", ("shelved",))
    action = request.service.begin(request, server, "shelveOffload", "compute_shelve_offload_instance")
    perform(request, server, action, lambda: _take_off(request.service, server), "shelved_offloaded")


def unshelve(request: Request, server: Server) -> None:
    """Answer the action unshelve."""
    require_state(server, "unshelve", ("shelved", "shelved_offloaded"))
    service = request.service
    asked: dict[str, Any] = (request.body["unshelve"] or {}) if request.since(77) else {}
    if "host" in asked:
        request.require_admin("os-shelve:unshelve_to_host")
        if service.hosts.service(asked["host"]) is None:
            raise ApiError(400, f"Compute host {asked['host']} could not be found.")
    if "availability_zone" in asked:
        zone = asked["availability_zone"]
        if zone is not None and zone not in service.hosts.zones():
            raise ApiError(400, f"The requested availability zone is not available: {zone}")
        server.pinned_zone = zone
    action = service.begin(request, server, "unshelve", "compute_unshelve_instance")
    claim = guests.spec_of(server).claim()
    target = service.scheduler.choose(server, server.flavor, claim=claim, wanted=asked.get("host"))
    if target is None:
        service.fail(server, NO_HOST, action)
        return

    def work() -> None:
        _connect_volumes(service, server, target.name)
        guests.spawn(service, server, target)

    perform(request, server, action, work, "active")
    if server.vm_state != "error":
        interfaces.bind(service, server, target.name)
        server.launched_at = service.now
        if server.shelved_image_id is not None:
            path = f"/v2/images/{server.shelved_image_id}"
            service.neighbours.call(request.token, "image", "DELETE", path)
            server.shelved_image_id = None
