"""Routes of snapshots, their metadata and actions."""

from __future__ import annotations

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import Snapshot
from nova_fakes.api.volume.refusals import invalid_input, not_found
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.volume_routes import described, one_meta
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["ACTIONS", "register"]

ACTIONS = ("os-force_delete", "os-reset_status", "os-update_snapshot_status")

FIELDS = {
    "id": lambda snapshot: snapshot.id,
    "name": lambda snapshot: snapshot.name,
    "status": lambda snapshot: snapshot.status,
    "volume_id": lambda snapshot: snapshot.volume_id,
    "size": lambda snapshot: snapshot.size_gb,
    "metadata": lambda snapshot: snapshot.metadata,
    "created_at": lambda snapshot: snapshot.created_at,
    "updated_at": lambda snapshot: snapshot.updated_at,
    "consumes_quota": lambda snapshot: True,
    "project_id": lambda snapshot: snapshot.project_id,
    "user_id": lambda snapshot: snapshot.user_id,
}
PUBLIC = ("name", "status", "volume_id", "metadata", "consumes_quota")
LISTING: Listing[Snapshot] = Listing("snapshots", "Snapshot", FIELDS, PUBLIC, counts=True)


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    LISTING.register(
        app,
        "/snapshots",
        lambda request: request.service.snapshots.visible(request.token, all_projects=flag("all_tenants")),
        lambda request, snapshot: request.views.snapshot_summary(snapshot),
        lambda request, snapshot: request.views.snapshot(snapshot),
    )
    route(app, "POST", "/snapshots", _create)
    route(app, "GET", "/snapshots/<snapshot_id>", _show)
    route(app, "PUT", "/snapshots/<snapshot_id>", _update)
    route(app, "DELETE", "/snapshots/<snapshot_id>", _delete)
    route(app, "POST", "/snapshots/<snapshot_id>/action", _act)
    route(app, "GET", "/snapshots/<snapshot_id>/metadata", _metadata)
    route(app, "POST", "/snapshots/<snapshot_id>/metadata", _add_metadata)
    route(app, "PUT", "/snapshots/<snapshot_id>/metadata", _replace_metadata)
    route(app, "GET", "/snapshots/<snapshot_id>/metadata/<key>", _meta)
    route(app, "PUT", "/snapshots/<snapshot_id>/metadata/<key>", _set_meta)
    route(app, "DELETE", "/snapshots/<snapshot_id>/metadata/<key>", _delete_meta)


def _create(request: Request) -> flask.Response:
    body = request.body("snapshot create")["snapshot"]
    if body["volume_id"] is None:
        raise not_found("Volume", "None")
    force = body.get("force")
    if request.version >= (3, 66):
        # From here on a volume in use needs no force; True is let pass for old clients' sake.
        if force is not None and not boolean(force):
            raise ApiError(
                400,
                "Since microversion 3.66 the 'force' flag is invalid for this request: a snapshot of an attached "
                "volume is always allowed.",
            )
        in_use = True
    else:
        in_use = boolean(force)
    snapshot = request.service.snapshots.create(
        request.token, body["volume_id"], metadata=body.get("metadata"), in_use=in_use, **described(body)
    )
    return reply({"snapshot": request.views.snapshot(snapshot, full=False)}, 202)


def _show(request: Request, snapshot_id: str) -> flask.Response:
    return reply({"snapshot": request.views.snapshot(request.service.snapshots.get(request.token, snapshot_id))})


def _update(request: Request, snapshot_id: str) -> flask.Response:
    changes = described(request.body("snapshot update")["snapshot"])
    snapshot = request.service.snapshots.update(request.token, snapshot_id, **changes)
    return reply({"snapshot": request.views.snapshot(snapshot, full=False)})


def _delete(request: Request, snapshot_id: str) -> flask.Response:
    request.service.snapshots.delete(request.token, snapshot_id)
    return empty()


def _act(request: Request, snapshot_id: str) -> flask.Response:
    name = request.action()
    snapshots = request.service.snapshots
    if name == "os-reset_status":
        status = request.body(name)[name].get("status")
        request.admin("volume_extension:snapshot_admin_actions:reset_status")
        if status is None:
            raise invalid_input("Must specify 'status' for update.")
        snapshots.reset_status(request.token, snapshot_id, status)
    elif name == "os-force_delete":
        request.body(name)
        request.admin("volume_extension:snapshot_admin_actions:force_delete")
        snapshots.delete(request.token, snapshot_id, force=True)
    elif name == "os-update_snapshot_status":
        snapshots.report_status(request.token, snapshot_id, request.body(name)[name]["status"])
    else:
        raise no_action(name)
    return empty()


def _metadata(request: Request, snapshot_id: str) -> flask.Response:
    return reply({"metadata": dict(request.service.snapshots.get(request.token, snapshot_id).metadata)})


def _add_metadata(request: Request, snapshot_id: str) -> flask.Response:
    values = request.body("metadata")["metadata"]
    return reply({"metadata": request.service.snapshots.set_metadata(request.token, snapshot_id, values)})


def _replace_metadata(request: Request, snapshot_id: str) -> flask.Response:
    values = request.body("metadata")["metadata"]
    snapshots = request.service.snapshots
    return reply({"metadata": snapshots.set_metadata(request.token, snapshot_id, values, replace=True)})


def _meta(request: Request, snapshot_id: str, key: str) -> flask.Response:
    metadata = request.service.snapshots.get(request.token, snapshot_id).metadata
    if key not in metadata:
        raise ApiError(404, f"Snapshot {snapshot_id} has no metadata with key {key}.")
    return reply({"meta": {key: metadata[key]}})


def _set_meta(request: Request, snapshot_id: str, key: str) -> flask.Response:
    values = one_meta(request, key)
    request.service.snapshots.set_metadata(request.token, snapshot_id, values)
    return reply({"meta": values})


def _delete_meta(request: Request, snapshot_id: str, key: str) -> flask.Response:
    request.service.snapshots.unset_metadata(request.token, snapshot_id, key)
    return empty(200)
