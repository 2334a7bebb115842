"""Unified limits: what a resource is limited to everywhere, and in which project or domain to something else.

nova asks for them where it counts quotas by [quota] driver = nova.quota.UnifiedLimitsDriver.
"""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.service import IdentityService
from nova_fakes.api.wsgi import base_url, json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_limits"]

MODEL = {
    "name": "flat",
    "description": "Limits do not take the hierarchy of projects into account.",
}


def add_limits(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    """Add /v3/registered_limits and /v3/limits to `app`."""

    @app.get("/v3/limits/model")
    def model() -> flask.Response:
        return reply({"model": MODEL})

    for plural in ("registered_limits", "limits"):
        _add(app, service, policy, plural)


def _add(app: flask.Flask, service: IdentityService, policy: Policy, plural: str) -> None:
    singular = service[plural].singular

    def show(row: Row) -> Row:
        return row | {"links": {"self": f"{base_url()}/v3/{plural}/{row['id']}"}}

    def page(rows: list[Row]) -> Row:
        return {
            plural: [show(row) for row in rows],
            "links": {"next": None, "self": flask.request.url, "previous": None},
        }

    def list_all() -> flask.Response:
        rows = service[plural].select(flask.request.args.to_dict())
        token = policy.token()
        if plural == "limits" and not policy.sees_all():
            rows = [row for row in rows if token.project_id is not None and row["project_id"] == token.project_id]
        return reply(page(rows))

    def create() -> flask.Response:
        policy.require(f"create_{plural}")
        wanted = json_object().get(plural)
        if not isinstance(wanted, list) or not wanted or not all(isinstance(one, dict) for one in wanted):
            raise ApiError(400, f"'{plural}' is a required property and must be a list of objects that is not empty.")
        with service.lock:
            made: list[Row] = []
            try:
                for values in wanted:
                    _check(service, plural, values)
                    made.append(service.create(plural, values))
            except ApiError:
                for row in made:
                    service.delete(plural, row["id"])
                raise
        return reply(page(made), 201)

    def get(row_id: str) -> flask.Response:
        row = service[plural].get(row_id)
        if plural == "limits" and not policy.sees_all() and row["project_id"] != policy.token().project_id:
            raise ApiError(403, f"You are not authorized to perform the requested action: identity:get_{singular}.")
        return reply({singular: show(row)})

    def update(row_id: str) -> flask.Response:
        policy.require(f"update_{singular}")
        changes = json_object(singular)
        with service.lock:
            row = service[plural].get(row_id)
            _check_numbers(changes)
            if plural == "registered_limits" and changes.keys() - {"default_limit", "description"}:
                _check_unused(service, row)
            return reply({singular: show(service.update(plural, row_id, changes))})

    def delete(row_id: str) -> flask.Response:
        policy.require(f"delete_{singular}")
        with service.lock:
            if plural == "registered_limits":
                _check_unused(service, service[plural].get(row_id))
            service.delete(plural, row_id)
        return flask.Response(status=204)

    for method, path, view in (
        ("GET", "", list_all),
        ("POST", "", create),
        ("GET", "/<row_id>", get),
        ("PATCH", "/<row_id>", update),
        ("DELETE", "/<row_id>", delete),
    ):
        app.add_url_rule(f"/v3/{plural}{path}", f"{method} {plural}{path}", view, methods=[method])


def _check_numbers(values: Row) -> None:
    for name in ("default_limit", "resource_limit"):
        value = values.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < -1:
            raise ApiError(400, f"Invalid input for field '{name}': {value!r} is no integer of -1 or more.")


def _check(service: IdentityService, plural: str, values: Row) -> None:
    """Refuse a limit that contradicts others: ApiError 400, 403, 409."""
    _check_numbers(values)
    if plural == "registered_limits":
        return
    owners = [name for name in ("project_id", "domain_id") if values.get(name) is not None]
    if len(owners) != 1:
        raise ApiError(400, "A limit has either a 'project_id' or a 'domain_id'.")
    for name, target in (("project_id", "projects"), ("domain_id", "domains")):
        if name in owners and values[name] not in service[target]:
            raise ApiError(400, f"Could not find {name.removesuffix('_id')}: {values[name]}.")
    if not any(_same(row, values) for row in service["registered_limits"]):
        raise ApiError(403, f"No registered limit found for {values.get('resource_name')}: register one first.")


def _check_unused(service: IdentityService, registered: Row) -> None:
    if any(_same(row, registered) for row in service["limits"]):
        raise ApiError(
            403,
            f"Unable to update or delete registered limit {registered['id']} because there are project limits "
            "associated with it.",
        )


def _same(row: Row, other: dict[str, Any]) -> bool:
    return all(row.get(name) == other.get(name) for name in ("service_id", "region_id", "resource_name"))
