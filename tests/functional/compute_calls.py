"""One script of calls to a compute API, and the shape of the answers: for comparing two clouds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from keystoneauth1 import session

WAIT_S = 60.0
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIMh5y0ZfrTFPKmjZtHSCHTh5YjRFjdWzZZQ6rTrlmUh nobody@nowhere"


@dataclass(frozen=True)
class Call:
    """One request; "{name}" in path and body stands for what an earlier answer was kept as."""

    method: str
    path: str
    body: Any = None
    version: str = "2.95"
    keep: str | None = None
    """What of the answer is kept, and under which name: "server=server/id"."""


def act(name: str, value: Any = None, version: str = "2.95", server: str = "server") -> Call:
    return Call("POST", f"/servers/{{{server}}}/action", {name: value}, version)


def flavor(name: str, ram: int) -> dict[str, Any]:
    return {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 1, "id": name}}


def server(name: str, **more: Any) -> dict[str, Any]:
    base = {"name": name, "imageRef": "{image}", "flavorRef": "cmp.small", "networks": [{"uuid": "{network}"}]}
    return {"server": {**base, **more}}


NOBODY = "00000000-0000-4000-8000-000000000000"

SCRIPT: tuple[Call, ...] = (
    # Flavors
    Call("POST", "/flavors", flavor("cmp.small", 64)),
    Call("POST", "/flavors", flavor("cmp.large", 128), "2.1"),
    Call("POST", "/flavors", flavor("cmp.small", 64)),
    Call("POST", "/flavors", {"flavor": {"name": "x"}}),
    Call("GET", "/flavors/cmp.small"),
    Call("GET", "/flavors/cmp.small", version="2.1"),
    Call("GET", "/flavors/none-such"),
    Call("PUT", "/flavors/cmp.small", {"flavor": {"description": "small"}}),
    Call("PUT", "/flavors/cmp.small", {"flavor": {"description": "small"}}, "2.54"),
    Call("POST", "/flavors/cmp.small/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared"}}),
    Call("GET", "/flavors/cmp.small/os-extra_specs"),
    Call("GET", "/flavors/cmp.small/os-extra_specs/none-such"),
    Call("DELETE", "/flavors/cmp.small/os-extra_specs/hw:cpu_policy"),
    Call("GET", "/flavors/detail?limit=1"),
    Call("GET", "/flavors/cmp.small/os-flavor-access"),
    # Keys and groups
    Call("POST", "/os-keypairs", {"keypair": {"name": "cmp", "public_key": KEY}}),
    Call("POST", "/os-keypairs", {"keypair": {"name": "cmp", "public_key": KEY}}),
    Call("POST", "/os-keypairs", {"keypair": {"name": "cmp-old"}}, "2.1"),
    Call("POST", "/os-keypairs", {"keypair": {"name": "bad", "public_key": "nonsense"}}),
    Call("GET", "/os-keypairs"),
    Call("GET", "/os-keypairs/cmp"),
    Call("GET", "/os-keypairs/none-such"),
    Call("DELETE", "/os-keypairs/cmp-old", version="2.1"),
    Call(
        "POST",
        "/os-server-groups",
        {"server_group": {"name": "g", "policy": "anti-affinity"}},
        keep="group=server_group/id",
    ),
    Call("POST", "/os-server-groups", {"server_group": {"name": "g", "policies": ["affinity"]}}, "2.1"),
    Call("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "nearby"}}),
    Call("GET", "/os-server-groups/{group}"),
    # Servers
    Call("POST", "/servers", server("cmp-a", key_name="cmp", metadata={"k": "v"}, tags=["t"]), keep="server=server/id"),
    Call("POST", "/servers", server("cmp-x", flavorRef="none-such")),
    Call("POST", "/servers", server("cmp-x", imageRef=NOBODY)),
    Call("POST", "/servers", server("cmp-x", key_name="none-such")),
    Call("POST", "/servers", server("cmp-x", networks=[{"uuid": NOBODY}])),
    Call("POST", "/servers", server("cmp-x", colour="red")),
    Call("POST", "/servers", server("cmp-x", availability_zone="none-such")),
    Call("GET", "/servers/{server}"),
    Call("GET", "/servers/{server}", version="2.1"),
    Call("GET", "/servers/{server}", version="2.47"),
    Call("GET", "/servers/{server}", version="2.100"),
    Call("GET", f"/servers/{NOBODY}"),
    Call("GET", "/servers?name=cmp-a"),
    Call("GET", "/servers/detail?name=cmp-a"),
    Call("GET", "/servers?limit=1&name=cmp-"),
    Call("GET", "/servers?status=nonsense"),
    Call("GET", "/servers?limit=x"),
    Call("GET", "/servers?colour=red"),
    Call("GET", "/servers?name=*"),
    Call("GET", "/servers?key_name=^cm"),
    Call("POST", "/servers", server("cmp-x", user_data="YWJj\nYWJj", accessIPv4="::1")),
    Call("PUT", "/servers/{server}", {"server": {"name": "cmp-b"}}),
    Call("PUT", "/servers/{server}", {"server": {"name": "cmp-a"}}, "2.1"),
    Call("PUT", "/servers/{server}", {"server": {"id": "x"}}),
    Call("GET", "/servers/{server}/metadata"),
    Call("PUT", "/servers/{server}/metadata/k", {"meta": {"k": "w"}}),
    Call("PUT", "/servers/{server}/metadata/k", {"meta": {"other": "w"}}),
    Call("DELETE", "/servers/{server}/metadata/none-such"),
    Call("GET", "/servers/{server}/tags"),
    Call("PUT", "/servers/{server}/tags/u"),
    Call("GET", "/servers/{server}/tags", version="2.25"),
    Call("GET", "/servers/{server}/ips"),
    Call("GET", "/servers/{server}/diagnostics"),
    Call("GET", "/servers/{server}/os-interface"),
    Call("GET", f"/servers/{{server}}/os-interface/{NOBODY}"),
    # What can be done to it
    act("pause"),
    act("pause"),
    act("unpause"),
    act("suspend"),
    act("os-stop"),
    act("resume"),
    act("os-stop"),
    act("os-start"),
    act("reboot", {"type": "HARD"}),
    act("reboot", {"type": "sideways"}),
    act("lock", {"locked_reason": "mine"}),
    act("unlock"),
    act("rescue"),
    act("unrescue"),
    act("rebuild", {"imageRef": "{image}"}),
    act("rebuild", {"imageRef": NOBODY}),
    act("createImage", {"name": "cmp-image"}),
    act("os-getConsoleOutput", {}),
    act("os-getVNCConsole", {"type": "novnc"}, "2.1"),
    act("os-getVNCConsole", {"type": "novnc"}),
    Call("POST", "/servers/{server}/remote-consoles", {"remote_console": {"protocol": "vnc", "type": "novnc"}}),
    act("fly"),
    act("resize", {"flavorRef": "cmp.small"}),
    act("resize", {"flavorRef": "cmp.large"}),
    act("pause"),
    act("revertResize"),
    act("resize", {"flavorRef": "cmp.large"}),
    act("confirmResize"),
    act("confirmResize"),
    act("migrate"),
    act("confirmResize"),
    act("os-migrateLive", {"host": None, "block_migration": "auto"}),
    act("evacuate", {}),
    act("shelve"),
    act("pause"),
    act("unshelve"),
    act("addSecurityGroup", {"name": "none-such"}),
    act("removeSecurityGroup", {"name": "none-such"}),
    act("addSecurityGroup", {"name": "default"}),
    Call("GET", "/servers/{server}/os-security-groups"),
    act("removeSecurityGroup", {"name": "default"}),
    Call("GET", "/servers/{server}"),
    act("removeSecurityGroup", {"name": "default"}),
    act("addSecurityGroup", {"name": "default"}, "2.1"),
    act("lock", {"locked_reason": "why"}),
    act("lock", {"locked_reason": "another"}),
    Call("GET", "/servers/{server}"),
    act("unlock"),
    Call("GET", "/servers/{server}/os-server-password"),
    Call("GET", "/servers/{server}/os-instance-actions?changes-since=2099-01-01T00:00:00Z"),
    Call("GET", "/servers/{server}/os-instance-actions"),
    Call("GET", "/os-migrations"),
    Call("GET", "/os-migrations", version="2.1"),
    Call("GET", "/servers/{server}/migrations"),
    # Volumes
    Call("GET", "/servers/{server}/os-volume_attachments"),
    Call("POST", "/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": "{volume}"}}),
    Call("POST", "/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": NOBODY}}),
    Call("GET", "/servers/{server}/os-volume_attachments/{volume}"),
    Call("GET", "/servers/{server}/os-volume_attachments/{volume}", version="2.1"),
    Call("DELETE", "/servers/{server}/os-volume_attachments/{volume}"),
    # Hosts
    Call("GET", "/os-hypervisors/detail"),
    Call("GET", "/os-hypervisors/detail", version="2.1"),
    Call("GET", "/os-hypervisors?hypervisor_hostname_pattern=none-such"),
    Call("GET", "/os-hypervisors/statistics"),
    Call("GET", "/os-hypervisors/statistics", version="2.1"),
    Call("GET", "/os-services?binary=nova-compute"),
    Call("GET", "/os-services?binary=nova-compute", version="2.1"),
    Call("GET", "/os-availability-zone"),
    Call("GET", "/os-availability-zone/detail"),
    Call("POST", "/os-aggregates", {"aggregate": {"name": "cmp"}}, keep="aggregate=aggregate/id"),
    Call("POST", "/os-aggregates", {"aggregate": {"name": "cmp"}}),
    Call("POST", "/os-aggregates/{aggregate}/action", {"add_host": {"host": "none-such"}}),
    Call("POST", "/os-aggregates/{aggregate}/action", {"set_metadata": {"metadata": {"k": "v"}}}),
    Call("GET", "/os-aggregates/{aggregate}"),
    Call("DELETE", "/os-aggregates/{aggregate}"),
    Call("GET", "/os-aggregates/9999"),
    # Limits
    Call("GET", "/os-simple-tenant-usage/{project}?start=2020-01-01T00:00:00"),
    Call("GET", "/os-simple-tenant-usage?start=2020-01-01T00:00:00&detailed=1", version="2.1"),
    Call("GET", "/os-simple-tenant-usage?start=yesterday"),
    Call("GET", "/os-quota-class-sets/default"),
    Call("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"key_pairs": 99}}, "2.1"),
    Call("GET", "/extensions/os-aggregates"),
    Call("GET", "/extensions/none-such"),
    Call("GET", "/limits?colour=red"),
    Call("GET", "/limits"),
    Call("GET", "/limits", version="2.1"),
    Call("GET", "/os-quota-sets/{project}"),
    Call("GET", "/os-quota-sets/{project}/detail", version="2.1"),
    Call("PUT", "/os-quota-sets/{project}", {"quota_set": {"colours": 3}}),
    # Versions
    Call("GET", "/flavors", version="2.999"),
    Call("GET", "/flavors", version="nonsense"),
    Call("GET", "/none-such"),
    Call("DELETE", "/servers/{server}"),
    Call("DELETE", "/servers/{server}"),
    Call("DELETE", "/os-server-groups/{group}"),
    Call("DELETE", "/os-keypairs/cmp"),
    Call("DELETE", "/flavors/cmp.small"),
    Call("DELETE", "/flavors/cmp.large"),
    Call("DELETE", "/flavors/cmp.large"),
)


@dataclass(frozen=True)
class Answered:
    call: Call
    status: int
    shape: Any
    text: str
    """The server's status once it rests."""
    state: str | None


def run(ksa: session.Session, names: dict[str, str]) -> Iterator[Answered]:
    """Make every call of the script, each when the one before has had its effect."""
    known = dict(names)
    for call in SCRIPT:
        response = _request(ksa, call.method, _filled(call.path, known), _filled(call.body, known), call.version)
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        data = response.json() if response.content and is_json else None
        if call.keep and response.ok:
            name, _, path = call.keep.partition("=")
            found: Any = data
            for part in path.split("/"):
                found = found[part]
            known[name] = str(found)
        state = None
        if "server" in known and call.method in ("POST", "DELETE"):
            state = _settled(ksa, known["server"], _passing(call) if response.ok else ())
        yield Answered(call, response.status_code, shape(data), response.text, state)


def _request(ksa: session.Session, method: str, path: str, body: Any, version: str) -> requests.Response:
    headers = {"OpenStack-API-Version": f"compute {version}"}
    where = {"service_type": "compute", "interface": "public"}
    kind = {} if body is None else {"json": body}
    return ksa.request(path, method, headers=headers, endpoint_filter=where, raise_exc=False, **kind)


def _filled(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, known) for inner in value]
    return value


def _passing(call: Call) -> tuple[str, ...]:
    """Return the statuses that a call brings to an end."""
    if (call.method, call.path) == ("DELETE", "/servers/{server}"):
        return ("ACTIVE", "DELETED")
    return ("VERIFY_RESIZE",) if {"confirmResize", "revertResize"} & set(call.body or ()) else ()


def _settled(ksa: session.Session, server_id: str, passing: tuple[str, ...]) -> str | None:
    """Wait until nothing is being done to a server, and return its status; None where it is gone."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        response = _request(ksa, "GET", f"/servers/{server_id}", None, "2.95")
        if response.status_code == 404:
            return None
        found = response.json()["server"]
        if found["OS-EXT-STS:task_state"] is None and found["status"] not in ("BUILD", *passing):
            return str(found["status"])
        time.sleep(0.05)
    raise AssertionError(f"server {server_id} does not come to rest: {response.text}")


def shape(value: Any) -> Any:
    """Return the keys and kinds of a JSON value: of a list, those of its elements."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        found = [shape(inner) for inner in value]
        return [json.loads(text) for text in sorted({json.dumps(one) for one in found})]
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string"}[type(value)]
