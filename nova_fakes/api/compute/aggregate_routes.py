"""Host aggregates over HTTP."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.compute.hosts import ZONE_KEY
from nova_fakes.api.compute.records import Aggregate, naive_time
from nova_fakes.api.compute.routing import Request, Route
from nova_fakes.api.compute.schema import FQDN, NAME, UUID, nullable, objects, wrapped
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_ZONE_PATTERN = r"^[^\s:\x00-\x1f\x7f-\x9f]([^:\x00-\x1f\x7f-\x9f]*[^\s:\x00-\x1f\x7f-\x9f])?$"
_ZONE = nullable({"type": "string", "minLength": 1, "maxLength": 255, "pattern": _ZONE_PATTERN, "format": "printable"})
_METADATA = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": nullable({"type": "string", "maxLength": 255})},
    "additionalProperties": False,
}


def _view(request: Request, one: Aggregate) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": one.id,
        "name": one.name,
        "hosts": one.hosts,
        "metadata": one.metadata,
        "created_at": naive_time(one.created_at),
        "updated_at": naive_time(one.updated_at),
        "deleted_at": None,
        "deleted": False,
        "availability_zone": one.metadata.get(ZONE_KEY),
    }
    if request.since(41):
        shown["uuid"] = one.uuid
    return shown


def _index(request: Request) -> dict[str, Any]:
    request.require_admin("os-aggregates:index")
    return {"aggregates": [_view(request, one) for one in request.service.hosts.aggregates.values()]}


def _create(request: Request) -> dict[str, Any]:
    request.require_admin("os-aggregates:create")
    asked = request.body["aggregate"]
    made = request.service.hosts.add_aggregate(asked["name"])
    zone = asked.get("availability_zone")
    if zone is not None:
        made.metadata[ZONE_KEY] = zone
    shown = _view(request, made)
    # It has no hosts and metadata yet, and nova does not show that.
    del shown["hosts"], shown["metadata"]
    return {"aggregate": shown}


def _show(request: Request, aggregate_id: str) -> dict[str, Any]:
    request.require_admin("os-aggregates:show")
    return {"aggregate": _view(request, request.service.hosts.aggregate(aggregate_id))}


def _update(request: Request, aggregate_id: str) -> dict[str, Any]:
    request.require_admin("os-aggregates:update")
    hosts = request.service.hosts
    one, asked = hosts.aggregate(aggregate_id), request.body["aggregate"]
    if "name" in asked:
        hosts.check_name(asked["name"], other_than=one)
    if "availability_zone" in asked:
        _check_zone(request, one, one.hosts, asked["availability_zone"])
        _set_zone(one, asked["availability_zone"])
    one.name = asked.get("name", one.name)
    one.updated_at = request.service.now
    return {"aggregate": _view(request, one)}


def _set_zone(one: Aggregate, zone: str | None) -> None:
    if zone is None:
        one.metadata.pop(ZONE_KEY, None)
    else:
        one.metadata[ZONE_KEY] = zone


def _check_zone(request: Request, one: Aggregate, hosts: list[str], zone: str | None, status: int = 400) -> None:
    """Refuse to let a host be in two zones, or to move a host with servers out of its own."""
    for host in hosts:
        others = {
            other.metadata[ZONE_KEY]
            for other in request.service.hosts.aggregates.values()
            if other is not one and host in other.hosts and ZONE_KEY in other.metadata
        }
        if zone is not None and others - {zone}:
            raise ApiError(
                409,
                f"Cannot perform action 'update' on aggregate {one.id}. Reason: Host {host} already in availability "
                f"zone {sorted(others)[0]}.",
            )
        busy = any(server.host == host for server in request.service.servers.values())
        if busy and zone != one.metadata.get(ZONE_KEY) and not others:
            raise ApiError(
                status,
                f"Cannot perform action 'update aggregate' on aggregate {one.id}. Reason: One or more hosts contain "
                f"instances in this zone.",
            )


def _delete(request: Request, aggregate_id: str) -> None:
    request.require_admin("os-aggregates:delete")
    one = request.service.hosts.aggregate(aggregate_id)
    if one.hosts:
        raise ApiError(
            400, f"Cannot perform action 'delete' on aggregate {one.id}. Reason: Host aggregate is not empty."
        )
    del request.service.hosts.aggregates[one.id]


def _act(request: Request, aggregate_id: str) -> dict[str, Any]:
    name = next(iter(request.body))
    request.require_admin(f"os-aggregates:{name}")
    hosts = request.service.hosts
    one, asked = hosts.aggregate(aggregate_id), request.body[name]
    if name == "set_metadata":
        _set_metadata(request, one, asked["metadata"])
    elif name == "add_host":
        _add_host(request, one, asked["host"])
    else:
        if asked["host"] not in one.hosts:
            raise ApiError(404, f"Cannot remove host {asked['host']} in aggregate {one.id}")
        if ZONE_KEY in one.metadata:
            _check_zone(request, one, [asked["host"]], None, status=409)
        one.hosts = [host for host in one.hosts if host != asked["host"]]
    one.updated_at = request.service.now
    return {"aggregate": _view(request, one)}


def _add_host(request: Request, one: Aggregate, host: str) -> None:
    if request.service.hosts.service(host) is None:
        raise ApiError(404, f"Cannot add host {host} in aggregate {one.id}")
    if host in one.hosts:
        raise ApiError(409, f"Aggregate {one.id} already has host {host}.")
    if ZONE_KEY in one.metadata:
        _check_zone(request, one, [host], one.metadata[ZONE_KEY], status=409)
        busy = any(server.host == host for server in request.service.servers.values())
        if busy and request.service.hosts.zone(host) != one.metadata[ZONE_KEY]:
            raise ApiError(
                409,
                f"Cannot perform action 'add_host_to_aggregate' on aggregate {one.id}. Reason: Cannot add host to "
                f"aggregate: One or more hosts contain instances in this zone.",
            )
    one.hosts = [*one.hosts, host]


def _set_metadata(request: Request, one: Aggregate, metadata: dict[str, str | None]) -> None:
    if ZONE_KEY in metadata:
        zone = metadata[ZONE_KEY]
        if zone == "":
            raise ApiError(
                400,
                f"Cannot perform action 'update' on aggregate {one.id}. Reason: Aggregate does not support empty "
                "named availability zone.",
            )
        _check_zone(request, one, one.hosts, zone)
    for key, value in metadata.items():
        if value is None:
            one.metadata.pop(key, None)
        else:
            one.metadata[key] = value


def _cache(request: Request, aggregate_id: str) -> None:
    request.require_admin("os-aggregates:images")
    one = request.service.hosts.aggregate(aggregate_id)
    ids = [entry["id"] for entry in request.body["cache"]]
    if len(set(ids)) != len(ids):
        raise ApiError(400, "Duplicate images in request")
    for host in one.hosts:
        if not request.service.fleet.hypervisor(host).silent:
            for image_id in ids:
                request.service.fleet.hypervisor(host).cache_image(image_id)


_NEW = wrapped("aggregate", objects({"name": NAME, "availability_zone": _ZONE}, ("name",)))
_CHANGE = wrapped("aggregate", {**objects({"name": NAME, "availability_zone": _ZONE}), "minProperties": 1})
_HOST = objects({"host": FQDN}, ("host",))
_ACTION = {
    "oneOf": [
        wrapped("add_host", _HOST),
        wrapped("remove_host", _HOST),
        wrapped("set_metadata", objects({"metadata": _METADATA}, ("metadata",))),
    ]
}
_IMAGES = objects({"cache": {"type": "array", "minItems": 1, "items": objects({"id": UUID}, ("id",))}}, ("cache",))
_ONE = "/os-aggregates/<aggregate_id>"

ROUTES = (
    Route("GET", "/os-aggregates", _index, errors=(403,)),
    Route("POST", "/os-aggregates", _create, body=lambda _: _NEW, errors=(403, 409)),
    Route("GET", _ONE, _show),
    Route("PUT", _ONE, _update, body=lambda _: _CHANGE, errors=(403, 404, 409)),
    Route("DELETE", _ONE, _delete),
    Route("POST", f"{_ONE}/action", _act, body=lambda _: _ACTION, errors=(403, 404, 409)),
    Route("POST", f"{_ONE}/images", _cache, 202, body=lambda _: _IMAGES, since=(2, 81)),
)
