"""What few ask for: extensions, classes of quotas, passwords of servers, and their security groups with all rules."""

from __future__ import annotations

from typing import Any, Final

from nova_fakes.api.compute import security_groups
from nova_fakes.api.compute.quotas import DEFAULTS, hidden_resources
from nova_fakes.api.compute.routing import Request, Route
from nova_fakes.api.compute.schema import objects, wrapped
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_EXTENSIONS: Final[tuple[tuple[str, str], ...]] = (
    ("OS-DCF", "DiskConfig"),
    ("OS-EXT-AZ", "ExtendedAvailabilityZone"),
    ("OS-EXT-IPS", "ExtendedIps"),
    ("OS-EXT-SRV-ATTR", "ExtendedServerAttributes"),
    ("OS-EXT-STS", "ExtendedStatus"),
    ("OS-FLV-EXT-DATA", "FlavorExtraData"),
    ("OS-SCH-HNT", "SchedulerHints"),
    ("OS-SRV-USG", "ServerUsage"),
    ("os-admin-actions", "AdminActions"),
    ("os-aggregates", "Aggregates"),
    ("os-attach-interfaces", "AttachInterfaces"),
    ("os-availability-zone", "AvailabilityZone"),
    ("os-block-device-mapping-v2-boot", "BlockDeviceMappingV2Boot"),
    ("os-console-output", "ConsoleOutput"),
    ("os-consoles", "Consoles"),
    ("os-create-backup", "CreateBackup"),
    ("os-evacuate", "Evacuate"),
    ("os-extended-volumes", "ExtendedVolumes"),
    ("os-flavor-access", "FlavorAccess"),
    ("os-flavor-extra-specs", "FlavorExtraSpecs"),
    ("os-flavor-manage", "FlavorManage"),
    ("os-hypervisors", "Hypervisors"),
    ("os-instance-actions", "InstanceActions"),
    ("os-keypairs", "Keypairs"),
    ("os-migrations", "Migrations"),
    ("os-quota-class-sets", "QuotaClasses"),
    ("os-quota-sets", "Quotas"),
    ("os-rescue", "Rescue"),
    ("os-security-groups", "SecurityGroups"),
    ("os-server-diagnostics", "ServerDiagnostics"),
    ("os-server-external-events", "ServerExternalEvents"),
    ("os-server-groups", "ServerGroups"),
    ("os-server-password", "ServerPassword"),
    ("os-services", "Services"),
    ("os-shelve", "Shelve"),
    ("os-simple-tenant-usage", "SimpleTenantUsage"),
    ("os-used-limits", "UsedLimits"),
    ("os-volumes", "Volumes"),
)


def _extension(alias: str, name: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": name,
        "description": f"{name}.",
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
        "links": [],
    }


def _extensions(request: Request) -> dict[str, Any]:
    return {"extensions": [_extension(*row) for row in _EXTENSIONS]}


def _show_extension(request: Request, alias: str) -> dict[str, Any]:
    for row in _EXTENSIONS:
        if row[0] == alias:
            return {"extension": _extension(*row)}
    raise ApiError(404, f"There is no extension {alias}")


def _class_resources(version: Version) -> list[str]:
    """Return the names of a class's limits: those of servers' groups came with 2.50, when the network's went."""
    if version < (2, 50):
        return [name for name in DEFAULTS if not name.startswith("server_group")]
    return [name for name in DEFAULTS if name not in hidden_resources(version)]


def _class_view(request: Request, name: str, *, named: bool) -> dict[str, Any]:
    limits = request.service.quotas.class_limits(name)
    shown: dict[str, Any] = {"id": name} if named else {}
    return {"quota_class_set": shown | {one: limits[one] for one in _class_resources(request.version)}}


def _show_class(request: Request, name: str) -> dict[str, Any]:
    request.require_admin("os-quota-class-sets:show")
    return _class_view(request, name, named=True)


def _set_class(request: Request, name: str) -> dict[str, Any]:
    request.require_admin("os-quota-class-sets:update")
    if len(name) > 255:
        raise ApiError(400, f"quota_class_name has {len(name)} characters, more than 255.")
    asked = request.body["quota_class_set"]
    request.service.quotas.set_class(name, {one: int(value) for one, value in asked.items()})
    return _class_view(request, name, named=False)


def _class_body(version: Version) -> Any:
    limit = {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,9}$", "minimum": -1, "maximum": 0x7FFFFFFF}
    return wrapped("quota_class_set", objects(dict.fromkeys(_class_resources(version), limit)))


def _password(request: Request, server_id: str) -> dict[str, Any]:
    request.service.server(request.token, server_id)
    return {"password": ""}  # Guests send theirs to the metadata service, encrypted; these send none.


def _clear_password(request: Request, server_id: str) -> None:
    request.require_member("os-server-password:clear")
    request.service.server(request.token, server_id)


def _groups(request: Request, server_id: str) -> dict[str, Any]:
    server = request.service.server(request.token, server_id)
    return {"security_groups": security_groups.described(request.service, request.token, server)}


_CLASS, _PASSWORD = "/os-quota-class-sets/<name>", "/servers/<server_id>/os-server-password"

ROUTES = (
    Route("GET", "/extensions", _extensions, errors=()),
    Route("GET", "/extensions/<alias>", _show_extension, errors=(404,)),
    Route("GET", _CLASS, _show_class, errors=(403,)),
    Route("PUT", _CLASS, _set_class, body=_class_body, errors=(403,)),
    Route("GET", _PASSWORD, _password),
    Route("DELETE", _PASSWORD, _clear_password, 204),
    Route("GET", "/servers/<server_id>/os-security-groups", _groups),
)
