"""Subnet pools, trunks, host names and policies of the network fake, as openstacksdk sees them, without a socket."""

from collections.abc import Iterator
from ipaddress import ip_network

import openstack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keystoneauth1 import session
from keystoneauth1.identity import v3
from openstack import exceptions

from nova_fakes.api.network.subnet_pools import _free
from nova_fakes.api.stack import Stack

Connection = openstack.connection.Connection


def connect(stack: Stack, user: str) -> Connection:
    auth = v3.Password(
        stack.endpoint("identity"),
        username=user,
        password="secret",
        project_name=user,
        user_domain_id="default",
        project_domain_id="default",
    )
    ksa = session.Session(auth, session=stack.session())
    return Connection(session=ksa, region_name="RegionOne", identity_api_version="3")


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(("identity", "network"), seed=False) as stack:
        yield stack


@pytest.fixture
def admin(stack: Stack) -> Connection:
    return connect(stack, "admin")


@pytest.fixture
def demo(stack: Stack) -> Connection:
    return connect(stack, "demo")


def test_subnets_are_cut_out_of_a_pool(admin, demo) -> None:
    pool = admin.network.create_subnet_pool(
        name="p", prefixes=["10.8.0.0/16"], default_prefixlen=24, min_prefixlen=20, max_prefixlen=26, is_shared=True
    )
    network = demo.network.create_network(name="n")

    def cut(**more):
        return demo.network.create_subnet(network_id=network.id, ip_version=4, subnet_pool_id=pool.id, **more)

    assert [cut().cidr for _ in range(2)] == ["10.8.0.0/24", "10.8.1.0/24"]
    assert cut(prefix_length=26).cidr == "10.8.2.0/26"
    assert cut(prefix_length=22).cidr == "10.8.4.0/22"
    assert cut(cidr="10.8.3.0/24").cidr == "10.8.3.0/24"
    for wrong, error in (
        ({"prefix_length": 19}, exceptions.BadRequestException),
        ({"prefix_length": 27}, exceptions.BadRequestException),
        ({"cidr": "10.8.3.0/24"}, exceptions.ConflictException),
        ({"cidr": "10.9.0.0/24"}, exceptions.ConflictException),
    ):
        with pytest.raises(error):
            cut(**wrong)
    with pytest.raises(exceptions.BadRequestException, match="existing allocations"):
        admin.network.delete_subnet_pool(pool)
    with pytest.raises(exceptions.BadRequestException, match="subset"):
        admin.network.update_subnet_pool(pool, prefixes=["10.9.0.0/16"])
    assert admin.network.update_subnet_pool(pool, prefixes=["10.8.0.0/15"]).prefixes == ["10.8.0.0/15"]
    demo.network.delete_network(network)
    admin.network.delete_subnet_pool(pool)


def test_a_default_pool_and_its_quota(admin, demo) -> None:
    pool = admin.network.create_subnet_pool(
        name="p", prefixes=["10.8.0.0/16"], default_prefixlen=24, is_default=True, is_shared=True, default_quota=512
    )
    with pytest.raises(exceptions.BadRequestException, match="default"):
        admin.network.create_subnet_pool(name="q", prefixes=["10.9.0.0/16"], default_prefixlen=24, is_default=True)
    network = demo.network.create_network(name="n")
    for _ in range(2):
        made = demo.network.create_subnet(network_id=network.id, ip_version=4, use_default_subnet_pool=True)
        assert made.subnet_pool_id == pool.id
    with pytest.raises(exceptions.ConflictException, match="quota"):
        demo.network.create_subnet(network_id=network.id, ip_version=4, use_default_subnet_pool=True)
    with pytest.raises(exceptions.BadRequestException, match="No default"):
        demo.network.create_subnet(network_id=network.id, ip_version=6, use_default_subnet_pool=True)
    with pytest.raises(exceptions.BadRequestException, match="absence of a cidr"):
        demo.network.create_subnet(network_id=network.id, ip_version=4)


@given(
    prefixes=st.lists(st.sampled_from(["10.0.0.0/22", "10.1.0.0/23", "192.168.0.0/24"]), min_size=1, unique=True),
    sizes=st.lists(st.integers(23, 28), min_size=1, max_size=40),
)
@settings(max_examples=60, deadline=None, database=None)
def test_what_is_cut_never_overlaps_and_lies_within(prefixes, sizes) -> None:
    ranges = [ip_network(one) for one in prefixes]
    taken = []
    for size in sizes:
        found = next(_free(ranges, taken, size), None)
        if found is None:
            # There is no such room: every place of that size is touched by something.
            places = [net for one in ranges if one.prefixlen <= size for net in one.subnets(new_prefix=size)]
            assert all(any(net.overlaps(other) for other in taken) for net in places)
            continue
        assert found.prefixlen == size
        assert any(found.subnet_of(one) for one in ranges)
        assert not any(found.overlaps(other) for other in taken)
        taken.append(found)


@pytest.fixture
def ports(demo):
    network = demo.network.create_network(name="n")
    demo.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24")
    return [demo.network.create_port(network_id=network.id, name=f"p{number}") for number in range(3)]


def test_a_trunk_carries_ports(stack, demo, ports) -> None:
    parent, one, two = ports
    trunk = demo.network.create_trunk(
        name="t",
        port_id=parent.id,
        sub_ports=[{"port_id": one.id, "segmentation_type": "vlan", "segmentation_id": 10}],
    )
    assert trunk.status == "DOWN"
    entry = {"port_id": two.id, "segmentation_type": "vlan", "segmentation_id": 10}
    with pytest.raises(exceptions.ConflictException, match="already in use"):
        demo.network.add_trunk_subports(trunk, [entry])
    demo.network.add_trunk_subports(trunk, [{**entry, "segmentation_id": 11}])
    rows = demo.network.get_trunk_subports(trunk)["sub_ports"]
    assert [(row["port_id"], row["segmentation_id"]) for row in rows] == [(one.id, 10), (two.id, 11)]
    shown = demo.network.get_port(parent.id)
    assert [row["mac_address"] for row in shown.trunk_details["sub_ports"]] == [one.mac_address, two.mac_address]
    assert demo.network.get_port(two.id).device_owner == "trunk:subport"
    for port in (parent, one):
        with pytest.raises(exceptions.ConflictException):
            demo.network.delete_port(port)
        with pytest.raises(exceptions.ConflictException):
            demo.network.create_trunk(port_id=port.id)
    demo.network.delete_trunk_subports(trunk, [{"port_id": one.id}])
    assert demo.network.get_port(one.id).device_owner == ""
    demo.network.delete_port(one)
    demo.network.update_trunk(trunk, is_admin_state_up=False)
    with pytest.raises(exceptions.ConflictException, match="disabled"):
        demo.network.delete_trunk_subports(trunk, [{"port_id": two.id}])
    assert stack.network is not None
    stack.network.load(stack.network.dump())
    demo.network.delete_trunk(trunk)
    assert demo.network.get_port(two.id).device_owner == ""


def test_a_trunk_is_up_as_long_as_its_parent_port(stack, admin, demo, ports) -> None:
    trunk = demo.network.create_trunk(port_id=ports[0].id)
    admin.network.update_port(ports[0].id, binding_host_id="compute-1", device_owner="compute:nova", device_id="x")
    assert stack.network is not None
    stack.network.device_up(ports[0].id, "compute-1")
    assert demo.network.get_trunk(trunk.id).status == "ACTIVE"
    with pytest.raises(exceptions.ConflictException, match="in use"):
        demo.network.delete_trunk(trunk)


@pytest.mark.parametrize("wrong", [{"segmentation_id": 0}, {"segmentation_type": "gre"}, {"colour": "red"}, {}])
def test_sub_ports_that_are_none(demo, ports, wrong) -> None:
    entry = {"port_id": ports[1].id, "segmentation_type": "vlan", **wrong}
    with pytest.raises(exceptions.BadRequestException):
        demo.network.create_trunk(port_id=ports[0].id, sub_ports=[entry])


def test_a_network_is_shared_with_one_project(admin, demo) -> None:
    network = admin.network.create_network(name="n")
    admin.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24")
    assert demo.network.find_network("n") is None
    values = {"object_type": "network", "object_id": network.id, "action": "access_as_shared"}
    target = demo.current_project_id
    policy = admin.network.create_rbac_policy(target_project_id=target, **values)
    seen = demo.network.find_network("n")
    assert seen.is_shared
    assert not admin.network.get_network(network.id).is_shared
    with pytest.raises(exceptions.ConflictException):
        admin.network.create_rbac_policy(target_project_id=target, **values)
    port = demo.network.create_port(network_id=network.id)
    with pytest.raises(exceptions.ConflictException, match="depend on it"):
        admin.network.delete_rbac_policy(policy)
    demo.network.delete_port(port)
    admin.network.delete_rbac_policy(policy)
    with pytest.raises(exceptions.NotFoundException):
        demo.network.create_port(network_id=network.id)


def test_who_may_share_what(admin, demo) -> None:
    own = demo.network.create_network(name="own")
    other = admin.network.create_network(name="other")
    values = {"object_type": "network", "action": "access_as_shared"}
    with pytest.raises(exceptions.ForbiddenException):
        demo.network.create_rbac_policy(object_id=own.id, target_project_id="*", **values)
    with pytest.raises(exceptions.NotFoundException):
        demo.network.create_rbac_policy(object_id=other.id, target_project_id="x", **values)
    admin.network.create_rbac_policy(object_id=own.id, target_project_id="*", **values)
    demo.network.delete_network(own)
    assert list(admin.network.rbac_policies()) == []


def test_host_names_of_ports(demo, ports) -> None:
    port = demo.network.update_port(ports[0], dns_name="Web")
    (row,) = port.dns_assignment
    address = port.fixed_ips[0]["ip_address"]
    assert row == {"ip_address": address, "hostname": "web", "fqdn": "web.openstacklocal."}
    (plain,) = demo.network.get_port(ports[1].id).dns_assignment
    assert plain["hostname"].startswith("host-10-9-0-")
    for wrong in ({"dns_name": "no_such"}, {"dns_domain": "no.dot"}):
        with pytest.raises(exceptions.BadRequestException):
            demo.network.update_port(ports[0], **wrong)
    assert demo.network.create_network(name="d", dns_domain="my.org.").dns_domain == "my.org."
