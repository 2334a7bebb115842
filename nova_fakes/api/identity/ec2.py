"""Credentials of other kinds than passwords, and the EC2 pairs among them that a signature can prove."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import flask

from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.service import IdentityService
from nova_fakes.api.identity.tokens import Scope
from nova_fakes.api.wsgi import base_url, json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_credentials", "signature"]

PLURAL = "credentials"
KIND = "ec2"


def add_credentials(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    """Add /v3/credentials, /v3/users/{user}/credentials/OS-EC2 and /v3/ec2tokens to `app`."""
    _add_all(app, service, policy)
    _add_pairs(app, service, policy)

    @app.post("/v3/ec2tokens")
    def ec2_token() -> flask.Response:
        body = json_object()
        claim = body.get("credentials") or body.get("ec2Credentials")
        if not isinstance(claim, dict) or not isinstance(claim.get("access"), str):
            raise ApiError(400, "'credentials' with 'access' and 'signature' is a required property.")
        row = service[PLURAL].rows.get(hashlib.sha256(claim["access"].encode()).hexdigest())
        if row is None or row["type"] != KIND:
            raise ApiError(401, "EC2 access key not found.")
        secret = json.loads(row["blob"])["secret"]
        if not hmac.compare_digest(signature(secret, claim), str(claim.get("signature"))):
            raise ApiError(401, "EC2 signature not supplied or wrong.")
        token_id, record = service.issue(row["user_id"], ("ec2credential",), Scope("project", row["project_id"]))
        return reply({"token": service.describe(record)}, 200, {"X-Subject-Token": token_id})


def _add_all(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    def show(row: Row) -> Row:
        return row | {"links": {"self": f"{base_url()}/v3/{PLURAL}/{row['id']}"}}

    @app.get(f"/v3/{PLURAL}")
    def list_all_credentials() -> flask.Response:
        rows = service[PLURAL].select(flask.request.args.to_dict())
        if not policy.sees_all():
            rows = [row for row in rows if row["user_id"] == policy.token().user_id]
        links = {"next": None, "self": flask.request.url, "previous": None}
        return reply({PLURAL: [show(row) for row in rows], "links": links})

    @app.post(f"/v3/{PLURAL}")
    def create_any_credential() -> flask.Response:
        values = json_object("credential")
        values.setdefault("user_id", policy.token().user_id)
        policy.require("create_credential", owner_id=values["user_id"])
        return reply({"credential": show(_create(service, values))}, 201)

    @app.get(f"/v3/{PLURAL}/<row_id>")
    def get_any_credential(row_id: str) -> flask.Response:
        row = service[PLURAL].get(row_id)
        policy.require("get_credential", reader=True, owner_id=row["user_id"])
        return reply({"credential": show(row)})

    @app.patch(f"/v3/{PLURAL}/<row_id>")
    def update_any_credential(row_id: str) -> flask.Response:
        row = service[PLURAL].get(row_id)
        policy.require("update_credential", owner_id=row["user_id"])
        changes = json_object("credential")
        _check_pair({**row, **changes})
        return reply({"credential": show(service.update(PLURAL, row_id, changes))})

    @app.delete(f"/v3/{PLURAL}/<row_id>")
    def delete_any_credential(row_id: str) -> flask.Response:
        row = service[PLURAL].get(row_id)
        policy.require("delete_credential", owner_id=row["user_id"])
        service.delete(PLURAL, row_id)
        return flask.Response(status=204)


def _create(service: IdentityService, values: Row) -> Row:
    if values.get("user_id") not in service["users"]:
        raise ApiError(400, f"Could not find user: {values.get('user_id')}.")
    pair = _check_pair(values)
    row_id = None if pair is None else hashlib.sha256(pair["access"].encode()).hexdigest()
    return service.create(PLURAL, values, row_id)


def _check_pair(values: Row) -> dict[str, str] | None:
    """Return the pair in a credential of the kind ec2; ApiError 400 where it holds none."""
    if values.get("type") != KIND:
        return None
    try:
        pair = json.loads(values.get("blob") or "")
    except (TypeError, ValueError):
        pair = None
    if not isinstance(pair, dict) or not all(isinstance(pair.get(name), str) for name in ("access", "secret")):
        raise ApiError(400, "The blob of an ec2 credential must be a JSON object with 'access' and 'secret'.")
    if not isinstance(values.get("project_id"), str):
        raise ApiError(400, "An ec2 credential needs a 'project_id'.")
    return pair


def _add_pairs(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    path = "/v3/users/<user_id>/credentials/OS-EC2"

    def show(row: Row) -> Row:
        pair = json.loads(row["blob"])
        link = f"{base_url()}/v3/users/{row['user_id']}/credentials/OS-EC2/{pair['access']}"
        return {
            "user_id": row["user_id"],
            "tenant_id": row["project_id"],
            "access": pair["access"],
            "secret": pair["secret"],
            "trust_id": None,
            "links": {"self": link},
        }

    def own(user_id: str, access: str) -> Row:
        row = service[PLURAL].rows.get(hashlib.sha256(access.encode()).hexdigest())
        if row is None or row["user_id"] != user_id or row["type"] != KIND:
            raise ApiError(404, f"Could not find credential: {access}.")
        return row

    @app.get(path)
    def list_pairs(user_id: str) -> flask.Response:
        policy.require("ec2_list_credentials", reader=True, owner_id=user_id)
        service["users"].get(user_id)
        rows = service[PLURAL].select({"user_id": user_id, "type": KIND})
        links = {"next": None, "self": flask.request.url, "previous": None}
        return reply({PLURAL: [show(row) for row in rows], "links": links})

    @app.post(path)
    def create_pair(user_id: str) -> flask.Response:
        policy.require("ec2_create_credential", owner_id=user_id)
        project_id = json_object().get("tenant_id")
        service["users"].get(user_id)
        if not isinstance(project_id, str) or not service.roles_on(user_id, Scope("project", project_id)):
            raise ApiError(401, "The request you have made requires authentication.")
        pair = {"access": secrets.token_hex(16), "secret": secrets.token_hex(16), "trust_id": None}
        values = {"user_id": user_id, "project_id": project_id, "type": KIND, "blob": json.dumps(pair)}
        return reply({"credential": show(_create(service, values))}, 201)

    @app.get(f"{path}/<access>")
    def get_pair(user_id: str, access: str) -> flask.Response:
        policy.require("ec2_get_credential", reader=True, owner_id=user_id)
        return reply({"credential": show(own(user_id, access))})

    @app.delete(f"{path}/<access>")
    def delete_pair(user_id: str, access: str) -> flask.Response:
        policy.require("ec2_delete_credential", owner_id=user_id)
        service.delete(PLURAL, own(user_id, access)["id"])
        return flask.Response(status=204)


def signature(secret: str, claim: Mapping[str, Any]) -> str:
    """Return the signature that proves a request to an EC2 API, of version 2 or 4 (AWS General Reference).

    Args:
        secret: of the pair.
        claim: "host", "verb", "path", "params", and for version 4 "headers" and "body_hash" of the signed request.
    """
    params = {str(key): str(value) for key, value in dict(claim.get("params") or {}).items()}
    headers = {str(key).lower(): str(value) for key, value in dict(claim.get("headers") or {}).items()}
    verb, path = str(claim.get("verb", "GET")), str(claim.get("path", "/"))
    if headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
        return _version_4(secret, verb, path, params, headers, str(claim.get("body_hash", "")))
    sha256 = params.get("SignatureMethod") != "HmacSHA1"
    pairs = "&".join(f"{quote(key, safe='-_~')}={quote(params[key], safe='-_~')}" for key in sorted(params))
    text = f"{verb}\n{claim.get('host', '')}\n{path}\n{pairs}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256 if sha256 else hashlib.sha1).digest()
    return b64encode(digest).decode()


def _version_4(
    secret: str, verb: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], body_hash: str
) -> str:
    parts = dict(
        part.strip().split("=", 1) for part in headers["authorization"].partition(" ")[2].split(",") if "=" in part
    )
    scope = parts.get("Credential", "").split("/")[1:]
    names = parts.get("SignedHeaders", "").split(";")
    query = "&".join(f"{quote(key, safe='-_.~')}={quote(params[key], safe='-_.~')}" for key in sorted(params))
    signed = "".join(f"{name}:{headers[name].strip()}\n" for name in names if name in headers)
    canonical = "\n".join([verb, path, query if verb != "POST" else "", signed, ";".join(names), body_hash])
    date = headers.get("x-amz-date") or params.get("X-Amz-Date", "")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), digest])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
