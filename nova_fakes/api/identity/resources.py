"""The kinds of identity resources and their attributes (Keystone's API reference, v3)."""

from __future__ import annotations

from nova_fakes.api.identity.collection import Collection, Field

__all__ = ["collections"]

NULL = type(None)
NAME = Field((str,), required=True)
TEXT = Field((str, NULL))
DESCRIPTION = Field((str, NULL), default="")
ENABLED = Field((bool,), default=True)
DOMAIN = Field((str, NULL), immutable=True)
OPTIONS = Field((dict,), default={})
TAGS = Field((list,), default=[])


def collections() -> dict[str, Collection]:
    """Return an empty collection of each kind, by plural name."""
    domain_name = ("domain_id", "name")
    kinds = [
        Collection(
            "domain",
            "domains",
            {"name": NAME, "description": DESCRIPTION, "enabled": ENABLED, "options": OPTIONS, "tags": TAGS},
            ("name",),
        ),
        Collection(
            "project",
            "projects",
            {
                "name": NAME,
                "domain_id": DOMAIN,
                "description": DESCRIPTION,
                "enabled": ENABLED,
                "parent_id": Field((str, NULL), immutable=True),
                "is_domain": Field((bool,), default=False, immutable=True),
                "options": OPTIONS,
                "tags": TAGS,
            },
            domain_name,
        ),
        Collection(
            "user",
            "users",
            {
                "name": NAME,
                "domain_id": DOMAIN,
                "enabled": ENABLED,
                "default_project_id": TEXT,
                "password_expires_at": TEXT,
                "options": OPTIONS,
            },
            domain_name,
        ),
        Collection("group", "groups", {"name": NAME, "domain_id": DOMAIN, "description": DESCRIPTION}, domain_name),
        Collection(
            "role",
            "roles",
            {"name": NAME, "domain_id": DOMAIN, "description": TEXT, "options": OPTIONS},
            domain_name,
        ),
        Collection(
            "region",
            "regions",
            {"description": DESCRIPTION, "parent_region_id": TEXT},
        ),
        Collection(
            "service",
            "services",
            {"type": NAME, "name": Field((str,), default=""), "description": TEXT, "enabled": ENABLED},
        ),
        Collection(
            "endpoint",
            "endpoints",
            {
                "service_id": Field((str,), required=True),
                "interface": Field((str,), required=True, choices=("admin", "internal", "public")),
                "url": Field((str,), required=True),
                "region_id": TEXT,
                "enabled": ENABLED,
            },
        ),
        Collection(
            "application_credential",
            "application_credentials",
            {
                "name": NAME,
                "description": TEXT,
                "user_id": NAME,
                "project_id": Field((str, NULL)),
                "roles": Field((list,), default=[]),
                "expires_at": TEXT,
                "unrestricted": Field((bool,), default=False),
                "system": TEXT,
            },
            ("user_id", "name"),
        ),
        Collection(
            "registered_limit",
            "registered_limits",
            {
                "service_id": NAME,
                "region_id": TEXT,
                "resource_name": NAME,
                "default_limit": Field((int,), required=True),
                "description": TEXT,
            },
            ("service_id", "region_id", "resource_name"),
        ),
        Collection(
            "limit",
            "limits",
            {
                "service_id": NAME,
                "region_id": TEXT,
                "resource_name": NAME,
                "resource_limit": Field((int,), required=True),
                "project_id": TEXT,
                "domain_id": TEXT,
                "description": TEXT,
            },
            ("service_id", "region_id", "resource_name", "project_id", "domain_id"),
        ),
        Collection(
            "credential",
            "credentials",
            {"type": NAME, "blob": Field((str,), required=True), "user_id": NAME, "project_id": TEXT},
        ),
        Collection(
            "trust",
            "trusts",
            {
                "trustor_user_id": NAME,
                "trustee_user_id": NAME,
                "project_id": TEXT,
                "impersonation": Field((bool,), required=True),
                "roles": Field((list,), default=[]),
                "expires_at": TEXT,
                "remaining_uses": Field((int, NULL)),
            },
        ),
    ]
    return {kind.plural: kind for kind in kinds}
