"""Application credentials: a secret of its own, with some of the user's roles on one project."""

from __future__ import annotations

import secrets

import flask

from nova_fakes.api.auth import current_token
from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.passwords import hash_password
from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.service import IdentityService, timestamp, unix_time
from nova_fakes.api.wsgi import base_url, json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_application_credentials"]

PLURAL = "application_credentials"
SINGULAR = "application_credential"


def add_application_credentials(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    """Add /v3/users/{user}/application_credentials to `app`."""
    path = f"/v3/users/<user_id>/{PLURAL}"

    def show(row: Row) -> Row:
        shown = {name: value for name, value in row.items() if name not in ("secret_hash", "user_id")}
        link = f"{base_url()}/v3/users/{row['user_id']}/{PLURAL}/{row['id']}"
        return shown | {"user_id": row["user_id"], "links": {"self": link}}

    def own(user_id: str, row_id: str) -> Row:
        row = service[PLURAL].get(row_id)
        if row["user_id"] != user_id:
            raise service[PLURAL].missing(row_id)
        return row

    @app.get(path)
    def list_credentials(user_id: str) -> flask.Response:
        policy.require("list_application_credentials", reader=True, owner_id=user_id)
        rows = service[PLURAL].select(flask.request.args.to_dict() | {"user_id": user_id})
        links = {"next": None, "self": flask.request.url, "previous": None}
        return reply({PLURAL: [show(row) for row in rows], "links": links})

    @app.post(path)
    def create_credential(user_id: str) -> flask.Response:
        token = current_token()
        if token.user_id != user_id:  # not even an administrator can make one for somebody else
            raise ApiError(
                403, "You are not authorized to perform the requested action: identity:create_application_credential."
            )
        record = service.record(token.id)
        if record is None or record.scope.kind != "project":
            raise ApiError(400, "An application credential needs a token with a project scope.")
        if record.application_credential_id is not None:
            used = service[PLURAL].get(record.application_credential_id)
            if not used["unrestricted"]:
                raise ApiError(
                    403, "A restricted application credential cannot be used to manage application credentials."
                )
        body = json_object(SINGULAR)
        if body.get("access_rules"):  # to keep them unenforced would let the credential do more than asked
            raise ApiError(400, "Invalid input for field 'access_rules': no service here enforces access rules.")
        secret = body.pop("secret", None) or secrets.token_urlsafe(64)
        if not isinstance(secret, str):
            raise ApiError(400, "Invalid input for field 'secret': it is not of type string.")
        values = {
            "name": body.get("name"),
            "description": body.get("description"),
            "unrestricted": body.get("unrestricted", False),
            "expires_at": _expiry(body.get("expires_at")),
            "user_id": user_id,
            "project_id": token.project_id,
            "roles": _roles(service, body.get("roles"), service.token_roles(record)),
            "secret_hash": hash_password(secret),
        }
        row = service.create(PLURAL, values)
        return reply({SINGULAR: show(row) | {"secret": secret}}, 201)

    @app.get("/v3/users/<user_id>/access_rules")
    def list_access_rules(user_id: str) -> flask.Response:
        policy.require("list_access_rules", reader=True, owner_id=user_id)
        return reply({"access_rules": [], "links": {"next": None, "self": flask.request.url, "previous": None}})

    @app.route("/v3/users/<user_id>/access_rules/<rule_id>", methods=["GET", "DELETE"])
    def access_rule(user_id: str, rule_id: str) -> flask.Response:
        policy.require(f"{flask.request.method.lower()}_access_rule", reader=True, owner_id=user_id)
        raise ApiError(404, f"Could not find Access Rule: {rule_id}.")

    @app.get(f"{path}/<row_id>")
    def get_credential(user_id: str, row_id: str) -> flask.Response:
        policy.require("get_application_credential", reader=True, owner_id=user_id)
        return reply({SINGULAR: show(own(user_id, row_id))})

    @app.delete(f"{path}/<row_id>")
    def delete_credential(user_id: str, row_id: str) -> flask.Response:
        policy.require("delete_application_credential", owner_id=user_id)
        own(user_id, row_id)
        service.delete(PLURAL, row_id)
        return flask.Response(status=204)


def _expiry(text: object) -> str | None:
    if text is None:
        return None
    try:
        return timestamp(unix_time(str(text)))
    except ValueError:
        raise ApiError(400, f"Invalid input for field 'expires_at': {text!r} is no time in ISO 8601.") from None


def _roles(service: IdentityService, asked: object, have: list[Row]) -> list[Row]:
    """Return the roles that a new credential gets: those asked for, which the user must have, or all he has."""
    if asked is None or asked == []:
        return [{"id": role["id"], "name": role["name"], "domain_id": role["domain_id"]} for role in have]
    if not isinstance(asked, list):
        raise ApiError(400, "Invalid input for field 'roles': it is not of type list.")
    chosen = []
    for reference in asked:
        match = [
            role
            for role in have
            if isinstance(reference, dict)
            and reference
            and reference.get("id", role["id"]) == role["id"]
            and reference.get("name", role["name"]) == role["name"]
        ]
        if not match:
            raise ApiError(400, f"Role {reference} is not among the roles that the token carries.")
        role = match[0]
        chosen.append({"id": role["id"], "name": role["name"], "domain_id": role["domain_id"]})
    return chosen
