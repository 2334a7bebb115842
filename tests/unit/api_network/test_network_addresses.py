"""Fixed IPs: choice, conflicts, autoconfiguration, exhaustion, and what a restart keeps."""

from __future__ import annotations

import json

from nova_fakes.api.network import ADMIN, NetworkService

from .conftest import STRANGER, USER, World, addresses, refused


def test_a_port_gets_one_address_of_each_family_and_the_autoconfigured_ones(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24", "10.0.1.0/24", "fd00:1::/64")
    world.subnet(network, "fd00:2::/64", ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    port = world.port(network, mac_address="fa:16:3e:00:00:01")
    assert addresses(port) == ["10.0.0.2", "fd00:1::2", "fd00:2::f816:3eff:fe00:1"]


def test_taken_and_foreign_addresses_are_refused_and_nothing_is_lost(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24")
    port = world.port(network, fixed_ips=[{"ip_address": "10.0.0.9"}])
    create = world.service.ports.create
    two = [{"ip_address": "10.0.0.10"}, {"ip_address": "10.0.0.9"}]
    refused(409, "IpAddressAlreadyAllocated", create, USER, {"network_id": network["id"], "fixed_ips": two})
    assert addresses(world.port(network, fixed_ips=two[:1])) == ["10.0.0.10"]  # the half-done request gave it back
    wrong = [{"ip_address": "10.9.0.1"}]
    refused(400, "InvalidIpForNetwork", create, USER, {"network_id": network["id"], "fixed_ips": wrong})
    mac = {"network_id": network["id"], "mac_address": port["mac_address"]}
    refused(409, "MacAddressInUse", create, USER, mac)


def test_an_exhausted_subnet_gives_again_what_comes_back(world: World) -> None:
    network = world.network(USER, "10.0.0.0/29")
    ports = [world.port(network) for _ in range(5)]
    refused(409, "IpAddressGenerationFailure", world.service.ports.create, USER, {"network_id": network["id"]})
    world.service.ports.delete(USER, ports[2]["id"])
    assert addresses(world.port(network)) == addresses(ports[2])


def test_strangers_see_nothing_and_shared_networks_lend_no_chosen_address(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24")
    refused(404, "NetworkNotFound", world.service.ports.create, STRANGER, {"network_id": network["id"]})
    assert world.service.networks.list(STRANGER).records == []
    refused(403, "PolicyNotAuthorized", world.service.networks.update, USER, network["id"], {"shared": True})
    world.service.networks.update(ADMIN, network["id"], {"shared": True})
    chosen = {"network_id": network["id"], "fixed_ips": [{"ip_address": "10.0.0.50"}]}
    refused(403, "PolicyNotAuthorized", world.service.ports.create, STRANGER, chosen)
    assert addresses(world.port(network, STRANGER)) == ["10.0.0.2"]


def test_a_loaded_service_goes_on_where_the_dumped_one_stopped(world: World) -> None:
    network = world.network(USER, "10.0.0.0/24", "fd00::/64")
    port = world.server_port(network)
    world.service.device_up(port["id"], "compute-1")
    data = json.loads(json.dumps(world.service.dump()))
    again = NetworkService(["compute-1", "compute-2"])
    again.load(data)
    assert again.ports.get(ADMIN, port["id"])["status"] == "ACTIVE"
    assert again.dump()["ports"] == data["ports"]
    taken = {"network_id": network["id"], "fixed_ips": [{"ip_address": addresses(port)[0]}]}
    refused(409, "IpAddressAlreadyAllocated", again.ports.create, USER, taken)
