"""Bodies of requests to the identity API, and what their refusals look like."""

from typing import Any

from werkzeug.test import TestResponse


def password_auth(user: str = "admin", password: str = "secret", scope: object = None) -> dict[str, Any]:
    auth: dict[str, Any] = {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": user, "password": password, "domain": {"name": "Default"}}},
        }
    }
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


def project_scope(name: str) -> dict[str, Any]:
    return {"project": {"name": name, "domain": {"id": "default"}}}


def refused(response: TestResponse, status: int) -> str:
    """The message of a refusal, after a check of its form."""
    assert response.status_code == status, response.text
    error = response.get_json()["error"]
    assert error["code"] == status
    assert set(error) == {"code", "title", "message"}
    return str(error["message"])
