"""Ask the compute fake at many microversions, and check each answer by the schema that nova has for it.

A process of its own, since nova's API patches the interpreter that imports it. Prints what is wrong as JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

from keystoneauth1 import session
from keystoneauth1.identity import v3
from nova import exception
from nova.api.openstack.api_version_request import APIVersionRequest
from nova.api.openstack.compute.routes import ROUTE_LIST
from nova.api.validation import validators

from nova_fakes.api.stack import Stack

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIMh5y0ZfrTFPKmjZtHSCHTh5YjRFjdWzZZQ6rTrlmUh nobody@nowhere"
MINORS = (1, 2, 3, 9, 16, 19, 23, 26, 36, 47, 53, 54, 61, 64, 71, 73, 75, 80, 88, 90, 96, 98, 100)
START = "start=2020-01-01T00:00:00"


def nova_methods() -> Iterator[tuple[re.Pattern[str], str, str | None, Any]]:
    """Yield nova's methods: pattern of their path, HTTP method, name of the action, function."""
    for path, methods in ROUTE_LIST:
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")
        for method, (controller, name) in {} if isinstance(methods, str) else methods.items():
            main, others = controller.args
            if name != "action":
                yield pattern, method, None, getattr(main, name)
                continue
            for kind in (main, *others):
                for attribute in dir(kind):
                    function = getattr(kind, attribute)
                    if hasattr(function, "wsgi_action"):
                        yield pattern, method, function.wsgi_action, function


METHODS = sorted(nova_methods(), key=lambda row: row[0].pattern.count("["))


def schema_of(minor: int, method: str, path: str, body: Any) -> Any:
    """Return nova's schema of the answer to a request; None where it has no such method at that microversion."""
    version = APIVersionRequest(f"2.{minor}")
    for pattern, known, action, function in METHODS:
        if known != method or not pattern.match(path.partition("?")[0]) or (action and action not in (body or ())):
            continue
        bounds = (APIVersionRequest(getattr(function, name, None)) for name in ("min_version", "max_version"))
        if getattr(function, "removed", False) or not version.matches(*bounds):
            continue
        for schema, low, high in function.response_body_schemas._schemas:
            if version.matches(low, high):
                return schema
    return None


class Cloud:
    """The fakes, a session with them, and what was wrong."""

    def __init__(self, stack: Stack) -> None:
        where = {"user_domain_id": "default", "project_domain_id": "default"}
        identity = stack.endpoint("identity")
        auth = v3.Password(identity, username="admin", password="secret", project_name="admin", **where)
        self.session = session.Session(auth, session=stack.session())
        self.problems: list[str] = []
        self.answers = 0

    def first(self, service: str, path: str, plural: str) -> str:
        """Return the id of the first resource that a service lists."""
        rows = self.session.get(path, endpoint_filter={"service_type": service}).json()[plural]
        return str(rows[0]["id"])

    def ask(self, minor: int, method: str, path: str, body: Any = None) -> Any:
        """Make a request that is to succeed, and check what it answers."""
        answer = self.session.request(
            path,
            method,
            endpoint_filter={"service_type": "compute"},
            json=body,
            raise_exc=False,
            headers={"OpenStack-API-Version": f"compute 2.{minor}"},
        )
        shown = f"2.{minor} {method} {re.sub('[0-9a-f-]{36}', 'ID', path)} {list(body or ())}"
        schema = schema_of(minor, method, path, body)
        content = answer.json() if answer.content else None
        self.answers += 1
        if answer.status_code >= 300:
            self.problems.append(f"{shown}: {answer.status_code} {answer.text[:200]}")
        elif schema is None:
            self.problems.append(f"{shown}: nova has no such method")
        else:
            try:
                validators._SchemaValidator(schema).validate(content)
            except exception.ValidationError as error:
                self.problems.append(f"{shown}: {str(error)[:300]}")
        return content


def flavors_and_keys(cloud: Cloud, minor: int) -> None:
    name = f"f{minor}"
    values = {"name": name, "id": name, "ram": 64, "vcpus": 1, "disk": 1}
    cloud.ask(minor, "POST", "/flavors", {"flavor": values})
    cloud.ask(minor, "POST", "/flavors", {"flavor": {**values, "name": f"r{minor}", "id": f"r{minor}", "ram": 128}})
    specs = f"/flavors/{name}/os-extra_specs"
    cloud.ask(minor, "POST", specs, {"extra_specs": {"hw:cpu_policy": "shared"}})
    cloud.ask(minor, "POST", "/os-keypairs", {"keypair": {"name": name, "public_key": KEY}})
    for path in (
        "/flavors", "/flavors/detail", f"/flavors/{name}", specs, f"{specs}/hw:cpu_policy", "/os-keypairs",
        f"/os-keypairs/{name}",
    ):  # fmt: skip
        cloud.ask(minor, "GET", path)


def server_body(minor: int, image: str, network: str) -> dict[str, Any]:
    newer = {
        19: {"description": "d"},
        52: {"tags": ["t"]},
        63: {"trusted_image_certificates": ["c"]},
        90: {"hostname": f"h{minor}"},
    }
    values = {"name": "s", "imageRef": image, "flavorRef": f"f{minor}", "networks": [{"uuid": network}]}
    for since, more in newer.items():
        values |= more if minor >= since else {}
    return {"server": values, "os:scheduler_hints": {"answer": "42"}}


def servers(cloud: Cloud, minor: int, image: str, network: str) -> None:
    server_id = cloud.ask(minor, "POST", "/servers", server_body(minor, image, network))["server"]["id"]
    one = f"/servers/{server_id}"
    cloud.ask(minor, "PUT", one, {"server": {"name": "t"}})
    port_id = cloud.ask(minor, "POST", f"{one}/os-interface", {"interfaceAttachment": {"net_id": network}})
    actions: list[dict[str, Any]] = [
        {"lock": None}, {"unlock": None}, {"pause": None}, {"unpause": None}, {"os-stop": None}, {"os-start": None},
        {"rescue": {}}, {"unrescue": None}, {"rebuild": {"imageRef": image}}, {"resize": {"flavorRef": f"r{minor}"}},
        {"confirmResize": None}, {"createImage": {"name": "i"}}, {"removeSecurityGroup": {"name": "default"}},
        {"addSecurityGroup": {"name": "default"}},
        {"os-getConsoleOutput": {}}, {"shelve": None}, {"unshelve": None}, {"os-resetState": {"state": "error"}},
        {"os-resetState": {"state": "active"}},
    ]  # fmt: skip
    for action in actions:
        cloud.ask(minor, "POST", f"{one}/action", action)
        cloud.ask(minor, "GET", one)
    request = cloud.ask(minor, "GET", f"{one}/os-instance-actions")["instanceActions"][0]["request_id"]
    for path in (
        "", "/ips", "/metadata", "/diagnostics", "/os-interface", "/os-volume_attachments", "/os-security-groups",
        "/os-server-password", f"/os-instance-actions/{request}",
        f"/os-interface/{port_id['interfaceAttachment']['port_id']}",
    ):  # fmt: skip
        cloud.ask(minor, "GET", one + path)
    for since, path in ((23, "/migrations"), (26, "/tags"), (78, "/topology")):
        if minor >= since:
            cloud.ask(minor, "GET", one + path)
    for path in ("/servers", "/servers/detail", "/servers/detail?all_tenants=1&limit=1", "/os-migrations"):
        cloud.ask(minor, "GET", path)
    cloud.ask(minor, "DELETE", one)
    cloud.ask(minor, "GET", "/servers/detail?deleted=1&all_tenants=1")


def cloud_itself(cloud: Cloud, minor: int) -> None:
    group = {"policy": "affinity"} if minor >= 64 else {"policies": ["affinity"]}
    made = cloud.ask(minor, "POST", "/os-server-groups", {"server_group": {"name": "g", **group}})
    cloud.ask(minor, "DELETE", f"/os-server-groups/{made['server_group']['id']}")
    made = cloud.ask(minor, "POST", "/os-aggregates", {"aggregate": {"name": f"a{minor}"}})
    aggregate = f"/os-aggregates/{made['aggregate']['id']}"
    cloud.ask(minor, "POST", f"{aggregate}/action", {"set_metadata": {"metadata": {"k": "v"}}})
    nodes = cloud.ask(minor, "GET", "/os-hypervisors/detail")["hypervisors"]
    project = cloud.session.get_project_id()
    paths = [
        "/os-server-groups", "/os-aggregates", aggregate, "/os-hypervisors", f"/os-hypervisors/{nodes[0]['id']}",
        "/os-services", "/os-availability-zone", "/os-availability-zone/detail", f"/os-quota-sets/{project}",
        f"/os-quota-sets/{project}/detail", f"/os-quota-sets/{project}/defaults", "/os-quota-class-sets/default",
        "/limits", "/extensions", "/extensions/os-aggregates", f"/os-simple-tenant-usage?{START}&detailed=1",
        f"/os-simple-tenant-usage/{project}?{START}",
    ]  # fmt: skip
    if minor <= 87:
        paths += ["/os-hypervisors/statistics", f"/os-hypervisors/{nodes[0]['id']}/uptime"]
    for path in paths:
        cloud.ask(minor, "GET", path)


def main() -> int:
    """Ask everything at every microversion."""
    with Stack() as stack:
        cloud = Cloud(stack)
        image = cloud.first("image", "/v2/images", "images")
        network = cloud.first("network", "/v2.0/networks?name=private", "networks")
        for minor in MINORS:
            flavors_and_keys(cloud, minor)
            servers(cloud, minor, image, network)
            cloud_itself(cloud, minor)
    print(json.dumps({"answers": cloud.answers, "problems": cloud.problems}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
