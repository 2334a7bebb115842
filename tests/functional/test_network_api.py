"""The network API over HTTP, as openstacksdk calls it."""

from __future__ import annotations

from collections.abc import Iterator

import openstack.connection
import openstack.exceptions
import pytest
import requests
from keystoneauth1 import session, token_endpoint
from openstack.network.v2._proxy import Proxy

from nova_fakes.api.auth import Token
from nova_fakes.api.network import NetworkService, create_app
from nova_fakes.api.server import Server


class Tokens:
    def validate(self, token_id: str) -> Token | None:
        if token_id not in ("admin", "member"):
            return None
        return Token(token_id, "u", token_id, f"p-{token_id}", token_id, "default", (token_id,), 0.0, 1e12)


@pytest.fixture
def url() -> Iterator[str]:
    server = Server({"/networking": create_app(NetworkService(["compute-1"]), Tokens())})
    server.start()
    yield f"{server.url}/networking"
    server.stop()


def proxy(url: str, token: str) -> Proxy:
    auth = token_endpoint.Token(url, token)
    connection = openstack.connection.Connection(session=session.Session(auth=auth), network_endpoint_override=url)
    return connection.network


def test_a_floating_ip_reaches_a_port_through_a_router(url: str) -> None:
    admin, user = proxy(url, "admin"), proxy(url, "member")
    public = admin.create_network(name="public", is_router_external=True)
    admin.create_subnet(network_id=public.id, cidr="203.0.113.0/24", ip_version=4)
    network = user.create_network(name="private")
    subnet = user.create_subnet(network_id=network.id, cidr="10.0.0.0/24", ip_version=4)
    port = user.create_port(network_id=network.id)
    floating = user.create_ip(floating_network_id=public.id)
    assert (floating.status, floating.port_id) == ("DOWN", None)
    with pytest.raises(openstack.exceptions.NotFoundException, match="not reachable"):
        user.update_ip(floating, port_id=port.id)
    router = user.create_router(external_gateway_info={"network_id": public.id})
    user.add_interface_to_router(router, subnet_id=subnet.id)
    floating = user.update_ip(floating, port_id=port.id)
    assert (floating.status, floating.fixed_ip_address) == ("ACTIVE", port.fixed_ips[0]["ip_address"])
    with pytest.raises(openstack.exceptions.ConflictException):
        user.remove_interface_from_router(router, subnet_id=subnet.id)
    user.delete_port(port)
    assert user.get_ip(floating.id).port_id is None
    user.delete_ip(floating)
    user.remove_interface_from_router(router, subnet_id=subnet.id)
    user.delete_router(router)
    user.delete_network(network)
    assert list(user.ports()) == []


def test_lists_come_in_pages_and_hide_bindings_from_users(url: str) -> None:
    user = proxy(url, "member")
    network = user.create_network(name="net")
    made = {user.create_port(network_id=network.id).id for _ in range(5)}
    assert {port.id for port in user.ports(limit=2)} == made
    assert next(user.ports()).binding_host_id is None
    assert next(proxy(url, "admin").ports()).binding_vif_type == "unbound"


@pytest.mark.parametrize(
    ("path", "token", "status", "kind"),
    [
        ("/v2.0/nothing", "member", 404, "HTTPNotFound"),
        ("/v2.0/ports/none", "member", 404, "PortNotFound"),
        ("/v2.0/ports?colour=red", "member", 400, "HTTPBadRequest"),
        ("/v2.0/metering/metering-labels", "member", 404, "HTTPNotFound"),
    ],
)
def test_refusals_have_neutrons_body(url: str, path: str, token: str, status: int, kind: str) -> None:
    response = requests.get(url + path, headers={"X-Auth-Token": token}, timeout=60)
    assert (response.status_code, response.json()["NeutronError"]["type"]) == (status, kind)


def test_callers_without_a_token_are_turned_away(url: str) -> None:
    response = requests.get(f"{url}/v2.0/networks", timeout=60)
    assert response.status_code == 401
    assert "Keystone" in response.headers["WWW-Authenticate"]
