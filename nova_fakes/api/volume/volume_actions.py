"""Actions on volumes: POST /volumes/{id}/action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flask

from nova_fakes.api.volume.request import Request, empty, no_action, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["ACTIONS", "register"]

Arguments = Mapping[str, Any]


def register(app: flask.Flask) -> None:
    """Add the route to the application."""
    route(app, "POST", "/volumes/<volume_id>/action", _act)


def _act(request: Request, volume_id: str) -> flask.Response:
    name = request.action()
    handler = ACTIONS.get(name)
    if handler is None:
        raise no_action(name)
    # Cinder looks the body over before it looks for the volume.
    return handler(request, volume_id, request.body(name)[name] or {})


def _reserve(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.reserve(request.token, volume_id)
    return empty()


def _unreserve(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.unreserve(request.token, volume_id)
    return empty()


def _begin_detaching(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.begin_detaching(request.token, volume_id)
    return empty()


def _roll_detaching(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.roll_detaching(request.token, volume_id)
    return empty()


def _attach(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.attach(
        request.token,
        volume_id,
        instance_id=arguments.get("instance_uuid"),
        host=arguments.get("host_name"),
        mountpoint=arguments["mountpoint"],
        mode=arguments.get("mode", "rw"),
    )
    return empty()


def _detach(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.detach(
        request.token, volume_id, arguments.get("attachment_id"), service=request.by_service
    )
    return empty()


def _force_detach(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.admin("volume_extension:volume_admin_actions:force_detach")
    attachments = request.service.attachments
    attachments.terminate_connection(request.token, volume_id, arguments.get("connector"), service=request.by_service)
    attachments.detach(request.token, volume_id, arguments.get("attachment_id"), service=request.by_service)
    return empty()


def _initialize_connection(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    connector = arguments["connector"]
    info = request.service.attachments.initialize_connection(request.token, volume_id, connector)
    info["enforce_multipath"] = connector.get("enforce_multipath", False)
    return reply({"connection_info": info})


def _terminate_connection(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.attachments.terminate_connection(
        request.token, volume_id, arguments["connector"], service=request.by_service
    )
    return empty()


def _extend(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.changes.extend(
        request.token, volume_id, int(arguments["new_size"]), attached=request.version >= (3, 42)
    )
    return empty()


def _reset_status(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.admin("volume_extension:volume_admin_actions:reset_status")
    request.service.changes.reset_status(request.token, volume_id, **arguments)
    return empty()


def _set_bootable(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.volumes.update(request.token, volume_id, bootable=boolean(arguments["bootable"]))
    return empty(200)


def _update_readonly_flag(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.changes.set_read_only(request.token, volume_id, boolean(arguments["readonly"]))
    return empty()


def _retype(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    may_move = arguments.get("migration_policy") == "on-demand"
    request.service.migrations.retype(request.token, volume_id, arguments["new_type"], may_move=may_move)
    return empty()


def _migrate_volume(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.admin("volume_extension:volume_admin_actions:migrate_volume")
    if arguments.get("cluster") and request.version >= (3, 16):
        raise ApiError(400, f"Invalid host: No available service named '{arguments['cluster']}'")
    if not arguments.get("host"):
        raise ApiError(400, "Invalid input received: Must specify 'host' or 'cluster'.")
    lock_volume = boolean(arguments.get("lock_volume"))
    request.service.migrations.migrate(request.token, volume_id, arguments["host"], lock_volume=lock_volume)
    return empty()


def _migrate_volume_completion(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.admin("volume_extension:volume_admin_actions:migrate_volume_completion")
    failed = bool(arguments.get("error"))
    kept = request.service.migrations.complete(request.token, volume_id, arguments["new_volume"], failed=failed)
    return reply({"save_volume_id": kept})


def _reimage(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.since((3, 68))
    reserved = boolean(arguments.get("reimage_reserved", False))
    request.service.changes.reimage(request.token, volume_id, arguments["image_id"], reserved=reserved)
    return empty()


def _revert(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.since((3, 40))
    request.service.changes.revert(request.token, volume_id, arguments["snapshot_id"])
    return empty()


def _upload_image(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    values = {
        "name": arguments["image_name"],
        "disk_format": arguments.get("disk_format") or "raw",
        "container_format": arguments.get("container_format") or "bare",
        "visibility": arguments.get("visibility") or "private",
        "protected": boolean(arguments.get("protected")),
    }
    volume, image_id = request.service.changes.upload(
        request.token, volume_id, values, force=boolean(arguments.get("force"))
    )
    shown = request.views.volume(volume)
    kept = ("id", "updated_at", "status", "size")
    kind = request.service.types.get(request.token, volume.type_id)
    answer = {
        **{name: shown[name] for name in kept},
        "display_description": volume.description,
        "volume_type": request.views.volume_type(kind),
        "image_id": image_id,
        "image_name": values["name"],
        **{name: values[name] for name in ("disk_format", "container_format", "visibility", "protected")},
    }
    return reply({"os-volume_upload_image": answer}, 202)


def _force_delete(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.admin("volume_extension:volume_admin_actions:force_delete")
    request.service.volumes.delete(request.token, volume_id, force=True)
    return empty()


def _set_image_metadata(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    volumes = request.service.volumes
    return reply({"metadata": volumes.set_metadata(request.token, volume_id, arguments["metadata"], image=True)})


def _show_image_metadata(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    return reply({"metadata": dict(request.service.volumes.get(request.token, volume_id).image_metadata)})


def _unset_image_metadata(request: Request, volume_id: str, arguments: Arguments) -> flask.Response:
    request.service.volumes.unset_metadata(request.token, volume_id, arguments["key"], image=True)
    return empty(200)


ACTIONS: Mapping[str, Callable[[Request, str, Arguments], flask.Response]] = {
    "os-attach": _attach,
    "os-begin_detaching": _begin_detaching,
    "os-detach": _detach,
    "os-extend": _extend,
    "os-force_delete": _force_delete,
    "os-force_detach": _force_detach,
    "os-initialize_connection": _initialize_connection,
    "os-migrate_volume": _migrate_volume,
    "os-migrate_volume_completion": _migrate_volume_completion,
    "os-reimage": _reimage,
    "os-reserve": _reserve,
    "os-reset_status": _reset_status,
    "os-retype": _retype,
    "os-roll_detaching": _roll_detaching,
    "os-set_bootable": _set_bootable,
    "os-set_image_metadata": _set_image_metadata,
    "os-show_image_metadata": _show_image_metadata,
    "os-terminate_connection": _terminate_connection,
    "os-unreserve": _unreserve,
    "os-unset_image_metadata": _unset_image_metadata,
    "os-update_readonly_flag": _update_readonly_flag,
    "os-volume_upload_image": _upload_image,
    "revert": _revert,
}
