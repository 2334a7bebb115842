from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from identity_requests import password_auth

from nova_fakes.api.identity import IdentityService, create_app
from nova_fakes.clock import ManualClock

URLS = {
    "identity": "http://cloud/identity",
    "compute": "http://cloud/compute/v2.1",
    "volumev3": "http://cloud/volume/v3/%(project_id)s",
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def service(clock: ManualClock) -> IdentityService:
    service = IdentityService(clock)
    service.bootstrap("secret", URLS, demo_password="demo-secret")
    return service


@pytest.fixture
def client(service: IdentityService) -> FlaskClient:
    return create_app(service).test_client()


@pytest.fixture
def log_in(client: FlaskClient) -> Callable[..., dict[str, str]]:
    """Headers of a request by that user."""

    def headers(user: str = "admin", password: str = "secret", scope: object = None) -> dict[str, str]:
        response = client.post("/v3/auth/tokens", json=password_auth(user, password, scope))
        assert response.status_code == 201, response.text
        return {"X-Auth-Token": response.headers["X-Subject-Token"]}

    return headers


@pytest.fixture
def admin(log_in: Callable[..., dict[str, str]]) -> dict[str, str]:
    return log_in()


@pytest.fixture
def demo(log_in: Callable[..., dict[str, str]]) -> dict[str, str]:
    return log_in("demo", "demo-secret")
