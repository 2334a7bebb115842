"""Trusts: one user lets another act for him, with some of his roles on one project (OS-TRUST)."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.service import IdentityService, timestamp, unix_time
from nova_fakes.api.identity.tokens import Scope
from nova_fakes.api.wsgi import base_url, json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_trusts"]

PLURAL = "trusts"
PATH = "/v3/OS-TRUST/trusts"


def add_trusts(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    """Add /v3/OS-TRUST/trusts to `app`."""

    def show(row: Row, *, one: bool = True) -> Row:
        shown = row | {"links": {"self": f"{base_url()}{PATH}/{row['id']}"}}
        if one:
            shown["roles_links"] = {"self": f"{base_url()}{PATH}/{row['id']}/roles", "next": None, "previous": None}
        else:
            del shown["roles"]
        return shown

    def visible(trust_id: str) -> Row:
        row = service[PLURAL].get(trust_id)
        user_id = policy.token().user_id
        if user_id not in (row["trustor_user_id"], row["trustee_user_id"]):
            policy.require("get_trust", reader=True)
        return row

    @app.get(PATH)
    def list_trusts() -> flask.Response:
        asked = flask.request.args.to_dict()
        names = ("trustor_user_id", "trustee_user_id")
        own = [name for name in names if asked.get(name) == policy.token().user_id]
        policy.require("list_trusts", reader=True, allowed=bool(own))
        rows = service[PLURAL].select({name: value for name, value in asked.items() if name in names})
        links = {"next": None, "self": flask.request.url, "previous": None}
        return reply({PLURAL: [show(row, one=False) for row in rows], "links": links})

    @app.post(PATH)
    def create_trust() -> flask.Response:
        values = json_object("trust")
        token = policy.token()
        if values.get("trustor_user_id") != token.user_id:
            raise ApiError(403, "The authenticated user should match the trustor.")
        record = service.record(token.id)
        if record is not None and record.trust_id is not None:
            raise ApiError(403, "A trust cannot be made with a token got by another one: redelegation is not offered.")
        return reply({"trust": show(_create(service, values))}, 201)

    @app.get(f"{PATH}/<trust_id>")
    def get_trust(trust_id: str) -> flask.Response:
        return reply({"trust": show(visible(trust_id))})

    @app.delete(f"{PATH}/<trust_id>")
    def delete_trust(trust_id: str) -> flask.Response:
        row = service[PLURAL].get(trust_id)
        policy.require("delete_trust", owner_id=row["trustor_user_id"])
        service.delete(PLURAL, trust_id)
        return flask.Response(status=204)

    @app.get(f"{PATH}/<trust_id>/roles")
    def list_roles(trust_id: str) -> flask.Response:
        row = visible(trust_id)
        links = {"next": None, "self": flask.request.url, "previous": None}
        return reply({"roles": row["roles"], "links": links})

    @app.get(f"{PATH}/<trust_id>/roles/<role_id>")
    def get_role(trust_id: str, role_id: str) -> flask.Response:
        row = visible(trust_id)
        for role in row["roles"]:
            if role["id"] == role_id:
                return reply({"role": role})
        raise ApiError(404, f"Could not find role: {role_id}.")


def _create(service: IdentityService, values: Row) -> Row:
    """Make a trust; ApiError 400, 403, 404."""
    with service.lock:
        trustee_id, project_id = values.get("trustee_user_id"), values.get("project_id")
        if not isinstance(trustee_id, str) or not isinstance(values.get("impersonation"), bool):
            raise ApiError(400, "'trustee_user_id' and 'impersonation' are required properties.")
        service["users"].get(trustee_id)
        roles = _roles(service, values.get("roles") or [], str(values["trustor_user_id"]), project_id)
        uses = values.get("remaining_uses")
        if uses is not None and (isinstance(uses, bool) or not isinstance(uses, int) or uses < 1):
            raise ApiError(400, f"Invalid input for field 'remaining_uses': {uses!r} is no integer of 1 or more.")
        return service.create(
            PLURAL,
            {
                "trustor_user_id": values["trustor_user_id"],
                "trustee_user_id": trustee_id,
                "project_id": project_id,
                "impersonation": values["impersonation"],
                "roles": roles,
                "expires_at": _expiry(values.get("expires_at")),
                "remaining_uses": uses,
                "redelegation_count": 0,
                "redelegated_trust_id": None,
                "deleted_at": None,
            },
        )


def _expiry(text: object) -> str | None:
    if text is None:
        return None
    try:
        return timestamp(unix_time(str(text)))
    except ValueError:
        raise ApiError(400, f"Invalid input for field 'expires_at': {text!r} is no time in ISO 8601.") from None


def _roles(service: IdentityService, asked: Any, trustor_id: str, project_id: object) -> list[Row]:
    """Return the roles that a trust hands on, which its maker must have; ApiError 400, 403, 404."""
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise ApiError(400, "Invalid input for field 'roles': it is not a list of objects.")
    if project_id is None:
        if asked:
            raise ApiError(400, "A trust with roles needs a 'project_id'.")
        return []
    have = {role["id"]: role for role in service.roles_on(trustor_id, Scope("project", str(project_id)))}
    if not asked:
        raise ApiError(403, "At least one role should be specified.")
    found = []
    for one in asked:
        role = next((row for row in service["roles"] if _names(one, row)), None)
        if role is None:
            raise ApiError(404, f"Could not find role: {one.get('id') or one.get('name')}.")
        if role["id"] not in have:
            raise ApiError(403, f"Role {role['name']} is not one of the trustor's on project {project_id}.")
        found.append({"id": role["id"], "name": role["name"]})
    return found


def _names(reference: Row, role: Row) -> bool:
    given = [name for name in ("id", "name") if name in reference]
    return bool(given) and all(reference[name] == role[name] for name in given)
