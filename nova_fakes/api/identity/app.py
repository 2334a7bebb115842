"""The identity service over HTTP: paths, shapes and policies of Keystone's v3 API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flask

from nova_fakes.api.auth import authenticate, current_token
from nova_fakes.api.identity.assignments import Grant
from nova_fakes.api.identity.authentication import authenticate_request
from nova_fakes.api.identity.collection import Row
from nova_fakes.api.identity.credentials import add_application_credentials
from nova_fakes.api.identity.description import description
from nova_fakes.api.identity.ec2 import add_credentials
from nova_fakes.api.identity.limits import add_limits
from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.project_tags import add_project_tags
from nova_fakes.api.identity.role_assignments import list_role_assignments
from nova_fakes.api.identity.service import IdentityService
from nova_fakes.api.identity.tokens import Scope, TokenRecord
from nova_fakes.api.identity.trusts import add_trusts
from nova_fakes.api.openapi import PATH, publish
from nova_fakes.api.wsgi import application, base_url, json_object, next_link, paginate, reply, title
from nova_fakes.exceptions import ApiError

__all__ = ["create_app"]

RESOURCES = ("domains", "projects", "users", "groups", "roles", "regions", "services", "endpoints")


def create_app(service: IdentityService) -> flask.Flask:
    """Return the WSGI application that serves `service`, to be mounted under "/identity"."""
    app = application(__name__, "identity", render_error)
    authenticate(app, service, public=("/", "/v3", "/v3/auth/tokens", "/v3/ec2tokens", PATH))
    policy = Policy(service)
    _add_versions(app)
    _add_tokens(app, service, policy)
    _add_auth(app, service)
    for plural in RESOURCES:
        _add_resource(app, service, policy, plural)
    _add_users(app, service, policy)
    _add_groups(app, service, policy)
    _add_grants(app, service, policy)
    _add_implied_roles(app, service, policy)
    add_application_credentials(app, service, policy)
    add_credentials(app, service, policy)
    add_limits(app, service, policy)
    add_project_tags(app, service, policy)
    add_trusts(app, service, policy)
    publish(app, "identity", "v3.14", description(service.collections))
    return app


def render_error(error: ApiError) -> flask.Response:
    """Return an error as Keystone does: {"error": {"code": …, "title": …, "message": …}}."""
    body = {"error": {"code": error.status, "message": error.message, "title": title(error.status)}}
    response = reply(body, error.status)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = f'Keystone uri="{base_url()}"'
    return response


def _no_content() -> flask.Response:
    return flask.Response(status=204)


def _add_versions(app: flask.Flask) -> None:
    def version() -> Row:
        return {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{base_url()}/v3/"}],
            "media-types": [
                {"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"},
            ],
        }

    @app.get("/")
    def versions() -> flask.Response:
        return reply({"versions": {"values": [version()]}}, 300, {"Location": f"{base_url()}/v3/"})

    @app.get("/v3")
    def v3() -> flask.Response:
        return reply({"version": version()})


def _add_tokens(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    def subject() -> tuple[str, TokenRecord]:
        token = current_token()
        token_id = flask.request.headers.get("X-Subject-Token", "")
        record = service.record(token_id, allow_expired=policy.flag("allow_expired"))
        action = "revoke_token" if flask.request.method == "DELETE" else "validate_token"
        # His own token anyone may look at; others' only who may know whether they exist.
        if record is None or record.user_id != token.user_id:
            policy.require(action, reader=True, allowed=token.is_service and action == "validate_token")
        if record is None:
            raise ApiError(404, "Failed to validate token")
        return token_id, record

    def answer(token_id: str, record: TokenRecord, status: int) -> flask.Response:
        body = {"token": service.describe(record, catalog=not policy.flag("nocatalog"))}
        return reply(body, status, {"X-Subject-Token": token_id, "Vary": "X-Auth-Token"})

    @app.post("/v3/auth/tokens")
    def issue() -> flask.Response:
        return answer(*authenticate_request(service, json_object("auth")), 201)

    @app.get("/v3/auth/tokens")
    def validate() -> flask.Response:
        return answer(*subject(), 200)

    @app.delete("/v3/auth/tokens")
    def revoke() -> flask.Response:
        token_id, _ = subject()
        service.revoke(token_id)
        return _no_content()


def _add_auth(app: flask.Flask, service: IdentityService) -> None:
    @app.get("/v3/auth/catalog")
    def catalog() -> flask.Response:
        record = service.record(current_token().id)
        if record is None or record.scope.kind == "unscoped":
            raise ApiError(403, "You are not authorized to perform the requested action: identity:get_auth_catalog.")
        body = {"catalog": service.catalog(record), "links": {"self": f"{base_url()}/v3/auth/catalog"}}
        return reply(body)

    @app.get("/v3/auth/projects")
    def auth_projects() -> flask.Response:
        return page("projects", service.scopes_of(current_token().user_id, "projects"))

    @app.get("/v3/auth/domains")
    def auth_domains() -> flask.Response:
        return page("domains", service.scopes_of(current_token().user_id, "domains"))

    @app.get("/v3/auth/system")
    def auth_system() -> flask.Response:
        roles = service.roles_on(current_token().user_id, Scope("system", "all"))
        return reply({"system": [{"all": True}] if roles else [], "links": _list_links()})


def _add_resource(app: flask.Flask, service: IdentityService, policy: Policy, plural: str) -> None:
    singular = service[plural].singular

    def values() -> Row:
        body = json_object(singular)
        if plural == "endpoints" and "region" in body:  # the older name of region_id; the region need not exist yet
            region = body.pop("region")
            if isinstance(region, str) and region not in service["regions"]:
                service.create("regions", {}, row_id=region)
            body.setdefault("region_id", region)
        return body

    def list_all() -> flask.Response:
        policy.require_list(plural)
        filters = flask.request.args.to_dict()
        if plural == "roles":
            # Roles of domains are listed only if asked for.
            rows = [row for row in service[plural].select(filters) if row["domain_id"] == filters.get("domain_id")]
        else:
            rows = service[plural].select(filters)
        return page(plural, rows)

    def create() -> flask.Response:
        policy.require(f"create_{singular}")
        return reply({singular: show(plural, service.create(plural, values()))}, 201)

    def get(row_id: str) -> flask.Response:
        row = service[plural].rows.get(row_id)
        policy.require_get(plural, row_id, row)
        return reply({singular: show(plural, service[plural].get(row_id))})

    def update(row_id: str) -> flask.Response:
        policy.require(f"update_{singular}")
        return reply({singular: show(plural, service.update(plural, row_id, values()))})

    def delete(row_id: str) -> flask.Response:
        policy.require(f"delete_{singular}")
        service.delete(plural, row_id)
        return _no_content()

    def put(row_id: str) -> flask.Response:
        policy.require(f"create_{singular}")
        return reply({singular: show(plural, service.create(plural, values(), row_id))}, 201)

    rules: list[tuple[str, str, Callable[..., flask.Response]]] = [
        ("GET", "", list_all),
        ("POST", "", create),
        ("GET", "/<row_id>", get),
        ("PATCH", "/<row_id>", update),
        ("DELETE", "/<row_id>", delete),
    ]
    if plural == "regions":
        rules.append(("PUT", "/<row_id>", put))
    for method, path, view in rules:
        app.add_url_rule(f"/v3/{plural}{path}", f"{method} {plural}{path}", view, methods=[method])


def _add_users(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    @app.post("/v3/users/<user_id>/password")
    def change_password(user_id: str) -> flask.Response:
        if current_token().user_id != user_id:
            raise ApiError(401, "The request you have made requires authentication.")
        body = json_object("user")
        original, new = body.get("original_password"), body.get("password")
        if not isinstance(original, str) or not isinstance(new, str):
            raise ApiError(400, "'original_password' and 'password' are required and must be strings.")
        service.change_password(user_id, original, new)
        return _no_content()

    @app.get("/v3/users/<user_id>/projects")
    def user_projects(user_id: str) -> flask.Response:
        policy.require("list_user_projects", reader=True, owner_id=user_id)
        service["users"].get(user_id)
        return page("projects", service.scopes_of(user_id, "projects"))

    @app.get("/v3/users/<user_id>/groups")
    def user_groups(user_id: str) -> flask.Response:
        policy.require("list_groups_for_user", reader=True, owner_id=user_id)
        return page("groups", service.groups_of(user_id))


def _add_groups(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    @app.get("/v3/groups/<group_id>/users")
    def members(group_id: str) -> flask.Response:
        policy.require("list_users_in_group", reader=True)
        return page("users", service.members(group_id))

    @app.put("/v3/groups/<group_id>/users/<user_id>")
    def add_member(group_id: str, user_id: str) -> flask.Response:
        policy.require("add_user_to_group")
        service.add_member(group_id, user_id)
        return _no_content()

    @app.get("/v3/groups/<group_id>/users/<user_id>")
    def check_member(group_id: str, user_id: str) -> flask.Response:
        policy.require("check_user_in_group", reader=True)
        service.check_member(group_id, user_id)
        return _no_content()

    @app.delete("/v3/groups/<group_id>/users/<user_id>")
    def remove_member(group_id: str, user_id: str) -> flask.Response:
        policy.require("remove_user_from_group")
        service.remove_member(group_id, user_id)
        return _no_content()


def _add_grants(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    def one(inherited: bool = False, **ids: str) -> flask.Response:
        grant = _grant(ids, ids["role_id"], inherited)
        if flask.request.method == "PUT":
            policy.require("create_grant")
            service.grant(grant)
        elif flask.request.method == "DELETE":
            policy.require("revoke_grant")
            service.revoke_grant(grant)
        else:
            policy.require("check_grant", reader=True)
            service.check_grant(grant)
        return _no_content()

    def several(inherited: bool = False, **ids: str) -> flask.Response:
        policy.require("list_grants", reader=True)
        wanted = _grant(ids, "", inherited)
        service[wanted.actor_type + "s"].get(wanted.actor_id)
        if wanted.target_type != "system":
            service[wanted.target_type + "s"].get(wanted.target_id)
        rows = [
            service["roles"].get(grant.role_id)
            for grant in service.assignments.of(wanted.actor_type, [wanted.actor_id])
            if (grant.target_type, grant.target_id, grant.inherited)
            == (wanted.target_type, wanted.target_id, inherited)
        ]
        return page("roles", rows)

    methods = ["PUT", "GET", "DELETE"]
    for target in ("projects/<project_id>", "domains/<domain_id>", "system"):
        for actor in ("users/<user_id>", "groups/<group_id>"):
            path = f"{target}/{actor}/roles"
            app.add_url_rule(f"/v3/{path}", f"grants {path}", several)
            app.add_url_rule(f"/v3/{path}/<role_id>", f"grant {path}", one, methods=methods)
            if target != "system":
                rule = {"inherited": True}
                path = f"OS-INHERIT/{path}"
                app.add_url_rule(f"/v3/{path}/inherited_to_projects", f"grants {path}", several, defaults=rule)
                app.add_url_rule(
                    f"/v3/{path}/<role_id>/inherited_to_projects", f"grant {path}", one, methods=methods, defaults=rule
                )

    @app.get("/v3/role_assignments")
    def role_assignments() -> flask.Response:
        policy.require("list_role_assignments", reader=True)
        rows = list_role_assignments(service, flask.request.args.to_dict(), f"{base_url()}/v3")
        return reply({"role_assignments": rows, "links": _list_links()})


def _grant(ids: dict[str, str], role_id: str, inherited: bool) -> Grant:
    actor_type = "user" if "user_id" in ids else "group"
    target_type = next((kind for kind in ("project", "domain") if f"{kind}_id" in ids), "system")
    return Grant(
        actor_type, ids[f"{actor_type}_id"], target_type, ids.get(f"{target_type}_id", "all"), role_id, inherited
    )


def _add_implied_roles(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    def reference(role: Row) -> Row:
        return {"id": role["id"], "name": role["name"], "links": {"self": f"{base_url()}/v3/roles/{role['id']}"}}

    def inference(prior: Row, implied: list[Row]) -> Row:
        return {"prior_role": reference(prior), "implies": [reference(role) for role in implied]}

    @app.get("/v3/roles/<prior_id>/implies")
    def implied_roles(prior_id: str) -> flask.Response:
        policy.require("list_implied_roles", reader=True)
        return reply({"role_inference": inference(service["roles"].get(prior_id), service.implied(prior_id))})

    @app.get("/v3/role_inferences")
    def role_inferences() -> flask.Response:
        policy.require("list_role_inference_rules", reader=True)
        rules = [inference(role, service.implied(role["id"])) for role in service["roles"]]
        return reply({"role_inferences": [rule for rule in rules if rule["implies"]], "links": _list_links()})

    @app.route("/v3/roles/<prior_id>/implies/<implied_id>", methods=["PUT", "GET", "DELETE"])
    def implied_role(prior_id: str, implied_id: str) -> flask.Response:
        method = flask.request.method
        action = {"PUT": "create_implied_role", "DELETE": "delete_implied_role"}.get(method, "get_implied_role")
        policy.require(action, reader=method in ("GET", "HEAD"))
        if method == "PUT":
            service.imply(prior_id, implied_id)
        elif method == "DELETE":
            service.stop_implying(prior_id, implied_id)
            return _no_content()
        elif implied_id not in {role["id"] for role in service.implied(prior_id)}:
            raise ApiError(404, f"{prior_id} does not imply {implied_id}.")
        elif method == "HEAD":
            return _no_content()
        rule = {
            "prior_role": reference(service["roles"].get(prior_id)),
            "implies": reference(service["roles"].get(implied_id)),
        }
        return reply({"role_inference": rule}, 201 if method == "PUT" else 200)


def show(plural: str, row: Row, path: str | None = None) -> Row:
    """Return a resource as the API shows it: with a link to itself.

    Args:
        plural: its kind ("users").
        row: the resource.
        path: where it is below /v3, if not at "<plural>/<id>".
    """
    shown = row | {"links": {"self": f"{base_url()}/v3/{path or plural + '/' + row['id']}"}}
    if plural == "endpoints":
        shown["region"] = row["region_id"]
    return shown


def page(plural: str, rows: Iterable[Row]) -> flask.Response:
    """Return a list of resources as the API shows it, cut by the request's "limit" and "marker"."""
    args: Any = flask.request.args
    limit = args.get("limit")
    if limit is not None and not (limit.isdigit() and int(limit) > 0):
        raise ApiError(400, f"Invalid input for query parameter 'limit': {limit!r} is not a positive integer.")
    ordered = sorted(rows, key=lambda row: row["id"]) if limit or "marker" in args else list(rows)
    part, more = paginate(
        ordered, marker=args.get("marker"), limit=int(limit) if limit else None, key=lambda row: str(row["id"])
    )
    links = _list_links()
    if more:
        links["next"] = next_link(f"{base_url()}{flask.request.path}", part[-1]["id"])
    return reply({plural: [show(plural, row) for row in part], "links": links})


def _list_links() -> Row:
    return {"next": None, "self": flask.request.url, "previous": None}
