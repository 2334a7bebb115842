"""The first content of a cloud's identity service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nova_fakes.api.identity.assignments import Grant
from nova_fakes.api.identity.collection import Row

if TYPE_CHECKING:
    from nova_fakes.api.identity.service import IdentityService

__all__ = ["bootstrap"]

DOMAIN_ID = "default"
ROLES = ("admin", "manager", "member", "reader", "service")
SERVICE_USERS = ("nova", "placement", "neutron", "glance", "cinder")
NAMES = {
    "identity": "keystone",
    "image": "glance",
    "network": "neutron",
    "compute": "nova",
    "placement": "placement",
    "block-storage": "cinder",
    "volumev3": "cinder",
}
DESCRIPTIONS = {
    "admin": "Bootstrap project for initializing the cloud.",
    "service": "Users of the services.",
    "demo": "",
}


def bootstrap(
    service: IdentityService,
    admin_password: str,
    urls: Mapping[str, str],
    region: str,
    service_password: str,
    demo_password: str,
) -> None:
    """Make what `IdentityService.bootstrap` promises; its lock is held."""
    roles = {name: _ensure(service, "roles", name, None) for name in ROLES}
    for prior, implied in (("admin", "manager"), ("manager", "member"), ("member", "reader")):
        service.imply(roles[prior]["id"], roles[implied]["id"])
    projects = {
        name: _ensure(service, "projects", name, DOMAIN_ID, description=text) for name, text in DESCRIPTIONS.items()
    }
    admin = _ensure_user(service, "admin", admin_password, projects["admin"]["id"])
    service.grant(Grant("user", admin["id"], "project", projects["admin"]["id"], roles["admin"]["id"]))
    service.grant(Grant("user", admin["id"], "system", "all", roles["admin"]["id"]))
    for name in SERVICE_USERS:
        user = _ensure_user(service, name, service_password, projects["service"]["id"])
        for role in ("admin", "service"):
            service.grant(Grant("user", user["id"], "project", projects["service"]["id"], roles[role]["id"]))
    demo = _ensure_user(service, "demo", demo_password, projects["demo"]["id"])
    service.grant(Grant("user", demo["id"], "project", projects["demo"]["id"], roles["member"]["id"]))
    service.grant(Grant("user", admin["id"], "project", projects["demo"]["id"], roles["admin"]["id"]))
    if region not in service["regions"]:
        service.create("regions", {}, row_id=region)
    for service_type, url in urls.items():
        _ensure_endpoints(service, service_type, url, region)


def _ensure(service: IdentityService, plural: str, name: str, domain_id: str | None, **values: str) -> Row:
    found = service[plural].find(domain_id, name)
    return found or service.create(plural, {"name": name, "domain_id": domain_id, **values})


def _ensure_user(service: IdentityService, name: str, password: str, project_id: str) -> Row:
    user = service["users"].find(DOMAIN_ID, name)
    if user is None:
        return service.create("users", {"name": name, "password": password, "default_project_id": project_id})
    if not service.check_password(user["id"], password):
        service.update("users", user["id"], {"password": password})
    return user


def _ensure_endpoints(service: IdentityService, service_type: str, url: str, region: str) -> None:
    row = next((row for row in service["services"] if row["type"] == service_type), None)
    if row is None:
        row = service.create("services", {"type": service_type, "name": NAMES.get(service_type, service_type)})
    have = {
        endpoint["interface"]: endpoint
        for endpoint in service["endpoints"]
        if endpoint["service_id"] == row["id"] and endpoint["region_id"] == region
    }
    for interface in ("public", "internal", "admin"):
        if interface not in have:
            values = {"service_id": row["id"], "interface": interface, "url": url, "region_id": region}
            service.create("endpoints", values)
        elif have[interface]["url"] != url:
            service.update("endpoints", have[interface]["id"], {"url": url})
