"""Routes of volumes and their metadata."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import Volume
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

FIELDS = {
    "id": lambda volume: volume.id,
    "name": lambda volume: volume.name,
    "status": lambda volume: volume.status,
    "size": lambda volume: volume.size_gb,
    "metadata": lambda volume: volume.metadata,
    "bootable": lambda volume: volume.bootable,
    "multiattach": lambda volume: volume.multiattach,
    "migration_status": lambda volume: volume.migration_status,
    "availability_zone": lambda volume: volume.availability_zone,
    "group_id": lambda volume: volume.group_id,
    "created_at": lambda volume: volume.created_at,
    "updated_at": lambda volume: volume.updated_at,
    "consumes_quota": lambda volume: True,
    "project_id": lambda volume: volume.project_id,
    "user_id": lambda volume: volume.user_id,
    "host": lambda volume: volume.host,
    "snapshot_id": lambda volume: volume.snapshot_id,
    "source_volid": lambda volume: volume.source_id,
    "volume_type_id": lambda volume: volume.type_id,
}
PUBLIC = (
    "name",
    "status",
    "metadata",
    "bootable",
    "migration_status",
    "availability_zone",
    "group_id",
    "size",
    "created_at",
    "updated_at",
    "consumes_quota",
)
LISTING: Listing[Volume] = Listing("volumes", "Volume", FIELDS, PUBLIC, counts=True)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    LISTING.register(
        app,
        "/volumes",
        _visible,
        lambda request, volume: request.views.volume_summary(volume),
        lambda request, volume: request.views.volume(volume),
    )
    route(app, "GET", "/volumes/summary", _summary, since=(3, 12))
    route(app, "POST", "/volumes", _create)
    route(app, "GET", "/volumes/<volume_id>", _show)
    route(app, "PUT", "/volumes/<volume_id>", _update)
    route(app, "DELETE", "/volumes/<volume_id>", _delete)
    route(app, "GET", "/volumes/<volume_id>/metadata", _metadata)
    route(app, "POST", "/volumes/<volume_id>/metadata", _add_metadata)
    route(app, "PUT", "/volumes/<volume_id>/metadata", _replace_metadata)
    route(app, "GET", "/volumes/<volume_id>/metadata/<key>", _meta)
    route(app, "PUT", "/volumes/<volume_id>/metadata/<key>", _set_meta)
    route(app, "DELETE", "/volumes/<volume_id>/metadata/<key>", _delete_meta)


def described(body: dict[str, Any]) -> dict[str, Any]:
    """Return name and description as sent, under their names or the older display_ ones, stripped."""
    found = {}
    for name in ("name", "description"):
        for key in (name, f"display_{name}"):
            if key in body:
                value = body[key]
                found[name] = value.strip() if isinstance(value, str) else value
    return found


def _visible(request: Request) -> list[Volume]:
    return request.service.volumes.visible(request.token, all_projects=flag("all_tenants"))


def _summary(request: Request) -> flask.Response:
    volumes = _visible(request)
    summary: dict[str, Any] = {
        "total_count": len(volumes),
        "total_size": sum(volume.size_gb for volume in volumes),
    }
    if request.version >= (3, 36):
        distinct: dict[str, list[str]] = {}
        for volume in volumes:
            for key, value in volume.metadata.items():
                values = distinct.setdefault(key, [])
                if value not in values:
                    values.append(value)
        summary["metadata"] = distinct
    return reply({"volume-summary": summary})


def _create(request: Request) -> flask.Response:
    strict = request.version >= (3, 53)
    body = request.body("volume create strict" if strict else "volume create")["volume"]
    if body.get("consistencygroup_id"):
        # What came before groups does not exist here, so none can be found.
        raise ApiError(404, f"ConsistencyGroup {body['consistencygroup_id']} could not be found.")
    if boolean(body.get("multiattach")):
        raise ApiError(
            400,
            "multiattach parameter has been removed. The default behavior is to use multiattach enabled volume types. "
            "Contact your administrator to create a multiattach enabled volume type and use it to create multiattach "
            "volumes.",
        )
    size = body.get("size")
    volume = request.service.volumes.create(
        request.token,
        size_gb=None if size is None else int(size),
        type_reference=body.get("volume_type") or None,
        availability_zone=body.get("availability_zone"),
        metadata=body.get("metadata"),
        snapshot_id=body.get("snapshot_id"),
        source_id=body.get("source_volid"),
        image_reference=body.get("image_id") or body.get("imageRef"),
        backup_id=body.get("backup_id") if request.version >= (3, 47) else None,
        group_id=body.get("group_id") if request.version >= (3, 13) else None,
        **described(body),
    )
    return reply({"volume": request.views.volume(volume, full=False)}, 202)


def _show(request: Request, volume_id: str) -> flask.Response:
    return reply({"volume": request.views.volume(request.service.volumes.get(request.token, volume_id))})


def _update(request: Request, volume_id: str) -> flask.Response:
    body = request.body("volume update strict" if request.version >= (3, 53) else "volume update")["volume"]
    changes = described(body)
    if "metadata" in body:
        changes["metadata"] = body["metadata"]
    volume = request.service.volumes.update(request.token, volume_id, **changes)
    return reply({"volume": request.views.volume(volume, full=False)})


def _delete(request: Request, volume_id: str) -> flask.Response:
    force = request.version >= (3, 23) and flag("force")
    if force:
        request.admin("volume:force_delete")
    request.service.volumes.delete(request.token, volume_id, force=force, cascade=flag("cascade"))
    return empty()


def _metadata(request: Request, volume_id: str) -> flask.Response:
    return reply({"metadata": dict(request.service.volumes.get(request.token, volume_id).metadata)})


def _add_metadata(request: Request, volume_id: str) -> flask.Response:
    values = request.body("metadata")["metadata"]
    return reply({"metadata": request.service.volumes.set_metadata(request.token, volume_id, values)})


def _replace_metadata(request: Request, volume_id: str) -> flask.Response:
    values = request.body("metadata")["metadata"]
    return reply({"metadata": request.service.volumes.set_metadata(request.token, volume_id, values, replace=True)})


def _meta(request: Request, volume_id: str, key: str) -> flask.Response:
    metadata = request.service.volumes.get(request.token, volume_id).metadata
    if key not in metadata:
        raise ApiError(404, f"Volume {volume_id} has no metadata with key {key}.")
    return reply({"meta": {key: metadata[key]}})


def _set_meta(request: Request, volume_id: str, key: str) -> flask.Response:
    values = one_meta(request, key)
    request.service.volumes.set_metadata(request.token, volume_id, values)
    return reply({"meta": values})


def one_meta(request: Request, key: str) -> dict[str, str]:
    """Return the single metadata item that the body brings for the key in the path.

    Raises:
        ApiError: 400, it brings another or several.
    """
    values: dict[str, str] = request.body("meta")["meta"]
    if key not in values:
        raise ApiError(400, "Request body and URI mismatch")
    if len(values) > 1:
        raise ApiError(400, "Request body contains too many items")
    return values


def _delete_meta(request: Request, volume_id: str, key: str) -> flask.Response:
    request.service.volumes.unset_metadata(request.token, volume_id, key)
    return empty(200)
