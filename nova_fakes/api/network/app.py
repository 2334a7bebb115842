"""The network API (Neutron v2.0) over a `NetworkService`: paths, bodies and statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import flask

from nova_fakes.api.auth import TokenValidator, authenticate
from nova_fakes.api.network.body import arguments, asked, caller, fields, wrapped
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.description import description
from nova_fakes.api.network.extensions import EXTENSIONS
from nova_fakes.api.network.ip_availability import add_ip_availability
from nova_fakes.api.network.nested import Nested
from nova_fakes.api.network.nested_routes import add_nested
from nova_fakes.api.network.query import Page, Query
from nova_fakes.api.network.record_routes import add_records
from nova_fakes.api.network.refusals import bad_request, not_found
from nova_fakes.api.network.service import NetworkService
from nova_fakes.api.network.table import Record
from nova_fakes.api.openapi import PATH, publish
from nova_fakes.api.wsgi import application, base_url, json_object, next_link, reply
from nova_fakes.exceptions import ApiError

__all__ = ["create_app"]

_KINDS: Final[Mapping[int, str]] = {
    400: "HTTPBadRequest",
    403: "HTTPForbidden",
    404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed",
    500: "HTTPInternalServerError",
}
_TAGGED: Final = (
    "networks", "subnets", "ports", "routers", "floatingips", "security-groups", "subnetpools", "trunks",
    "qos/policies", "segments",
)  # fmt: skip


def create_app(service: NetworkService, tokens: TokenValidator) -> flask.Flask:
    """Return the WSGI application.

    Args:
        service: what answers.
        tokens: who knows the callers' tokens.
    """
    app = application(__name__, "network", _render)
    authenticate(app, tokens, public=("", PATH))
    _add_discovery(app, service)
    _add_bindings(app, service)
    _add_routers(app, service)
    _add_quotas(app, service)
    _add_trunks(app, service)
    add_records(app)
    add_ip_availability(app, service.networks)
    for collection in service.collections:
        if isinstance(collection, Nested):
            add_nested(app, collection)
        else:
            _add_collection(app, collection)
    publish(app, "network", "v2.0", description(service.collections))
    return app


def _render(error: ApiError) -> flask.Response:
    if error.status == 401:  # keystonemiddleware answers this, in front of Neutron
        return reply({"error": {"code": 401, "title": "Unauthorized", "message": error.message}}, 401)
    kind = error.kind or _KINDS.get(error.status, "HTTPError")
    return reply({"NeutronError": {"type": kind, "message": error.message, "detail": ""}}, error.status)


def _add_discovery(app: flask.Flask, service: NetworkService) -> None:
    def versions() -> flask.Response:
        link = {"rel": "self", "href": f"{base_url()}/v2.0/"}
        return reply({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})

    def resources() -> flask.Response:
        root = f"{base_url()}/v2.0"
        paths = sorted(one.path for one in service.collections if not isinstance(one, Nested))
        return reply(
            {
                "resources": [
                    {
                        "name": path.rstrip("s").replace("-", "_"),
                        "collection": path.replace("-", "_"),
                        "links": [{"rel": "self", "href": f"{root}/{path}"}],
                    }
                    for path in paths
                ]
            }
        )

    def extensions() -> flask.Response:
        return reply({"extensions": [fields(extension, asked()) for extension in EXTENSIONS]})

    def extension(alias: str) -> flask.Response:
        for known in EXTENSIONS:
            if known["alias"] == alias:
                return reply({"extension": known})
        raise not_found("ExtensionsNotFound", f"Extensions not found: ['{alias}'].")

    app.add_url_rule("/", "versions", versions)
    app.add_url_rule("/v2.0", "resources", resources)
    app.add_url_rule("/v2.0/extensions", "extensions", extensions)
    app.add_url_rule("/v2.0/extensions/<alias>", "extension", extension)


def _add_collection(app: flask.Flask, collection: Collection) -> None:
    name, plural, path = collection.name, collection.plural, collection.path

    def index() -> flask.Response:
        query = Query.parse(arguments(), collection.schema, collection.filters)
        page = collection.list(caller(), query)
        body: Record = {plural: [fields(record, query.fields) for record in page.records]}
        links = _links(path, page, query)
        if links:
            body[f"{plural}_links"] = links
        return reply(body)

    def create() -> flask.Response:
        body = json_object()
        if plural not in body:
            return reply({name: collection.create(caller(), wrapped(name))}, 201)
        items = body[plural]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise bad_request("Body contains invalid data")
        unwrapped = [item[name] if isinstance(item.get(name), dict) else item for item in items]
        return reply({plural: collection.create_many(caller(), unwrapped)}, 201)

    def show(record_id: str) -> flask.Response:
        return reply({name: fields(collection.get(caller(), record_id), asked())})

    def update(record_id: str) -> flask.Response:
        return reply({name: collection.update(caller(), record_id, wrapped(name))})

    def delete(record_id: str) -> flask.Response:
        collection.delete(caller(), record_id)
        return flask.Response(status=204)

    app.add_url_rule(f"/v2.0/{path}", f"{plural}_index", index, methods=["GET"])
    app.add_url_rule(f"/v2.0/{path}", f"{plural}_create", create, methods=["POST"])
    app.add_url_rule(f"/v2.0/{path}/<record_id>", f"{plural}_show", show, methods=["GET"])
    app.add_url_rule(f"/v2.0/{path}/<record_id>", f"{plural}_update", update, methods=["PUT"])
    app.add_url_rule(f"/v2.0/{path}/<record_id>", f"{plural}_delete", delete, methods=["DELETE"])
    if path in _TAGGED:
        _add_tags(app, collection, f"/v2.0/{path}/<record_id>/tags")


def _links(path: str, page: Page, query: Query) -> list[dict[str, str]]:
    """Return the links to the neighbouring pages; a reversed request's next page comes before, as with Neutron."""
    if query.limit is None or not page.records:
        return []
    url = f"{base_url()}/v2.0/{path}"
    links = []
    if page.has_next:
        href = next_link(url, page.records[-1]["id"]).replace("&page_reverse=True", "")
        links.append({"rel": "next", "href": href})
    if page.has_previous:
        href = next_link(url, page.records[0]["id"])
        links.append({"rel": "previous", "href": href if query.reverse else f"{href}&page_reverse=True"})
    return links


def _add_tags(app: flask.Flask, collection: Collection, url: str) -> None:
    def current(record_id: str) -> list[str]:
        return list(collection.get(caller(), record_id)["tags"])

    def sent() -> list[str]:
        tags = json_object().get("tags")
        if not isinstance(tags, list):
            raise bad_request("Invalid input for tags. Reason: a list is required.")
        return tags

    def index(record_id: str) -> flask.Response:
        return reply({"tags": current(record_id)})

    def replace(record_id: str) -> flask.Response:
        return reply({"tags": collection.set_tags(caller(), record_id, sent())})

    def extend(record_id: str) -> flask.Response:
        return reply({"tags": collection.set_tags(caller(), record_id, current(record_id) + sent())}, 201)

    def clear(record_id: str) -> flask.Response:
        collection.set_tags(caller(), record_id, [])
        return flask.Response(status=204)

    def require(record_id: str, tag: str) -> list[str]:
        tags = current(record_id)
        if tag not in tags:
            raise not_found("TagNotFound", f"Tag {tag} could not be found.")
        return tags

    def show(record_id: str, tag: str) -> flask.Response:
        require(record_id, tag)
        return flask.Response(status=204)

    def add(record_id: str, tag: str) -> flask.Response:
        collection.set_tags(caller(), record_id, [*current(record_id), tag])
        return flask.Response(status=201)

    def remove(record_id: str, tag: str) -> flask.Response:
        collection.set_tags(caller(), record_id, [other for other in require(record_id, tag) if other != tag])
        return flask.Response(status=204)

    prefix = f"{collection.plural}_tags"
    app.add_url_rule(url, f"{prefix}_index", index, methods=["GET"])
    app.add_url_rule(url, f"{prefix}_replace", replace, methods=["PUT"])
    app.add_url_rule(url, f"{prefix}_extend", extend, methods=["POST"])
    app.add_url_rule(url, f"{prefix}_clear", clear, methods=["DELETE"])
    app.add_url_rule(f"{url}/<tag>", f"{prefix}_show", show, methods=["GET"])
    app.add_url_rule(f"{url}/<tag>", f"{prefix}_add", add, methods=["PUT"])
    app.add_url_rule(f"{url}/<tag>", f"{prefix}_remove", remove, methods=["DELETE"])


def _add_bindings(app: flask.Flask, service: NetworkService) -> None:
    bindings = service.bindings

    def index(port_id: str) -> flask.Response:
        filters = {name: values for name, values in arguments().items() if name != "fields"}
        unknown = filters.keys() - {"host", "vif_type", "vnic_type", "status"}
        if unknown:
            raise bad_request(f"{sorted(unknown)} is invalid attribute for filtering")
        found = bindings.list(caller(), port_id, filters)
        return reply({"bindings": [fields(binding, asked()) for binding in found]})

    def create(port_id: str) -> flask.Response:
        return reply({"binding": bindings.create(caller(), port_id, wrapped("binding"))}, 201)

    def show(port_id: str, host: str) -> flask.Response:
        return reply({"binding": fields(bindings.get(caller(), port_id, host), asked())})

    def update(port_id: str, host: str) -> flask.Response:
        return reply({"binding": bindings.update(caller(), port_id, host, wrapped("binding"))})

    def delete(port_id: str, host: str) -> flask.Response:
        bindings.delete(caller(), port_id, host)
        return flask.Response(status=204)

    def activate(port_id: str, host: str) -> flask.Response:
        return reply(bindings.activate(caller(), port_id, host))  # Neutron wraps this one in nothing

    url = "/v2.0/ports/<port_id>/bindings"
    app.add_url_rule(url, "bindings_index", index, methods=["GET"])
    app.add_url_rule(url, "bindings_create", create, methods=["POST"])
    app.add_url_rule(f"{url}/<host>", "bindings_show", show, methods=["GET"])
    app.add_url_rule(f"{url}/<host>", "bindings_update", update, methods=["PUT"])
    app.add_url_rule(f"{url}/<host>", "bindings_delete", delete, methods=["DELETE"])
    app.add_url_rule(f"{url}/<host>/activate", "bindings_activate", activate, methods=["PUT"])


def _add_routers(app: flask.Flask, service: NetworkService) -> None:
    def add(router_id: str) -> flask.Response:
        return reply(service.routers.add_interface(caller(), router_id, json_object()))

    def remove(router_id: str) -> flask.Response:
        return reply(service.routers.remove_interface(caller(), router_id, json_object()))

    url = "/v2.0/routers/<router_id>"
    app.add_url_rule(f"{url}/add_router_interface", "add_router_interface", add, methods=["PUT"])
    app.add_url_rule(f"{url}/remove_router_interface", "remove_router_interface", remove, methods=["PUT"])


def _add_trunks(app: flask.Flask, service: NetworkService) -> None:
    def index(trunk_id: str) -> flask.Response:
        return reply(service.trunks.sub_ports(caller(), trunk_id))

    def add(trunk_id: str) -> flask.Response:
        return reply(service.trunks.add(caller(), trunk_id, json_object()))

    def remove(trunk_id: str) -> flask.Response:
        return reply(service.trunks.remove(caller(), trunk_id, json_object()))

    url = "/v2.0/trunks/<trunk_id>"
    app.add_url_rule(f"{url}/get_subports", "get_subports", index, methods=["GET"])
    app.add_url_rule(f"{url}/add_subports", "add_subports", add, methods=["PUT"])
    app.add_url_rule(f"{url}/remove_subports", "remove_subports", remove, methods=["PUT"])


def _add_quotas(app: flask.Flask, service: NetworkService) -> None:
    quotas = service.quotas

    def index() -> flask.Response:
        return reply({"quotas": quotas.list(caller())})

    def show(project_id: str) -> flask.Response:
        if project_id in ("tenant", "project"):  # asks who the caller is
            own = caller().project_id
            return reply({project_id: {"project_id": own, "tenant_id": own}})
        return reply({"quota": quotas.get(caller(), project_id)})

    def defaults(project_id: str) -> flask.Response:
        return reply({"quota": quotas.defaults(caller(), project_id)})

    def details(project_id: str) -> flask.Response:
        return reply({"quota": quotas.details(caller(), project_id)})

    def update(project_id: str) -> flask.Response:
        body: dict[str, Any] = {
            name: value for name, value in wrapped("quota").items() if name not in ("force", "check_limit")
        }
        return reply({"quota": quotas.update(caller(), project_id, body)})

    def delete(project_id: str) -> flask.Response:
        quotas.delete(caller(), project_id)
        return flask.Response(status=204)

    url = "/v2.0/quotas"
    app.add_url_rule(url, "quotas_index", index, methods=["GET"])
    app.add_url_rule(f"{url}/<project_id>", "quotas_show", show, methods=["GET"])
    app.add_url_rule(f"{url}/<project_id>", "quotas_update", update, methods=["PUT"])
    app.add_url_rule(f"{url}/<project_id>", "quotas_delete", delete, methods=["DELETE"])
    app.add_url_rule(f"{url}/<project_id>/default", "quotas_defaults", defaults, methods=["GET"])
    app.add_url_rule(f"{url}/<project_id>/details", "quotas_details", details, methods=["GET"])
    app.add_url_rule(f"{url}/<project_id>/details.json", "quotas_details_json", details, methods=["GET"])
