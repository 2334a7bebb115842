"""Routes of specifications of quality of service, which are for administrators."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.query import flag, page
from nova_fakes.api.volume.records import QosSpecs
from nova_fakes.api.volume.refusals import not_found
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

POLICY = "volume_extension:qos_specs_manage"
FIELDS = {
    "id": lambda specs: specs.id,
    "name": lambda specs: specs.name,
    "consumer": lambda specs: specs.consumer,
}


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    one = "/qos-specs/<qos_id>"
    for method, path, view, action in (
        ("GET", "/qos-specs", _index, "get_all"),
        ("POST", "/qos-specs", _create, "create"),
        ("GET", one, _show, "get"),
        ("PUT", one, _update, "update"),
        ("DELETE", one, _delete, "delete"),
        ("PUT", f"{one}/delete_keys", _delete_keys, "delete"),
        ("GET", f"{one}/associations", _associations, "get_all"),
        ("GET", f"{one}/associate", _associate, "update"),
        ("GET", f"{one}/disassociate", _disassociate, "update"),
        ("GET", f"{one}/disassociate_all", _disassociate_all, "update"),
    ):
        route(app, method, path, view, policy=f"{POLICY}:{action}")


def _view(specs: QosSpecs) -> dict[str, Any]:
    return {"id": specs.id, "name": specs.name, "consumer": specs.consumer, "specs": dict(specs.specs)}


def _shown(request: Request, specs: QosSpecs) -> flask.Response:
    links = request.views.links(request.token.project_id or "", "qos-specs", specs.id)
    return reply({"qos_specs": _view(specs), "links": links})


def _index(request: Request) -> flask.Response:
    found, _more, _total = page(
        request.service.qos.all(),
        request.token,
        request.version,
        fields=FIELDS,
        public=(),
        missing=lambda marker: not_found("QoS specs", marker),
    )
    return reply({"qos_specs": [_view(one) for one in found]})


def _create(request: Request) -> flask.Response:
    specs = dict(request.body("qos create")["qos_specs"])
    name, consumer = specs.pop("name").strip(), specs.pop("consumer", "back-end")
    if not name:
        raise ApiError(400, "Invalid input for field/attribute name. Value: . '' is too short")
    return _shown(request, request.service.qos.create(name, consumer, specs))


def _show(request: Request, qos_id: str) -> flask.Response:
    return _shown(request, request.service.qos.get(qos_id))


def _update(request: Request, qos_id: str) -> flask.Response:
    body = request.body("qos update")
    specs = dict(body["qos_specs"])
    request.service.qos.update(qos_id, specs, specs.pop("consumer", None))
    return reply(body)


def _delete(request: Request, qos_id: str) -> flask.Response:
    request.service.qos.delete(qos_id, force=flag("force"))
    return empty()


def _delete_keys(request: Request, qos_id: str) -> flask.Response:
    request.service.qos.unset(qos_id, request.body("qos keys")["keys"])
    return empty()


def _associations(request: Request, qos_id: str) -> flask.Response:
    kinds = request.service.qos.types(qos_id)
    found = [{"association_type": "volume_type", "name": kind.name, "id": kind.id} for kind in kinds]
    return reply({"qos_associations": found})


def _associate(request: Request, qos_id: str) -> flask.Response:
    request.service.qos.join(qos_id, _type_id())
    return empty()


def _disassociate(request: Request, qos_id: str) -> flask.Response:
    request.service.qos.part(qos_id, _type_id())
    return empty()


def _disassociate_all(request: Request, qos_id: str) -> flask.Response:
    request.service.qos.part(qos_id)
    return empty()


def _type_id() -> str:
    found = flask.request.args.get("vol_type_id")
    if not found:
        raise ApiError(400, "Volume Type id must not be None.")
    return found
