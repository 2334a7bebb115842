"""GET /v3/role_assignments: the grants as they were made, or what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nova_fakes.api.identity.assignments import Grant
from nova_fakes.api.identity.collection import Row

if TYPE_CHECKING:
    from nova_fakes.api.identity.service import IdentityService

__all__ = ["list_role_assignments"]


def list_role_assignments(service: IdentityService, query: Mapping[str, str], base: str) -> list[Row]:
    """Return the role assignments that match a request's query.

    Args:
        service: the identity service.
        query: "user.id", "group.id", "role.id", "scope.project.id", "scope.domain.id", "scope.system",
            "scope.OS-INHERIT:inherited_to" filter; "effective" resolves groups, inheritance and implied roles;
            "include_names" adds names.
        base: URL of the API without trailing slash, for the links.
    """
    names = _flag(query, "include_names")
    with service.lock:
        grants = iter(service.assignments)
        if _flag(query, "effective"):
            grants = iter(dict.fromkeys(effective for grant in grants for effective in _resolve(service, grant)))
        return [_show(service, grant, names, base) for grant in grants if _wanted(grant, query)]


def _flag(query: Mapping[str, str], name: str) -> bool:
    return name in query and query[name].lower() not in ("0", "false")


def _resolve(service: IdentityService, grant: Grant) -> Iterator[Grant]:
    actors = [grant.actor_id]
    if grant.actor_type == "group":
        actors = [user["id"] for user in service.members(grant.actor_id)]
    targets = [(grant.target_type, grant.target_id)]
    if grant.inherited:
        targets = [("project", project_id) for project_id in _projects_below(service, grant)]
    for actor_id in actors:
        for target_type, target_id in targets:
            for role_id in service.with_implied([grant.role_id]):
                yield replace(
                    grant,
                    actor_type="user",
                    actor_id=actor_id,
                    target_type=target_type,
                    target_id=target_id,
                    role_id=role_id,
                    inherited=False,
                )


def _projects_below(service: IdentityService, grant: Grant) -> list[str]:
    if grant.target_type == "domain":
        return [row["id"] for row in service["projects"] if row["domain_id"] == grant.target_id]
    found: list[str] = []
    parents = {grant.target_id}
    while parents:
        parents = {row["id"] for row in service["projects"] if row["parent_id"] in parents}
        found += sorted(parents)
    return found


def _wanted(grant: Grant, query: Mapping[str, str]) -> bool:
    if query.get("role.id", grant.role_id) != grant.role_id:
        return False
    for actor_type in ("user", "group"):
        wanted = query.get(f"{actor_type}.id")
        if wanted is not None and (actor_type, wanted) != (grant.actor_type, grant.actor_id):
            return False
    for target_type in ("project", "domain"):
        wanted = query.get(f"scope.{target_type}.id")
        if wanted is not None and (target_type, wanted) != (grant.target_type, grant.target_id):
            return False
    if "scope.system" in query and grant.target_type != "system":
        return False
    return grant.inherited or "scope.OS-INHERIT:inherited_to" not in query


def _show(service: IdentityService, grant: Grant, names: bool, base: str) -> Row:
    def reference(plural: str, row_id: str) -> Row:
        shown: Row = {"id": row_id}
        if names:
            row = service[plural].get(row_id)
            shown["name"] = row["name"]
            domain_id = row.get("domain_id")
            if domain_id is not None:
                shown["domain"] = {"id": domain_id, "name": service["domains"].get(domain_id)["name"]}
        return shown

    if grant.target_type == "system":
        scope: Row = {"system": {"all": True}}
        path = f"system/{grant.actor_type}s/{grant.actor_id}/roles/{grant.role_id}"
    else:
        scope = {grant.target_type: reference(grant.target_type + "s", grant.target_id)}
        path = f"{grant.target_type}s/{grant.target_id}/{grant.actor_type}s/{grant.actor_id}/roles/{grant.role_id}"
    if grant.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
        path = f"OS-INHERIT/{path}/inherited_to_projects"
    return {
        "role": reference("roles", grant.role_id),
        grant.actor_type: reference(grant.actor_type + "s", grant.actor_id),
        "scope": scope,
        "links": {"assignment": f"{base}/{path}"},
    }
