"""Routes of backups."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import Backup
from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.views import moment
from nova_fakes.api.volume.volume_routes import described
from nova_fakes.api.wsgi import reply

__all__ = ["ACTIONS", "register"]

#: Schemas of the actions' bodies.
ACTIONS = ("backup status", "os-force_delete")
FIELDS = {
    "id": lambda backup: backup.id,
    "name": lambda backup: backup.name,
    "status": lambda backup: backup.status,
    "volume_id": lambda backup: backup.volume_id,
    "snapshot_id": lambda backup: backup.snapshot_id,
    "size": lambda backup: backup.size_gb,
    "container": lambda backup: backup.container,
    "created_at": lambda backup: backup.created_at,
    "updated_at": lambda backup: backup.updated_at,
    "project_id": lambda backup: backup.project_id,
    "user_id": lambda backup: backup.user_id,
}
PUBLIC = ("name", "status", "volume_id")
LISTING: Listing[Backup] = Listing("backups", "Backup", FIELDS, PUBLIC, counts=True)
POLICY = "volume_extension:backup_admin_actions"


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    LISTING.register(
        app,
        "/backups",
        lambda request: request.service.backups.visible(request.token, all_projects=flag("all_tenants")),
        _summary,
        _view,
    )
    route(app, "POST", "/backups", _create)
    route(app, "POST", "/backups/import_record", _import)
    route(app, "GET", "/backups/<backup_id>/export_record", _export)
    route(app, "GET", "/backups/<backup_id>", _show)
    route(app, "PUT", "/backups/<backup_id>", _update, since=(3, 9))
    route(app, "DELETE", "/backups/<backup_id>", _delete)
    route(app, "POST", "/backups/<backup_id>/restore", _restore)
    route(app, "POST", "/backups/<backup_id>/action", _act)


def _summary(request: Request, backup: Backup) -> dict[str, Any]:
    links = request.views.links(request.token.project_id or "", "backups", backup.id)
    return {"id": backup.id, "name": backup.name, "links": links}


def _view(request: Request, backup: Backup) -> dict[str, Any]:
    view = {
        **_summary(request, backup),
        "status": backup.status,
        "size": backup.size_gb,
        "object_count": backup.object_count,
        "availability_zone": backup.availability_zone,
        "container": backup.container,
        "created_at": moment(backup.created_at),
        "updated_at": moment(backup.updated_at),
        "description": backup.description,
        "fail_reason": backup.fail_reason,
        "volume_id": backup.volume_id,
        "is_incremental": backup.parent_id is not None,
        "has_dependent_backups": request.service.backups.has_dependents(backup.id),
        "snapshot_id": backup.snapshot_id,
        "data_timestamp": moment(backup.data_timestamp),
    }
    if request.version >= (3, 43):
        view["metadata"] = dict(backup.metadata)
    if request.version >= (3, 64) and backup.encryption_key_id is not None:
        view["encryption_key_id"] = backup.encryption_key_id
    if request.token.is_admin and request.version >= (3, 18):
        view["os-backup-project-attr:project_id"] = backup.project_id
    if request.token.is_admin and request.version >= (3, 56):
        view["user_id"] = backup.user_id
    return view


def _create(request: Request) -> flask.Response:
    schema = "backup create"
    if request.version >= (3, 43):
        schema += " zone" if request.version >= (3, 51) else " metadata"
    body = request.body(schema)["backup"]
    backup = request.service.backups.create(
        request.token,
        body["volume_id"],
        container=body.get("container"),
        incremental=boolean(body.get("incremental")),
        force=boolean(body.get("force")),
        snapshot_id=body.get("snapshot_id"),
        metadata=body.get("metadata"),
        availability_zone=body.get("availability_zone"),
        **described(body),
    )
    return reply({"backup": _summary(request, backup)}, 202)


def _show(request: Request, backup_id: str) -> flask.Response:
    return reply({"backup": _view(request, request.service.backups.get(request.token, backup_id))})


def _update(request: Request, backup_id: str) -> flask.Response:
    body = request.body("backup update metadata" if request.version >= (3, 43) else "backup update")["backup"]
    changes = described(body)
    if "metadata" in body:
        changes["metadata"] = body["metadata"]
    backup = request.service.backups.update(request.token, backup_id, changes)
    return reply({"backup": _summary(request, backup)})


def _delete(request: Request, backup_id: str) -> flask.Response:
    request.service.backups.delete(request.token, backup_id)
    return empty()


def _restore(request: Request, backup_id: str) -> flask.Response:
    body = request.body("backup restore")["restore"] or {}
    backup, volume = request.service.backups.restore(request.token, backup_id, body.get("volume_id"), body.get("name"))
    answer = {"backup_id": backup.id, "volume_id": volume.id, "volume_name": volume.name}
    return reply({"restore": answer}, 202)


def _export(request: Request, backup_id: str) -> flask.Response:
    request.admin("backup:export-import")
    return reply({"backup-record": request.service.backup_exports.export(request.token, backup_id)})


def _import(request: Request) -> flask.Response:
    body = request.body("backup import")["backup-record"]
    request.admin("backup:backup-import")
    backup = request.service.backup_exports.take(request.token, body["backup_service"], body["backup_url"])
    return reply({"backup": _summary(request, backup)}, 201)


def _act(request: Request, backup_id: str) -> flask.Response:
    name = request.action()
    if name == "os-reset_status":
        status = request.body("backup status")[name]["status"]
        request.admin(f"{POLICY}:reset_status")
        request.service.backups.reset_status(request.token, backup_id, status)
    elif name == "os-force_delete":
        request.body(name)
        request.admin(f"{POLICY}:force_delete")
        request.service.backups.delete(request.token, backup_id, force=True)
    else:
        raise no_action(name)
    return empty()
