"""What the network API keeps beside addresses: quotas, tags, provider attributes, and how records are changed and asked
for. Requests as they are, since clients hide what they do not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from test_network_api import url  # noqa: F401

Call = Callable[..., Any]


class Caller:
    """Sends requests with one user's token."""

    def __init__(self, root: str, token: str) -> None:
        self._root = root
        self._headers = {"X-Auth-Token": token}

    def ask(self, method: str, path: str, body: Any = None, status: int | None = None, **params: Any) -> Any:
        response = requests.request(
            method, f"{self._root}/v2.0/{path}", json=body, params=params, headers=self._headers, timeout=60
        )
        expected = status or {"POST": 201, "DELETE": 204}.get(method, 200)
        assert response.status_code == expected, response.text
        return response.json() if response.content else None

    def refused(self, method: str, path: str, body: Any = None, *, status: int) -> str:
        """Return the type of the error that the request is answered with."""
        return str(self.ask(method, path, body, status)["NeutronError"]["type"])

    def make(self, kind: str, **attributes: Any) -> Any:
        return self.ask("POST", f"{kind}s", {kind: attributes})[kind]

    def change(self, kind: str, record: Any, **attributes: Any) -> Any:
        return self.ask("PUT", f"{kind}s/{record['id']}", {kind: attributes})[kind]

    def subnet(self, network: Any, cidr: str = "10.0.0.0/24", **attributes: Any) -> Any:
        version = 6 if ":" in cidr else 4
        return self.make("subnet", network_id=network["id"], cidr=cidr, ip_version=version, **attributes)


@pytest.fixture
def admin(url: str) -> Caller:  # noqa: F811
    return Caller(url, "admin")


@pytest.fixture
def user(url: str) -> Caller:  # noqa: F811
    return Caller(url, "member")


class TestQuotas:
    def test_limit_is_enforced_and_taken_back(self, admin: Caller, user: Caller) -> None:
        default = admin.ask("GET", "quotas/p-member")["quota"]
        assert admin.ask("GET", "quotas/p-member/default")["quota"] == default
        changed = admin.ask("PUT", "quotas/p-member", {"quota": {"network": 1}})["quota"]
        assert changed == default | {"network": 1}
        user.make("network", name="one")
        assert user.refused("POST", "networks", {"network": {}}, status=409) == "OverQuota"
        details = admin.ask("GET", "quotas/p-member/details")["quota"]["network"]
        assert (details["limit"], details["used"]) == (1, 1)
        admin.ask("DELETE", "quotas/p-member")
        assert admin.ask("GET", "quotas/p-member")["quota"] == default
        user.make("network", name="two")

    def test_users_see_theirs_and_change_none(self, user: Caller) -> None:
        assert "port" in user.ask("GET", "quotas/p-member")["quota"]
        assert user.refused("PUT", "quotas/p-member", {"quota": {"network": 1}}, status=403)

    @pytest.mark.parametrize("limits", [{"network": -2}, {"network": "many"}, {"spaceship": 1}])
    def test_nonsense_is_refused(self, admin: Caller, limits: Any) -> None:
        assert admin.refused("PUT", "quotas/p-member", {"quota": limits}, status=400)


class TestTags:
    def test_are_added_replaced_filtered_and_removed(self, user: Caller) -> None:
        red, blue = user.make("network", name="red"), user.make("network", name="blue")
        user.ask("PUT", f"networks/{red['id']}/tags/warm", status=201)
        user.ask("GET", f"networks/{red['id']}/tags/warm", status=204)
        user.ask("GET", f"networks/{blue['id']}/tags/warm", status=404)
        told = user.ask("PUT", f"networks/{blue['id']}/tags", {"tags": ["cold", "wet"]})
        assert sorted(told["tags"]) == ["cold", "wet"]
        assert user.ask("GET", f"networks/{red['id']}")["network"]["tags"] == ["warm"]

        def names(**filters: str) -> set[str]:
            return {network["name"] for network in user.ask("GET", "networks", **filters)["networks"]}

        assert names(tags="cold,wet") == {"blue"}
        assert names(**{"tags-any": "warm,cold"}) == {"red", "blue"}
        assert names(**{"not-tags": "warm"}) == {"blue"}
        user.ask("DELETE", f"networks/{blue['id']}/tags/wet")
        assert user.ask("GET", f"networks/{blue['id']}/tags") == {"tags": ["cold"]}
        user.ask("DELETE", f"networks/{blue['id']}/tags")
        assert user.ask("GET", f"networks/{blue['id']}/tags") == {"tags": []}

    @pytest.mark.parametrize("tag", ["x" * 256, 7])
    def test_nonsense_is_refused(self, user: Caller, tag: Any) -> None:
        network = user.make("network")
        assert user.refused("PUT", f"networks/{network['id']}/tags", {"tags": [tag]}, status=400)


class TestProviderAttributes:
    def test_are_the_administrators(self, admin: Caller, user: Caller) -> None:
        attributes = {
            "provider:network_type": "vlan",
            "provider:physical_network": "physnet1",
            "provider:segmentation_id": 101,
        }
        made = admin.make("network", shared=True, **attributes)
        assert {name: made[name] for name in attributes} == attributes
        seen = user.ask("GET", f"networks/{made['id']}")["network"]
        assert not any(name.startswith("provider:") for name in seen)
        assert user.refused("POST", "networks", {"network": attributes}, status=403)

    @pytest.mark.parametrize(
        "attributes",
        [
            {"provider:network_type": "vlan", "provider:segmentation_id": 5000, "provider:physical_network": "p"},
            {"provider:network_type": "carrier-pigeon"},
            {"provider:network_type": "flat"},
        ],
    )
    def test_nonsense_is_refused(self, admin: Caller, attributes: Any) -> None:
        assert admin.refused("POST", "networks", {"network": attributes}, status=400)


class TestSubnetUpdates:
    def test_what_can_be_changed_is_and_ports_keep_what_they_have(self, user: Caller) -> None:
        network = user.make("network")
        subnet = user.subnet(network)
        port = user.make("port", network_id=network["id"])
        changed = user.change(
            "subnet",
            subnet,
            name="renamed",
            dns_nameservers=["192.0.2.53"],
            host_routes=[{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}],
            gateway_ip="10.0.0.254",
            allocation_pools=[{"start": "10.0.0.100", "end": "10.0.0.101"}],
            enable_dhcp=False,
        )
        assert (changed["name"], changed["gateway_ip"], changed["enable_dhcp"]) == ("renamed", "10.0.0.254", False)
        assert changed["dns_nameservers"] == ["192.0.2.53"]
        assert changed["host_routes"] == [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}]
        assert user.ask("GET", f"ports/{port['id']}")["port"]["fixed_ips"] == port["fixed_ips"]
        drawn = {user.make("port", network_id=network["id"])["fixed_ips"][0]["ip_address"] for _ in range(2)}
        assert drawn == {"10.0.0.100", "10.0.0.101"}
        assert user.refused("POST", "ports", {"port": {"network_id": network["id"]}}, status=409) == (
            "IpAddressGenerationFailure"
        )
        assert user.change("subnet", subnet, gateway_ip=None)["gateway_ip"] is None

    @pytest.mark.parametrize(
        ("attributes", "status"),
        [
            ({"cidr": "10.1.0.0/24"}, 400),
            ({"ip_version": 6}, 400),
            ({"gateway_ip": "10.0.0.0.1"}, 400),
            ({"allocation_pools": [{"start": "10.9.0.1", "end": "10.9.0.9"}]}, 400),
            ({"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.2"}]}, 400),
            ({"dns_nameservers": ["nobody"]}, 400),
            ({"host_routes": [{"destination": "192.0.2.0/24"}]}, 400),
            ({"colour": "red"}, 400),
        ],
    )
    def test_nonsense_is_refused_and_changes_nothing(self, user: Caller, attributes: Any, status: int) -> None:
        subnet = user.subnet(user.make("network"))
        assert user.refused("PUT", f"subnets/{subnet['id']}", {"subnet": attributes}, status=status)
        after = user.ask("GET", f"subnets/{subnet['id']}")["subnet"]
        assert after == subnet

    def test_one_that_is_in_use_stays(self, user: Caller) -> None:
        network = user.make("network")
        subnet = user.subnet(network)
        user.make("port", network_id=network["id"])
        assert user.refused("DELETE", f"subnets/{subnet['id']}", status=409) == "SubnetInUse"
        assert user.refused("DELETE", f"networks/{network['id']}", status=409) == "NetworkInUse"

    def test_overlaps_on_one_network_are_refused(self, user: Caller) -> None:
        network = user.make("network")
        user.subnet(network)
        body = {"subnet": {"network_id": network["id"], "cidr": "10.0.0.0/25", "ip_version": 4}}
        assert user.refused("POST", "subnets", body, status=400) == "InvalidInput"


class TestPortUpdates:
    def test_addresses_groups_and_pairs(self, user: Caller) -> None:
        network = user.make("network")
        user.subnet(network)
        port = user.make("port", network_id=network["id"])
        group = user.ask("POST", "security-groups", {"security_group": {"name": "mine"}})["security_group"]
        changed = user.change(
            "port",
            port,
            security_groups=[group["id"]],
            fixed_ips=[{"ip_address": "10.0.0.77"}],
            allowed_address_pairs=[{"ip_address": "10.0.0.200"}],
            name="renamed",
        )
        assert changed["security_groups"] == [group["id"]]
        assert [entry["ip_address"] for entry in changed["fixed_ips"]] == ["10.0.0.77"]
        assert changed["allowed_address_pairs"] == [{"ip_address": "10.0.0.200", "mac_address": port["mac_address"]}]
        assert (
            user.change("port", port, security_groups=[], port_security_enabled=False, allowed_address_pairs=[])[
                "port_security_enabled"
            ]
            is False
        )
        user.ask("DELETE", f"security-groups/{group['id']}")

    def test_a_group_in_use_stays(self, user: Caller) -> None:
        network = user.make("network")
        group = user.ask("POST", "security-groups", {"security_group": {"name": "mine"}})["security_group"]
        user.make("port", network_id=network["id"], security_groups=[group["id"]])
        assert user.refused("DELETE", f"security-groups/{group['id']}", status=409) == "SecurityGroupInUse"

    @pytest.mark.parametrize(
        "attributes",
        [
            {"fixed_ips": [{"ip_address": "192.0.2.1"}]},
            {"allowed_address_pairs": [{"ip_address": "nowhere"}]},
            {"security_groups": ["nobody"]},
            {"network_id": "11111111-1111-1111-1111-111111111111"},
        ],
    )
    def test_nonsense_is_refused_and_changes_nothing(self, user: Caller, attributes: Any) -> None:
        network = user.make("network")
        user.subnet(network)
        port = user.make("port", network_id=network["id"])
        assert user.refused("PUT", f"ports/{port['id']}", {"port": attributes}, status=400)
        assert user.ask("GET", f"ports/{port['id']}")["port"] == port


class TestLists:
    @pytest.fixture
    def names(self, user: Caller) -> Callable[..., list[str]]:
        for name in ("b", "a", "c"):
            user.make("network", name=name)
        return lambda **params: [network["name"] for network in user.ask("GET", "networks", **params)["networks"]]

    def test_sorted_filtered_and_cut(self, names: Callable[..., list[str]], user: Caller) -> None:
        assert names(sort_key="name", sort_dir="desc") == ["c", "b", "a"]
        assert names(name=["a", "c"], sort_key="name") == ["a", "c"]
        assert names(limit=2, sort_key="name") == ["a", "b"]
        first = user.ask("GET", "networks", limit=2, sort_key="name", sort_dir="asc")
        assert [link["rel"] for link in first["networks_links"]] == ["next"]
        marker = first["networks"][-1]["id"]
        assert names(limit=2, sort_key="name", marker=marker) == ["c"]
        assert names(limit=1, sort_key="name", marker=marker, page_reverse="True") == ["a"]
        assert names(limit=1, sort_key="name", marker=marker, page_reverse="maybe") == ["c"]

    def test_fields(self, names: Callable[..., list[str]], user: Caller) -> None:
        listed = user.ask("GET", "networks", fields=["name", "status"])["networks"]
        assert all(set(network) == {"name", "status"} for network in listed)

    def test_unknown_paths_are_named(self, user: Caller) -> None:
        response = user.ask("GET", "spaceships", status=404)
        assert "spaceships" in str(response)
