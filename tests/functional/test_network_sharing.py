"""Subnet pools, trunks, names, policies, segments and more of the network fake, as openstacksdk sees them."""

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
    project = demo.current_project_id
    for wrong in (
        {"object_id": other.id},
        {"object_id": own.id, "target_project_id": "x"},
        {"object_id": own.id, "object_type": "router"},
        {"object_id": own.id, "action": "access_as_owner"},
    ):
        with pytest.raises(exceptions.BadRequestException):
            demo.network.create_rbac_policy(**{"target_project_id": project, **values, **wrong})
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


def test_a_port_asks_placement_for_its_minimum_bandwidth(admin, demo, ports) -> None:
    port = ports[0]
    policy = admin.network.create_qos_policy(name="q", is_shared=True)
    least = admin.network.create_qos_minimum_bandwidth_rule(policy, min_kbps=1000, direction="egress")
    admin.network.create_qos_bandwidth_limit_rule(policy, max_kbps=2000, max_burst_kbps=200)
    admin.network.create_qos_dscp_marking_rule(policy, dscp_mark=26)
    demo.network.update_port(port, qos_policy_id=policy.id)
    assert demo.network.get_port(port.id).resource_request is None
    asked = admin.network.get_port(port.id).resource_request
    (group,) = asked["request_groups"]
    assert asked["same_subtree"] == [group["id"]]
    assert group["resources"] == {"NET_BW_EGR_KILOBIT_PER_SEC": 1000}
    assert group["required"] == ["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"]
    for wrong in ({"min_kbps": 3000}, {"min_kbps": 1, "direction": "egress"}):
        with pytest.raises(exceptions.ConflictException):
            admin.network.create_qos_minimum_bandwidth_rule(policy, **wrong)
    with pytest.raises(exceptions.BadRequestException):
        admin.network.update_qos_dscp_marking_rule(
            next(admin.network.qos_dscp_marking_rules(policy)), policy, dscp_mark=1
        )
    with pytest.raises(exceptions.ConflictException, match=f"used by port {port.id}"):
        admin.network.delete_qos_policy(policy)
    with pytest.raises(exceptions.ForbiddenException):
        demo.network.create_qos_policy(name="own")
    admin.network.update_port(port, device_owner="compute:nova", device_id="x")
    for change in (
        lambda: admin.network.delete_qos_minimum_bandwidth_rule(least, policy),
        lambda: admin.network.update_port(port, qos_policy_id=None),
    ):
        with pytest.raises(exceptions.HttpException, match="Placement"):
            change()
    demo.network.delete_port(port)
    assert {rule["type"] for rule in admin.network.get_qos_policy(policy).rules} == {
        "bandwidth_limit",
        "dscp_marking",
        "minimum_bandwidth",
    }
    admin.network.delete_qos_policy(policy)
    assert "minimum_bandwidth" in {one.type for one in demo.network.qos_rule_types()}


def test_the_policy_of_a_network_holds_for_its_ports(admin, demo) -> None:
    policy = admin.network.create_qos_policy(name="q", is_shared=True)
    admin.network.create_qos_minimum_packet_rate_rule(policy, min_kpps=5, direction="any")
    network = admin.network.create_network(
        name="n", provider_network_type="vlan", provider_physical_network="phys-1", provider_segmentation_id=7
    )
    port = admin.network.create_port(network_id=network.id)
    admin.network.update_network(network, qos_policy_id=policy.id)
    shown = admin.network.get_port(port.id)
    assert (shown.qos_policy_id, shown.qos_network_policy_id) == (None, policy.id)
    (group,) = shown.resource_request["request_groups"]
    assert group["resources"] == {"NET_PACKET_RATE_KILOPACKET_PER_SEC": 5}
    own = admin.network.create_qos_policy(name="own")
    admin.network.create_qos_minimum_bandwidth_rule(own, min_kbps=5, direction="ingress")
    (group,) = admin.network.update_port(port, qos_policy_id=own.id).resource_request["request_groups"]
    assert group["required"] == ["CUSTOM_PHYSNET_PHYS_1", "CUSTOM_VNIC_TYPE_NORMAL"]


def test_single_ports_of_a_floating_ip(admin, demo, ports) -> None:
    public = admin.network.create_network(name="public", is_router_external=True)
    admin.network.create_subnet(network_id=public.id, cidr="203.0.113.0/24", ip_version=4)
    floating = demo.network.create_ip(floating_network_id=public.id)
    one, two, _ = ports
    asked = {"internal_port_id": one.id, "internal_port": 22, "external_port": 2222, "protocol": "tcp"}
    with pytest.raises(exceptions.BadRequestException, match="not reachable"):
        demo.network.create_port_forwarding(floatingip_id=floating.id, **asked)
    router = demo.network.create_router(external_gateway_info={"network_id": public.id})
    demo.network.add_interface_to_router(router, subnet=one.fixed_ips[0]["subnet_id"])
    made = demo.network.create_port_forwarding(floatingip_id=floating.id, **asked)
    assert made.internal_ip_address == one.fixed_ips[0]["ip_address"]
    with pytest.raises(exceptions.BadRequestException, match="collision"):
        demo.network.create_port_forwarding(floatingip_id=floating.id, **{**asked, "internal_port_id": two.id})
    shown = demo.network.get_ip(floating.id)
    assert [row["external_port"] for row in shown.to_dict()["port_forwardings"]] == [2222]
    with pytest.raises(exceptions.ConflictException, match="in use by Port Forwarding"):
        demo.network.update_ip(floating, port_id=two.id)
    with pytest.raises(exceptions.NotFoundException):
        admin.network.get_port_forwarding(made.id, two.id)
    demo.network.update_port_forwarding(made.id, floating.id, external_port=2200)
    demo.network.delete_port(one)
    assert list(demo.network.port_forwardings(floating)) == []
    assert demo.network.get_ip(floating.id).router_id is None


def test_what_a_network_is_made_of(stack, admin, demo) -> None:
    scope = admin.network.create_address_scope(name="s", ip_version=4)
    pool = admin.network.create_subnet_pool(
        name="p", prefixes=["10.8.0.0/16"], default_prefixlen=24, address_scope_id=scope.id
    )
    network = admin.network.create_network(name="n")
    admin.network.create_subnet(network_id=network.id, ip_version=4, subnet_pool_id=pool.id)
    shown = admin.network.get_network(network.id)
    assert (shown.ipv4_address_scope_id, shown.ipv6_address_scope_id) == (scope.id, None)
    assert shown.availability_zones == ["nova"]
    (first,) = admin.network.segments(network_id=network.id)
    assert first.network_type == "vxlan"
    second = admin.network.create_segment(
        network_id=network.id, network_type="vlan", physical_network="phys", segmentation_id=9
    )
    subnet = admin.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24", segment_id=second.id)
    with pytest.raises(exceptions.ConflictException, match="still associated"):
        admin.network.delete_segment(second)
    assert list(demo.network.segments()) == []
    assert stack.network is not None
    state = stack.network.dump()
    del state["segments"]
    stack.network.load(state)
    assert len(list(admin.network.segments(network_id=network.id))) == 1
    assert admin.network.get_subnet(subnet.id).segment_id == second.id
    assert {one.resource for one in demo.network.availability_zones()} == {"network", "router"}
    assert [one.name for one in demo.network.service_providers()] == ["single_node"]


def share(admin, object_type, shared, target, action="access_as_shared"):
    return admin.network.create_rbac_policy(
        object_type=object_type, object_id=shared.id, action=action, target_project_id=target
    )


def test_a_policy_of_quality_of_service_is_shared_with_one_project(admin, demo) -> None:
    policy = admin.network.create_qos_policy(name="q")
    admin.network.create_qos_dscp_marking_rule(policy, dscp_mark=26)
    network = demo.network.create_network(name="n")
    with pytest.raises(exceptions.NotFoundException):
        demo.network.update_network(network, qos_policy_id=policy.id)
    shared = share(admin, "qos_policy", policy, demo.current_project_id)
    seen = demo.network.get_qos_policy(policy.id)
    assert seen.is_shared
    assert [rule["dscp_mark"] for rule in seen.rules] == [26]
    assert not admin.network.get_qos_policy(policy.id).is_shared
    demo.network.update_network(network, qos_policy_id=policy.id)
    with pytest.raises(exceptions.ConflictException, match="depend on it"):
        admin.network.delete_rbac_policy(shared)
    everybody = share(admin, "qos_policy", policy, "*")
    assert admin.network.get_qos_policy(policy.id).is_shared
    admin.network.delete_rbac_policy(shared)
    with pytest.raises(exceptions.ConflictException, match="depend on it"):
        admin.network.update_qos_policy(policy.id, is_shared=False)
    demo.network.update_network(network, qos_policy_id=None)
    admin.network.update_qos_policy(policy.id, is_shared=False)
    with pytest.raises(exceptions.NotFoundException):
        admin.network.get_rbac_policy(everybody)
    with pytest.raises(exceptions.NotFoundException):
        demo.network.get_qos_policy(policy.id)


def test_pools_scopes_and_groups_are_shared_with_one_project(admin, demo) -> None:
    target = demo.current_project_id
    scope = admin.network.create_address_scope(name="s", ip_version=4)
    pool = admin.network.create_subnet_pool(
        name="p", prefixes=["10.8.0.0/16"], default_prefixlen=24, address_scope_id=scope.id
    )
    with pytest.raises(exceptions.BadRequestException, match="associated address scope"):
        share(admin, "subnetpool", pool, target)
    share(admin, "address_scope", scope, target)
    shared = share(admin, "subnetpool", pool, target)
    assert [one.is_shared for one in demo.network.address_scopes()] == [True]
    network = demo.network.create_network(name="n")
    subnet = demo.network.create_subnet(network_id=network.id, ip_version=4, subnet_pool_id=pool.id)
    with pytest.raises(exceptions.ConflictException, match="depend on it"):
        admin.network.delete_rbac_policy(shared)
    demo.network.delete_subnet(subnet)
    admin.network.delete_rbac_policy(shared)
    assert list(demo.network.subnet_pools()) == []
    group = admin.network.create_security_group(name="g")
    shared = share(admin, "security_group", group, target)
    port = demo.network.create_port(network_id=network.id, security_group_ids=[group.id])
    seen = demo.network.get_security_group(group.id)
    assert seen.is_shared
    assert len(seen.security_group_rules) == 2
    with pytest.raises(exceptions.ForbiddenException):
        demo.network.delete_security_group(group, ignore_missing=False)
    with pytest.raises(exceptions.ConflictException, match="depend on it"):
        admin.network.update_rbac_policy(shared, target_project_id=admin.current_project_id)
    demo.network.delete_port(port)
    admin.network.delete_security_group(group)
    assert {one.object_type for one in admin.network.rbac_policies()} == {"address_scope"}


def test_a_network_leads_outside_for_one_project(admin, demo) -> None:
    public = admin.network.create_network(name="public")
    admin.network.create_subnet(network_id=public.id, cidr="203.0.113.0/24", ip_version=4)
    policy = share(admin, "network", public, demo.current_project_id, "access_as_external")
    assert demo.network.get_network(public.id).is_router_external
    router = demo.network.create_router(external_gateway_info={"network_id": public.id})
    with pytest.raises(exceptions.ConflictException, match="routers attached"):
        admin.network.delete_rbac_policy(policy)
    demo.network.delete_router(router)
    admin.network.update_rbac_policy(policy, target_project_id=admin.current_project_id)
    with pytest.raises(exceptions.NotFoundException):
        demo.network.get_network(public.id)
    admin.network.delete_rbac_policy(policy)
    assert not admin.network.get_network(public.id).is_router_external
    admin.network.update_network(public, is_router_external=True, is_shared=True)
    kinds = {(one.action, one.target_project_id) for one in admin.network.rbac_policies()}
    assert kinds == {("access_as_external", "*"), ("access_as_shared", "*")}


def test_ranges_of_ports_of_a_floating_ip(admin, demo, ports) -> None:
    public = admin.network.create_network(name="public", is_router_external=True)
    admin.network.create_subnet(network_id=public.id, cidr="203.0.113.0/24", ip_version=4)
    floating = demo.network.create_ip(floating_network_id=public.id)
    one = ports[0]
    router = demo.network.create_router(external_gateway_info={"network_id": public.id})
    demo.network.add_interface_to_router(router, subnet=one.fixed_ips[0]["subnet_id"])

    def forward(inside, outside, protocol="tcp"):
        kind = "port" if isinstance(inside, int) else "port_range"
        return demo.network.create_port_forwarding(
            floatingip_id=floating.id,
            internal_port_id=one.id,
            protocol=protocol,
            **{f"internal_{kind}": inside, "external_port_range": outside},
        )

    many = forward("80:89", "8080:8089")
    assert (many.internal_port, many.internal_port_range, many.external_port_range) == (None, "80:89", "8080:8089")
    assert forward(22, "2200:2209").internal_port_range == "22:22"
    for inside, outside, why in (
        ("100:101", "8089:8090", "external_port_range"),
        ("89:90", "9000:9001", "internal_port_range"),
        ("100:102", "9000:9001", "N-N or 1-N"),
        ("100:99", "9000:9001", "lower"),
        ("0:1", "9000:9001", "too small"),
    ):
        with pytest.raises(exceptions.BadRequestException, match=why):
            forward(inside, outside)
    assert forward("89:90", "8089:8090", "udp").protocol == "udp"
    changed = demo.network.update_port_forwarding(many.id, floating.id, internal_port=443, external_port=443)
    assert (changed.internal_port_range, changed.external_port_range, changed.external_port) == (
        "443:443",
        "443:443",
        443,
    )
    alone = {"floatingip_id": floating.id, "internal_port_id": one.id, "protocol": "tcp", "external_port": 7}
    with pytest.raises(exceptions.BadRequestException, match="'internal_port' not specified"):
        demo.network.create_port_forwarding(**alone)


def place(kind, physical=None, number=None):
    return {
        "provider:network_type": kind,
        "provider:physical_network": physical,
        "provider:segmentation_id": number,
    }


def test_a_network_of_several_segments(admin, demo) -> None:
    network = admin.network.create_network(
        name="n", segments=[place("vlan", "phys", 7), place("vlan", "phys"), {"provider:network_type": "geneve"}]
    )
    shown = admin.network.get_network(network.id)
    assert shown.segments[:2] == [place("vlan", "phys", 7), place("vlan", "phys", 1)]
    assert shown.provider_network_type is None
    assert demo.network.find_network(network.id) is None
    assert [one.id for one in admin.network.networks(provider_network_type="geneve")] == [network.id]
    rows = list(admin.network.segments(network_id=network.id))
    assert [row.network_type for row in rows] == ["vlan", "vlan", "geneve"]
    admin.network.delete_segment(rows[0])
    admin.network.delete_segment(rows[2])
    shown = admin.network.get_network(network.id)
    assert (shown.segments, shown.provider_segmentation_id) == (None, 1)
    assert admin.network.update_network(network, provider_segmentation_id=9).provider_segmentation_id == 9
    (row,) = admin.network.segments(network_id=network.id)
    assert row.segmentation_id == 9
    with pytest.raises(exceptions.BadRequestException, match="does not support updating"):
        admin.network.update_network(network, provider_physical_network="other")
    for wrong, why in (
        ([place("vlan", "phys", 7), place("vlan", "phys", 7)], "Duplicate"),
        ([place("flat")], "physical_network required"),
        ([place("token-ring")], "not supported"),
        ([{"provider:vlan": 7}], "Unrecognized"),
        ([{}], "network_type required"),
        ([], "empty"),
    ):
        with pytest.raises(exceptions.BadRequestException, match=why):
            admin.network.create_network(segments=wrong)
    with pytest.raises(exceptions.BadRequestException, match="cannot both be set"):
        admin.network.create_network(segments=[place("vxlan")], provider_network_type="vxlan")
    with pytest.raises(exceptions.ForbiddenException):
        demo.network.create_network(segments=[place("vxlan")])


def test_how_many_addresses_are_taken(admin, demo, ports) -> None:
    (row,) = [one for one in admin.network.network_ip_availabilities() if one.network_id == ports[0].network_id]
    (subnet,) = row.subnet_ip_availability
    assert (row.total_ips, row.used_ips) == (subnet["total_ips"], subnet["used_ips"])
    assert row.used_ips == len(ports)
    assert row.total_ips == 253
    demo.network.delete_port(ports[0])
    assert admin.network.get_network_ip_availability(row.network_id).used_ips == len(ports) - 1
    assert next(iter(admin.network.network_ip_availabilities(ip_version=6))).total_ips == 0
    assert list(demo.network.network_ip_availabilities()) == []
    assert admin.network.get("/network-ip-availabilities?colour=red").status_code == 400
