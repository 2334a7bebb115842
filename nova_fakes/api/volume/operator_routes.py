"""Routes of what surrounds the volumes: quotas, limits, services, availability zones, extensions."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.wsgi import reply
from nova_fakes.exceptions import ApiError

__all__ = ["register"]

ABSOLUTE = {
    "maxTotalVolumes": "volumes",
    "maxTotalVolumeGigabytes": "gigabytes",
    "maxTotalSnapshots": "snapshots",
    "maxTotalBackups": "backups",
    "maxTotalBackupGigabytes": "backup_gigabytes",
}
USED = {
    "totalVolumesUsed": "volumes",
    "totalGigabytesUsed": "gigabytes",
    "totalSnapshotsUsed": "snapshots",
    "totalBackupsUsed": "backups",
    "totalBackupGigabytesUsed": "backup_gigabytes",
}
# Those of Cinder's extensions that are served here.
EXTENSIONS = {
    "os-admin-actions": "AdminActions",
    "backups": "Backups",
    "os-availability-zone": "AvailabilityZones",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes",
    "os-quota-sets": "Quotas",
    "encryption": "VolumeTypeEncryption",
    "os-volume-encryption-metadata": "VolumeEncryptionMetadata",
    "os-volume-transfer": "VolumeTransferManagement",
    "qos-specs": "Qos_specs_manage",
    "scheduler-stats": "Scheduler_stats",
    "os-services": "Services",
    "os-types-extra-specs": "TypesExtraSpecs",
    "os-types-manage": "TypesManage",
    "os-used-limits": "UsedLimits",
    "os-vol-host-attr": "VolumeHostAttribute",
    "os-vol-image-meta": "VolumeImageMetadata",
    "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
    "os-vol-tenant-attr": "VolumeTenantAttribute",
    "os-volume-actions": "VolumeActions",
    "os-volume-type-access": "VolumeTypeAccess",
}


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    route(app, "GET", "/limits", _limits)
    route(app, "GET", "/os-quota-sets/<project>", _quotas)
    route(app, "PUT", "/os-quota-sets/<project>", _set_quotas)
    route(app, "DELETE", "/os-quota-sets/<project>", _reset_quotas)
    route(app, "GET", "/os-quota-sets/<project>/defaults", _default_quotas)
    route(app, "GET", "/os-availability-zone", _zones)
    route(app, "GET", "/os-services", _services)
    route(app, "PUT", "/os-services/<action>", _change_service)
    route(app, "GET", "/scheduler-stats/get_pools", _pools)
    route(app, "GET", "/extensions", _extensions)


def _limits(request: Request) -> flask.Response:
    project_id = request.token.project_id or ""
    if request.token.is_admin:
        asked = flask.request.args
        project_id = asked.get("project_id", asked.get("tenant_id", project_id))
    quotas = request.service.quotas
    absolute = {name: quotas.limit(project_id, resource) for name, resource in ABSOLUTE.items()}
    absolute |= {name: quotas.used(project_id, resource) for name, resource in USED.items()}
    return reply({"limits": {"rate": [], "absolute": absolute}})


def _own(request: Request, project: str, action: str) -> None:
    if project != request.token.project_id:
        request.admin(action)


def _quotas(request: Request, project: str) -> flask.Response:
    _own(request, project, "volume_extension:quotas:show")
    quotas = request.service.quotas
    values: dict[str, Any] = quotas.usage(project) if flag("usage") else quotas.limits(project)
    return reply({"quota_set": {"id": project, **values}})


def _default_quotas(request: Request, project: str) -> flask.Response:
    _own(request, project, "volume_extension:quotas:show")
    return reply({"quota_set": {"id": project, **request.service.quotas.default_limits()}})


def _set_quotas(request: Request, project: str) -> flask.Response:
    request.admin("volume_extension:quotas:update")
    sent = request.body("quota set")["quota_set"]
    limits = {name: value for name, value in sent.items() if name not in ("id", "tenant_id", "force")}
    request.service.quotas.set(project, {name: _whole(value) for name, value in limits.items()})
    return reply({"quota_set": request.service.quotas.limits(project)})


def _whole(value: object) -> object:
    """Return a number that was sent as text as a number; clients do that."""
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _reset_quotas(request: Request, project: str) -> flask.Response:
    request.admin("volume_extension:quotas:delete")
    request.service.quotas.reset(project)
    return empty(200)


def _zones(request: Request) -> flask.Response:
    zones = [{"zoneName": name, "zoneState": {"available": True}} for name in request.service.zones]
    return reply({"availabilityZoneInfo": zones})


def _pools(request: Request) -> flask.Response:
    request.admin("scheduler_extension:scheduler_stats:get_pools")
    backends, name = request.service.backends, flask.request.args.get("name")
    pools: list[dict[str, Any]] = [{"name": place} for place in backends.places() if name in (None, place)]
    if flag("detail"):
        pools = [{**pool, "capabilities": backends.statistics(pool["name"])} for pool in pools]
    return reply({"pools": pools})


def _services(request: Request) -> flask.Response:
    request.admin("volume_extension:services:index")
    asked = flask.request.args
    services = request.service.services(host=asked.get("host"), binary=asked.get("binary"))
    return reply({"services": [request.views.backend_service(service) for service in services]})


def _change_service(request: Request, action: str) -> flask.Response:
    request.admin("volume_extension:services:update")
    if action not in ("enable", "disable", "disable-log-reason"):
        raise ApiError(404, f"{flask.request.method} {flask.request.path}: unknown action {action}.")
    body = request.body("service")
    reason = body.get("disabled_reason")
    if action == "disable-log-reason" and not reason:
        raise ApiError(400, "Invalid input received: Missing required element 'disabled_reason' in request body.")
    binary = body.get("binary") or body.get("service")
    if not binary:
        raise ApiError(400, "Invalid input received: Missing required element 'binary' in request body.")
    service = request.service.enable(body["host"], binary, enabled=action == "enable", reason=reason)
    answer: dict[str, Any] = {
        "host": service.host,
        "service": binary,
        "binary": binary,
        "disabled": service.disabled,
        "status": "disabled" if service.disabled else "enabled",
    }
    if service.disabled_reason:
        answer["disabled_reason"] = service.disabled_reason
    return reply(answer)


def _extensions(request: Request) -> flask.Response:
    return reply(
        {
            "extensions": [
                {"alias": alias, "name": name, "description": f"{name} support.", "updated": _UPDATED, "links": []}
                for alias, name in EXTENSIONS.items()
            ]
        }
    )


_UPDATED = "2012-06-19T00:00:00+00:00"
