"""Status, bindings and events: what nova's boots and migrations rely on."""

from __future__ import annotations

from nova_fakes.api.network import ADMIN

from .conftest import SERVER, USER, World, refused


def test_a_bound_port_becomes_active_when_the_agent_of_its_host_reports_it(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    assert (port["binding:vif_type"], port["status"], world.names()) == ("ovs", "DOWN", [])

    assert world.service.device_up(port["id"], "compute-1")
    assert world.service.ports.get(ADMIN, port["id"])["status"] == "ACTIVE"
    assert world.events == [
        {"name": "network-vif-plugged", "server_uuid": SERVER, "tag": port["id"], "status": "completed"}
    ]
    world.names()
    world.service.device_up(port["id"], "compute-1")
    assert world.names() == []  # it was up already

    world.service.device_down(port["id"], "compute-1")
    assert world.service.ports.get(ADMIN, port["id"])["status"] == "DOWN"
    assert world.names() == ["network-vif-unplugged"]


def test_reports_about_unknown_ports_and_ports_of_nobody_tell_nova_nothing(world: World) -> None:
    assert not world.service.device_up(SERVER, "compute-1")
    port = world.port(world.network(USER, "10.0.0.0/24"), ADMIN, **{"project_id": "x", "binding:host_id": "compute-1"})
    world.service.device_up(port["id"], "compute-1")
    assert world.service.ports.get(ADMIN, port["id"])["status"] == "ACTIVE"
    assert world.names() == []


def test_live_migration_moves_a_port_by_its_bindings(world: World) -> None:
    bindings = world.service.bindings
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.device_up(port["id"], "compute-1")
    world.names()

    made = bindings.create(ADMIN, port["id"], {"host": "compute-2", "vnic_type": "normal", "profile": {"a": 1}})
    assert (made["status"], made["vif_type"], made["profile"]) == ("INACTIVE", "ovs", {"a": 1})
    refused(409, "PortBindingAlreadyExists", bindings.create, ADMIN, port["id"], {"host": "compute-2"})
    world.service.device_up(port["id"], "compute-2")
    assert world.names() == ["network-vif-plugged"]  # the source waits for it
    assert world.service.ports.get(ADMIN, port["id"])["binding:host_id"] == "compute-1"

    assert bindings.activate(ADMIN, port["id"], "compute-2")["status"] == "ACTIVE"
    moved = world.service.ports.get(ADMIN, port["id"])
    assert (moved["binding:host_id"], moved["binding:profile"], moved["status"]) == ("compute-2", {"a": 1}, "ACTIVE")
    assert world.names() == ["network-vif-unplugged", "network-vif-plugged"]
    assert bindings.get(ADMIN, port["id"], "compute-1")["status"] == "INACTIVE"
    refused(409, "PortBindingAlreadyActive", bindings.activate, ADMIN, port["id"], "compute-2")

    world.service.device_down(port["id"], "compute-1")
    bindings.delete(ADMIN, port["id"], "compute-1")
    assert world.names() == []
    refused(404, "PortBindingNotFound", bindings.get, ADMIN, port["id"], "compute-1")
    refused(404, "PortBindingNotFound", bindings.activate, ADMIN, port["id"], "compute-1")
    refused(404, "PortBindingNotFound", bindings.delete, ADMIN, port["id"], "compute-1")


def test_activation_before_the_destination_is_connected_leaves_the_port_down(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.device_up(port["id"], "compute-1")
    world.service.bindings.create(ADMIN, port["id"], {"host": "compute-2"})
    world.service.bindings.activate(ADMIN, port["id"], "compute-2")
    assert world.service.ports.get(ADMIN, port["id"])["status"] == "DOWN"
    world.names()
    world.service.device_up(port["id"], "compute-2")
    assert world.names() == ["network-vif-plugged"]


def test_another_host_takes_a_port_down_and_another_profile_does_not(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.device_up(port["id"], "compute-1")
    world.names()
    updated = world.service.ports.update(ADMIN, port["id"], {"binding:profile": {"migrating_to": "compute-2"}})
    assert (updated["status"], world.names()) == ("ACTIVE", [])
    updated = world.service.ports.update(ADMIN, port["id"], {"binding:host_id": "compute-2"})
    assert (updated["status"], world.names()) == ("DOWN", ["network-vif-unplugged"])
    updated = world.service.ports.update(ADMIN, port["id"], {"binding:host_id": None})
    assert (updated["binding:vif_type"], updated["binding:host_id"]) == ("unbound", "")


def test_deleting_the_active_binding_takes_the_port_down(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.device_up(port["id"], "compute-1")
    world.names()
    world.service.bindings.delete(ADMIN, port["id"], "compute-1")
    unbound = world.service.ports.get(ADMIN, port["id"])
    assert (unbound["binding:vif_type"], unbound["status"]) == ("unbound", "DOWN")
    assert world.names() == ["network-vif-unplugged"]


def test_a_port_cannot_be_bound_where_no_agent_lives(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24")
    assert world.server_port(network, host="elsewhere")["binding:vif_type"] == "binding_failed"
    port = world.server_port(network)
    refused(500, "PortBindingError", world.service.bindings.create, ADMIN, port["id"], {"host": "elsewhere"})
    refused(
        500,
        "PortBindingError",
        world.service.bindings.create,
        ADMIN,
        port["id"],
        {"host": "compute-2", "vnic_type": "direct"},
    )
    world.service.set_host_alive("compute-2", False)
    refused(500, "PortBindingError", world.service.bindings.create, ADMIN, port["id"], {"host": "compute-2"})
    assert [b["host"] for b in world.service.bindings.list(ADMIN, port["id"])] == ["compute-1"]
    world.service.set_host_alive("compute-2", True)
    assert world.service.bindings.create(ADMIN, port["id"], {"host": "compute-2"})["vif_type"] == "ovs"
    assert not world.service.set_host_alive("elsewhere", False)


def test_bindings_are_for_services_and_of_servers(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24")
    port = world.server_port(network)
    refused(403, "PolicyNotAuthorized", world.service.bindings.list, USER, port["id"])
    refused(404, "PortNotFound", world.service.bindings.list, ADMIN, SERVER)
    plain = world.port(network)
    refused(400, "BadRequest", world.service.bindings.create, ADMIN, plain["id"], {"host": "compute-1"})


def test_a_port_that_is_administratively_down_stays_so(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.ports.update(ADMIN, port["id"], {"admin_state_up": False})
    world.service.device_up(port["id"], "compute-1")
    assert world.service.ports.get(ADMIN, port["id"])["status"] == "DOWN"
    assert world.service.ports.update(ADMIN, port["id"], {"admin_state_up": True})["status"] == "ACTIVE"


def test_nova_hears_of_deletion_and_of_new_addresses(world: World) -> None:
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.service.ports.update(ADMIN, port["id"], {"name": "renamed"})
    assert world.names() == []
    world.service.ports.update(ADMIN, port["id"], {"fixed_ips": [{"ip_address": "10.0.0.77"}]})
    assert world.names() == ["network-changed"]
    world.service.ports.delete(ADMIN, port["id"])
    assert world.events == [{"name": "network-vif-deleted", "server_uuid": SERVER, "tag": port["id"]}]


def test_every_update_is_told_where_that_is_asked_for() -> None:
    world = World(notify_every_update=True)
    port = world.server_port(world.network(USER, "10.0.0.0/24"))
    world.names()
    world.service.ports.update(ADMIN, port["id"], {"name": "renamed"})
    assert world.names() == ["network-changed"]
