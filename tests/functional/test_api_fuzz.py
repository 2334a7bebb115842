"""Every operation that a service describes, asked with made-up requests: no 500, no status beyond the described."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flask
import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed: uv sync --group contract")

from fuzzing import fuzz

from nova_fakes.api.stack import Stack

SERVICES = ("identity", "image", "network", "volume", "compute")
QUICK, LONG = 4, 60
World = tuple[flask.Flask, Mapping[str, Sequence[str]], str]


def made(stack: Stack, service: str, path: str, body: Any, *keys: str, token: str = "admin:admin") -> Any:
    """Make something, and return the member of the answer that the keys lead to."""
    response = stack.applications[service].test_client().post(path, json=body, headers={"X-Auth-Token": token})
    assert response.status_code < 300, response.get_data(as_text=True)
    found: Any = response.get_json()
    for key in keys:
        found = found[key]
    return found


def identity_world(stack: Stack) -> tuple[Mapping[str, Sequence[str]], str]:
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": "secret"}
    auth = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": domain}},
    }
    client = stack.applications["identity"].test_client()
    token = client.post("/v3/auth/tokens", json={"auth": auth}).headers["X-Subject-Token"]

    def new(plural: str, singular: str, **values: Any) -> str:
        row = made(stack, "identity", f"/v3/{plural}", {singular: {"name": "x", **values}}, singular, token=token)
        return str(row["id"])

    ids = {
        "user_id": new("users", "user", password="p"),
        "group_id": new("groups", "group"),
        "project_id": new("projects", "project"),
        "domain_id": new("domains", "domain"),
        "role_id": new("roles", "role"),
    }
    ids["prior_id"] = ids["implied_id"] = ids["role_id"]
    known = {name: [value] for name, value in ids.items()}
    return {**known, "row_id": list(ids.values()), "tag": ["t"]}, token


def image_world(stack: Stack) -> tuple[Mapping[str, Sequence[str]], str]:
    formats = {"disk_format": "raw", "container_format": "bare"}
    ids = [made(stack, "image", "/v2/images", {"name": "x", **formats}, "id") for _ in range(2)]
    made(stack, "image", f"/v2/images/{ids[0]}/members", {"member": "somebody"})
    definition = {"title": "P", "type": "string"}
    namespace = {"namespace": "n", "properties": {"p": definition}, "objects": [{"name": "o"}], "tags": [{"name": "t"}]}
    made(stack, "image", "/v2/metadefs/namespaces", namespace, "namespace")
    known = {"image_id": ids, "member_id": ["somebody"], "tag": ["t"], "name": ["image", "members", "n"]}
    return {**known, "key": ["p", "o", "t"], "kind": ["OS::Nova::Server"]}, "admin:admin"


def network_world(stack: Stack) -> tuple[Mapping[str, Sequence[str]], str]:
    net = made(stack, "network", "/v2.0/networks", {"network": {"name": "x"}}, "network", "id")
    subnet = {"network_id": net, "ip_version": 4, "cidr": "10.9.0.0/24"}
    sub = made(stack, "network", "/v2.0/subnets", {"subnet": subnet}, "subnet", "id")
    port = made(stack, "network", "/v2.0/ports", {"port": {"network_id": net}}, "port", "id")
    router = made(stack, "network", "/v2.0/routers", {"router": {}}, "router", "id")
    policy = made(stack, "network", "/v2.0/qos/policies", {"policy": {"name": "x"}}, "policy", "id")
    rule = {"minimum_bandwidth_rule": {"min_kbps": 1}}
    rules = f"/v2.0/qos/policies/{policy}/minimum_bandwidth_rules"
    rule_id = made(stack, "network", rules, rule, "minimum_bandwidth_rule", "id")
    public = made(stack, "network", "/v2.0/networks", {"network": {"router:external": True}}, "network", "id")
    made(stack, "network", "/v2.0/subnets", {"subnet": {**subnet, "network_id": public}})
    asked = {"floating_network_id": public}
    floating = made(stack, "network", "/v2.0/floatingips", {"floatingip": asked}, "floatingip", "id")
    return {
        "record_id": [net, sub, port, router, rule_id, policy],
        "parent_id": [policy, floating],
        "qos_policy_id": [policy],
        "internal_port_id": [port],
        "network_id": [net],
        "name": ["minimum_bandwidth"],
        "port_id": [port],
        "router_id": [router],
        "trunk_id": [port],
        "pool_id": [sub],
        "host": ["compute-1"],
        "project_id": ["admin"],
        "alias": ["binding"],
        "tag": ["t"],
    }, "admin:admin"


def compute_world(stack: Stack) -> tuple[Mapping[str, Sequence[str]], str]:
    assert stack.compute is not None
    assert stack.image is not None
    image = next(iter(stack.image.dump()["images"]))["id"]
    asked = {"name": "x", "imageRef": image, "flavorRef": "1"}
    server = made(stack, "compute", "/v2.1/servers", {"server": asked}, "server", "id")
    volume = made(stack, "volume", "/v3/volumes", {"volume": {"size": 1}}, "volume", "id")
    aggregate = made(stack, "compute", "/v2.1/os-aggregates", {"aggregate": {"name": "x"}}, "aggregate", "id")
    group = {"name": "x", "policies": ["affinity"]}
    group_id = made(stack, "compute", "/v2.1/os-server-groups", {"server_group": group}, "server_group", "id")
    return {
        "server_id": [server],
        "volume_id": [volume],
        "flavor_id": ["2"],
        "aggregate_id": [str(aggregate)],
        "group_id": [group_id],
        "node_id": [node[1] for node in stack.compute.hosts.nodes()],
        "action": [one.uuid for one in stack.compute.hosts.services],
        "project_id": ["admin"],
        "tag": ["t"],
        "key": ["k"],
        "migration_id": ["1"],
        "label": ["private"],
    }, "admin:admin"


def volume_world(stack: Stack) -> tuple[Mapping[str, Sequence[str]], str]:
    volumes = [made(stack, "volume", "/v3/volumes", {"volume": {"size": 1}}, "volume", "id") for _ in range(5)]
    snapshot = {"volume_id": volumes[0]}
    asked = {"volume_uuid": volumes[1], "instance_uuid": volumes[1], "connector": {"host": "compute-1"}}
    kind = {"name": "x", "extra_specs": {"k": "v"}}
    return {
        "volume_id": volumes,
        "volume_uuid": volumes,
        "new_volume": volumes,
        "source_volid": volumes,
        "snapshot_id": [made(stack, "volume", "/v3/snapshots", {"snapshot": snapshot}, "snapshot", "id")],
        **volume_groups(stack),
        "message_id": [failed(stack)],
        "encryption_id": ["provider", "encryption_key_id"],
        "backup_id": [made(stack, "volume", "/v3/backups", {"backup": {"volume_id": volumes[3]}}, "backup", "id")],
        "attachment_id": [attached(stack, asked)],
        "type_id": [made(stack, "volume", "/v3/types", {"volume_type": kind}, "volume_type", "id")],
        "transfer_id": [
            made(stack, "volume", "/v3/os-volume-transfer", {"transfer": {"volume_id": volumes[4]}}, "transfer", "id")
        ],
        "qos_id": [made(stack, "volume", "/v3/qos-specs", {"qos_specs": {"name": "x", "k": "v"}}, "qos_specs", "id")],
        "project": ["admin"],
        "key": ["k"],
        "action": ["enable", "disable"],
    }, "admin:admin"


def volume_groups(stack: Stack) -> Mapping[str, Sequence[str]]:
    """Make a group with a volume and a snapshot of it."""
    kind = newest(stack, "/v3/group_types", {"group_type": {"name": "x", "group_specs": {"k": "v"}}}, "group_type")
    asked = {"group_type": kind, "volume_types": ["__DEFAULT__"]}
    group = newest(stack, "/v3/groups", {"group": asked}, "group")
    volume = {"size": 1, "volume_type": "__DEFAULT__", "group_id": group}
    newest(stack, "/v3/volumes", {"volume": volume}, "volume")
    whole = newest(stack, "/v3/group_snapshots", {"group_snapshot": {"group_id": group}}, "group_snapshot")
    return {
        "group_type_id": [kind],
        "group_type": [kind, "x"],
        "volume_types": ["__DEFAULT__"],
        "group_id": [group],
        "source_group_id": [group],
        "group_snapshot_id": [whole],
    }


def failed(stack: Stack) -> str:
    """Make a backup that fails; return the id of the message that says so."""
    volume = made(stack, "volume", "/v3/volumes", {"volume": {"size": 1}}, "volume", "id")
    newest(stack, "/v3/backups", {"backup": {"volume_id": volume, "availability_zone": "elsewhere"}}, "backup")
    headers = {"X-Auth-Token": "admin:admin", "OpenStack-API-Version": "volume 3.71"}
    answer = stack.applications["volume"].test_client().get("/v3/messages", headers=headers)
    return str(answer.get_json()["messages"][0]["id"])


def attached(stack: Stack, asked: Mapping[str, Any]) -> str:
    """Make an attachment."""
    return newest(stack, "/v3/attachments", {"attachment": asked}, "attachment")


def newest(stack: Stack, path: str, body: Any, kind: str) -> str:
    """Make what needs a microversion of the volume service; return its id."""
    headers = {"X-Auth-Token": "admin:admin", "OpenStack-API-Version": "volume 3.71"}
    answer = stack.applications["volume"].test_client().post(path, json=body, headers=headers)
    return str(answer.get_json()[kind]["id"])


WORLDS = {
    "identity": identity_world,
    "image": image_world,
    "network": network_world,
    "volume": volume_world,
    "compute": compute_world,
}


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    name = request.param
    together = ("image", "network", "volume", "compute") if name == "compute" else (name,)
    with Stack(together) as stack:
        known, token = WORLDS[name](stack)
        yield stack.applications[name], known, token


def check(world: World, examples: int) -> None:
    app, known, token = world
    statuses, problems = fuzz(app, known, examples, token=token)
    assert not problems, "\n".join(problems)
    # It has not been turned away at the door all the time.
    assert sum(count for status, count in statuses.items() if status < 300) > len(statuses)


@pytest.mark.parametrize("world", SERVICES, indirect=True)
def test_made_up_requests(world: World) -> None:
    check(world, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("world", SERVICES, indirect=True)
def test_many_made_up_requests(world: World) -> None:
    check(world, LONG)
