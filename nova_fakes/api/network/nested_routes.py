"""Paths of the collections within a resource: `/v2.0/floatingips/<id>/port_forwardings`."""

from __future__ import annotations

import flask

from nova_fakes.api.network.body import asked, caller, fields, wrapped
from nova_fakes.api.network.nested import Nested
from nova_fakes.api.network.query import Query
from nova_fakes.api.wsgi import reply

__all__ = ["add_nested"]


def add_nested(app: flask.Flask, collection: Nested) -> None:
    """Add the paths of one kind to the application."""
    name, plural = collection.name, collection.plural

    def index(parent_id: str) -> flask.Response:
        query = Query.parse(dict(flask.request.args.lists()), collection.schema)
        page = collection.list_within(caller(), parent_id, query)
        return reply({plural: [fields(record, query.fields) for record in page.records]})

    def create(parent_id: str) -> flask.Response:
        return reply({name: collection.create_within(caller(), parent_id, wrapped(name))}, 201)

    def show(parent_id: str, record_id: str) -> flask.Response:
        found = collection.within(caller(), parent_id, record_id)
        return reply({name: fields(collection.get(caller(), found), asked())})

    def update(parent_id: str, record_id: str) -> flask.Response:
        found = collection.within(caller(), parent_id, record_id)
        return reply({name: collection.update(caller(), found, wrapped(name))})

    def delete(parent_id: str, record_id: str) -> flask.Response:
        collection.delete(caller(), collection.within(caller(), parent_id, record_id))
        return flask.Response(status=204)

    url = f"/v2.0/{collection.path}"
    app.add_url_rule(url, f"{plural}_index", index, methods=["GET"])
    app.add_url_rule(url, f"{plural}_create", create, methods=["POST"])
    app.add_url_rule(f"{url}/<record_id>", f"{plural}_show", show, methods=["GET"])
    app.add_url_rule(f"{url}/<record_id>", f"{plural}_update", update, methods=["PUT"])
    app.add_url_rule(f"{url}/<record_id>", f"{plural}_delete", delete, methods=["DELETE"])
