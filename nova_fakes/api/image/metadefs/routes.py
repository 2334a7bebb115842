"""Paths of definitions of metadata: `/v2/metadefs` (`glance/api/v2/metadef_*.py`)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import flask

from nova_fakes.api.auth import current_token
from nova_fakes.api.image.metadefs.catalog import PARTS, Metadefs, Record
from nova_fakes.api.image.metadefs.schemas import PUBLISHED, check
from nova_fakes.api.wsgi import base_url, json_object, paginate, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_metadefs"]

_ROOT: Final = "/v2/metadefs/namespaces"
_SCHEMAS: Final = "/v2/schemas/metadefs"
_SORT_KEYS: Final = ("namespace", "display_name", "description", "visibility", "owner", "created_at", "updated_at")
_LIMIT, _LIMIT_MAX = 25, 1000


def add_metadefs(app: flask.Flask, metadefs: Metadefs) -> None:
    """Add the paths to the application."""

    @app.get(f"{_SCHEMAS}/<name>")
    def get_metadef_schema(name: str) -> flask.Response:
        if name not in PUBLISHED:
            raise ApiError(404, f"There is no schema 'metadefs/{name}'; there are {', '.join(PUBLISHED)}.")
        return reply(PUBLISHED[name])

    _add_namespaces(app, metadefs)
    for part in PARTS:
        _add_part(app, metadefs, part)
    _add_tags(app, metadefs)
    _add_types(app, metadefs)


def _checked(name: str) -> Record:
    body = json_object()
    check(name, body)
    return body


def _shown(namespace: Record) -> Record:
    """Return a namespace with the paths of itself and of what is in it."""
    path = f"{_ROOT}/{namespace['namespace']}"
    shown = {**namespace, "self": path, "schema": f"{_SCHEMAS}/namespace"}
    if "objects" in shown:
        shown["objects"] = [_object(path, one) for one in shown["objects"]]
    return {key: value for key, value in shown.items() if value is not None}


def _object(namespace_path: str, one: Record) -> Record:
    return {**one, "self": f"{namespace_path}/objects/{one['name']}", "schema": f"{_SCHEMAS}/object"}


def _add_namespaces(app: flask.Flask, metadefs: Metadefs) -> None:
    @app.get(_ROOT)
    def list_namespaces() -> flask.Response:
        rows, more = _page(_selected(metadefs.select(current_token())), "namespace")
        query = {key: value for key, value in flask.request.args.items() if key != "marker"}
        body: dict[str, Any] = {
            "namespaces": [_shown(one) for one in rows],
            "first": _link(_ROOT, query),
            "schema": f"{_SCHEMAS}/namespaces",
        }
        if more:
            body["next"] = _link(_ROOT, {**query, "marker": rows[-1]["namespace"]})
        return reply(body)

    @app.post(_ROOT)
    def create_namespace() -> flask.Response:
        made = _shown(metadefs.create(current_token(), _checked("namespace")))
        return reply(made, 201, {"Location": f"{base_url()}{made['self']}"})

    @app.get(f"{_ROOT}/<name>")
    def get_namespace(name: str) -> flask.Response:
        return reply(_shown(metadefs.get(current_token(), name, flask.request.args.get("resource_type"))))

    @app.put(f"{_ROOT}/<name>")
    def update_namespace(name: str) -> flask.Response:
        return reply(_shown(metadefs.update(current_token(), name, _checked("namespace"))))

    @app.delete(f"{_ROOT}/<name>")
    def delete_namespace(name: str) -> flask.Response:
        metadefs.delete(current_token(), name)
        return flask.Response(status=204)


def _selected(rows: list[Record]) -> list[Record]:
    """Return the namespaces that the query string asks for, in its order; ApiError 400."""
    args = flask.request.args
    visibility, types = args.get("visibility"), args.get("resource_types", "")
    if visibility not in (None, "", "public", "private"):
        raise ApiError(400, f"Invalid visibility value: {visibility}")
    wanted = {one for one in types.split(",") if one}
    found = [
        one
        for one in rows
        if (not visibility or one["visibility"] == visibility)
        and (not wanted or wanted & {row["name"] for row in one.get("resource_type_associations", ())})
    ]
    key, direction = args.get("sort_key", "created_at"), args.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise ApiError(400, f"Invalid sort direction: {direction}")
    if key not in _SORT_KEYS:
        raise ApiError(400, f"Sort key supplied is invalid: {key}")
    down = direction == "desc"
    return sorted(found[::-1] if down else found, key=lambda one: str(one.get(key) or ""), reverse=down)


def _page(rows: list[Record], key: str) -> tuple[list[Record], bool]:
    """Return the page that the query string asks for, and whether it is full; ApiError 400, 404."""
    text = flask.request.args.get("limit", str(_LIMIT))
    if not (text.isascii() and text.isdigit()):
        raise ApiError(400, "limit param must be an integer, and not negative")
    limit = min(int(text), _LIMIT_MAX)
    page, _ = paginate(
        rows,
        marker=flask.request.args.get("marker"),
        limit=limit,
        key=lambda one: str(one[key]),
        missing=lambda marker: ApiError(404, f"Metadata definition namespace={marker} was not found."),
    )
    return list(page), bool(page) and len(page) == limit


def _link(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _add_part(app: flask.Flask, metadefs: Metadefs, part: str) -> None:
    kind, root = PARTS[part], f"{_ROOT}/<name>/{part}"

    def shown(name: str, one: Record) -> Record:
        return _object(f"{_ROOT}/{name}", one) if part == "objects" else one

    def index(name: str) -> flask.Response:
        found = metadefs.parts(current_token(), name, part)
        if part == "properties":
            return reply({part: found})
        path = f"{_ROOT}/{name}/{part}"
        rows = [shown(name, one) if part == "objects" else {"name": one["name"]} for one in found.values()]
        return reply({part: rows[::-1], "first": path, "schema": f"{_SCHEMAS}/{part}"})

    def create(name: str) -> flask.Response:
        return reply(shown(name, metadefs.add(current_token(), name, part, _checked(kind))), 201)

    def show(name: str, key: str) -> flask.Response:
        resource_type = flask.request.args.get("resource_type") if part == "properties" else None
        if resource_type:
            key = metadefs.unprefixed(current_token(), name, resource_type, key)
        return reply(shown(name, {"name": key} | metadefs.part(current_token(), name, part, key)))

    def update(name: str, key: str) -> flask.Response:
        return reply(shown(name, metadefs.change(current_token(), name, part, key, _checked(kind))))

    def delete(name: str, key: str) -> flask.Response:
        metadefs.remove(current_token(), name, part, key)
        return flask.Response(status=204)

    def clear(name: str) -> flask.Response:
        metadefs.clear(current_token(), name, part)
        return flask.Response(status=204)

    app.add_url_rule(root, f"metadef_{part}", index, methods=["GET"])
    if part != "tags":
        app.add_url_rule(root, f"metadef_{part}_create", create, methods=["POST"])
    app.add_url_rule(root, f"metadef_{part}_clear", clear, methods=["DELETE"])
    app.add_url_rule(f"{root}/<key>", f"metadef_{part}_show", show, methods=["GET"])
    app.add_url_rule(f"{root}/<key>", f"metadef_{part}_update", update, methods=["PUT"])
    app.add_url_rule(f"{root}/<key>", f"metadef_{part}_delete", delete, methods=["DELETE"])


def _add_tags(app: flask.Flask, metadefs: Metadefs) -> None:
    @app.post(f"{_ROOT}/<name>/tags")
    def set_metadef_tags(name: str) -> flask.Response:
        tags = json_object().get("tags")
        if not isinstance(tags, list):
            raise ApiError(400, "Provided object does not match schema 'tags': 'tags' is a required list")
        for tag in tags:
            check("tag", tag)
        append = flask.request.headers.get("X-Openstack-Append", "").lower() in ("true", "1", "yes", "on", "t", "y")
        made = metadefs.set_tags(current_token(), name, [tag["name"] for tag in tags], append=append)
        path = f"{_ROOT}/{name}/tags"
        return reply({"tags": made, "first": path, "schema": f"{_SCHEMAS}/tags"}, 201)

    @app.post(f"{_ROOT}/<name>/tags/<key>")
    def add_metadef_tag(name: str, key: str) -> flask.Response:
        check("tag", {"name": key})
        return reply(metadefs.add(current_token(), name, "tags", {"name": key}), 201)


def _add_types(app: flask.Flask, metadefs: Metadefs) -> None:
    root = f"{_ROOT}/<name>/resource_types"

    @app.get("/v2/metadefs/resource_types")
    def list_resource_types() -> flask.Response:
        return reply({"resource_types": metadefs.types()})

    @app.get(root)
    def list_associations(name: str) -> flask.Response:
        return reply({"resource_type_associations": metadefs.associations(current_token(), name)})

    @app.post(root)
    def associate(name: str) -> flask.Response:
        return reply(metadefs.associate(current_token(), name, _checked("resource_type")), 201)

    @app.delete(f"{root}/<kind>")
    def dissociate(name: str, kind: str) -> flask.Response:
        metadefs.dissociate(current_token(), name, kind)
        return flask.Response(status=204)
