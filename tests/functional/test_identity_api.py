"""The identity fake as Keystone's own clients see it."""

import json
import time
from collections.abc import Iterator

import openstack
import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3
from keystonemiddleware import auth_token
from openstack import exceptions as sdk_exceptions
from openstack_commands import run_openstack
from oslo_config import cfg

from nova_fakes.api.identity import IdentityService, create_app
from nova_fakes.api.server import Server
from nova_fakes.clock import ManualClock


class Cloud:
    """A server with an identity service, on a clock of its own."""

    def __init__(self) -> None:
        # Clients compare with their own clocks when a token expires.
        self.clock = ManualClock(time.time())
        self.service = IdentityService(self.clock)
        self.server = Server()
        self.url = f"{self.server.url}/identity"
        self.service.bootstrap("secret", {"identity": self.url, "compute": f"{self.server.url}/compute/v2.1"})
        self.server.mount("/identity", create_app(self.service))
        self.server.start()

    def auth(self, user: str = "admin", project: str = "admin", password: str = "secret") -> v3.Password:
        return v3.Password(
            self.url,
            username=user,
            password=password,
            project_name=project,
            user_domain_name="Default",
            project_domain_name="Default",
        )


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    yield cloud
    cloud.server.stop()


def connect(cloud: Cloud, user: str = "admin", project: str = "admin") -> openstack.connection.Connection:
    return openstack.connection.Connection(
        session=session.Session(cloud.auth(user, project)), region_name="RegionOne", identity_api_version="3"
    )


def test_keystoneauth_discovers_authenticates_and_reads_the_catalog(cloud) -> None:
    ksa = session.Session(cloud.auth())
    assert ksa.get_endpoint(service_type="compute", interface="internal").endswith("/compute/v2.1")
    access = ksa.auth.get_access(ksa)
    assert (access.username, access.project_name, "admin" in access.role_names) == ("admin", "admin", True)
    data = ksa.get_endpoint_data(service_type="identity", min_version="3")
    assert data.api_version == (3, 14)
    assert ksa.get("/projects", endpoint_filter={"service_type": "identity", "version": "3"}).json()["projects"]
    assert ksa.auth.invalidate()


def test_keystoneauth_gets_a_new_token_when_the_old_one_is_refused(cloud) -> None:
    ksa = session.Session(cloud.auth())
    first = ksa.get_token()
    cloud.service.revoke(first)
    ksa.get(f"{cloud.url}/v3/projects")
    assert ksa.get_token() != first


def test_keystoneauth_is_told_no(cloud) -> None:
    with pytest.raises(exceptions.Unauthorized):
        session.Session(cloud.auth(password="wrong")).get_token()
    demo = session.Session(cloud.auth("demo", "demo"))
    with pytest.raises(exceptions.Forbidden, match="identity:list_users"):
        demo.get(f"{cloud.url}/v3/users")


def test_keystonemiddleware_validates_tokens(cloud) -> None:
    seen: list[dict] = []

    def application(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    conf = {
        "oslo_config_config": cfg.ConfigOpts(),
        "www_authenticate_uri": cloud.url,
        "auth_type": "password",
        "auth_url": cloud.url,
        "username": "nova",
        "password": "secret",
        "user_domain_name": "Default",
        "project_name": "service",
        "project_domain_name": "Default",
        "service_token_roles_required": "true",
        "memcached_servers": "",
        "token_cache_time": "-1",
    }
    cloud.server.mount("/guarded", auth_token.AuthProtocol(application, conf))
    ksa = session.Session(cloud.auth("demo", "demo"))
    url = f"{cloud.server.url}/guarded"
    assert ksa.get(url).text == "ok"
    environ = seen[0]
    assert environ["HTTP_X_IDENTITY_STATUS"] == "Confirmed"
    assert environ["HTTP_X_PROJECT_NAME"] == "demo"
    assert environ["HTTP_X_ROLES"] == "member,reader"
    refused = session.Session().get(url, headers={"X-Auth-Token": "forged"}, raise_exc=False)
    assert refused.status_code == 401
    assert cloud.url in refused.headers["WWW-Authenticate"]
    demo = cloud.service["users"].find("default", "demo")
    token = ksa.get_token()
    cloud.service.update("users", demo["id"], {"enabled": False})
    gone = session.Session().get(url, headers={"X-Auth-Token": token}, raise_exc=False)
    assert gone.status_code == 401
    assert len(seen) == 1


def test_openstacksdk_manages_projects_users_and_roles(cloud) -> None:
    with connect(cloud) as connection:
        identity = connection.identity
        project = identity.create_project(name="lab", description="for tests", tags=["a"])
        user = identity.create_user(name="ann", password="secret", default_project_id=project.id, email="a@b")
        role = identity.find_role("member")
        identity.assign_project_role_to_user(project, user, role)
        assert identity.validate_user_has_project_role(project, user, role)
        assert [row.user["id"] for row in identity.role_assignments(scope_project_id=project.id)] == [user.id]
        with connect(cloud, "ann", "lab") as ann:
            assert ann.current_project_id == project.id
            assert [found.name for found in ann.identity.user_projects(user)] == ["lab"]
            with pytest.raises(sdk_exceptions.ForbiddenException):
                list(ann.identity.users())
        with pytest.raises(sdk_exceptions.ConflictException):
            identity.create_project(name="lab")
        group = identity.create_group(name="g")
        identity.add_user_to_group(user, group)
        assert identity.check_user_in_group(user, group)
        identity.unassign_project_role_from_user(project, user, role)
        identity.update_user(user, is_enabled=False)
        assert not identity.get_user(user).is_enabled
        identity.delete_user(user, ignore_missing=False)
        identity.delete_project(project, ignore_missing=False)
        assert identity.find_project("lab") is None
        service = identity.create_service(type="dns", name="designate")
        endpoint = identity.create_endpoint(
            service_id=service.id, interface="public", url="http://d", region_id="RegionOne"
        )
        assert endpoint.id in {row.id for row in identity.endpoints(service_id=service.id)}
        credential = identity.create_application_credential(connection.current_user_id, "ci")
        assert credential.secret


def test_the_openstack_command(cloud) -> None:
    issued, catalog, *done, again = run_openstack(
        cloud.url,
        "admin",
        "token issue -f json",
        "catalog list -f json",
        "user create --project demo --password x bob",
        "role add --user bob --project demo member",
        "role assignment list --names",
        "user show bob",
        "user create bob",
    )
    assert cloud.service.validate(json.loads(issued.output)["id"]) is not None
    assert {row["Type"] for row in json.loads(catalog.output)} == {"identity", "compute"}
    assert [outcome.status for outcome in done] == [0, 0, 0, 0]
    assert "bob@Default" in done[2].output
    bob = cloud.service["users"].find("default", "bob")
    assert [project["name"] for project in cloud.service.scopes_of(bob["id"], "projects")] == ["demo"]
    assert again.status == 1
    assert "409" in again.errors
