"""/flavors over HTTP, with extra specs and access."""

from __future__ import annotations

from typing import Any

from nova_fakes.api.compute.records import Flavor
from nova_fakes.api.compute.routing import Request, Route, by_version
from nova_fakes.api.compute.schema import BOOLEAN, MANY, NAME, objects, wrapped
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_POSITIVE = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]*[1-9][0-9]*$",
    "minimum": 1,
    "maximum": 0x7FFFFFFF,
    "minLength": 1,
    "maxLength": 9,
}
_NUMBER = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]+$",
    "minimum": 0,
    "maximum": 0x7FFFFFFF,
    "minLength": 1,
    "maxLength": 9,
}
_TEXT = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_SPECS = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "number"], "maxLength": 255}},
    "additionalProperties": False,
}
_SORT_KEYS = ["created_at",
              "description", "disabled", "ephemeral_gb", "flavorid", "id", "is_public", "memory_mb", "name",
              "root_gb", "rxtx_factor", "swap", "updated_at", "vcpu_weight", "vcpus"]  # fmt: skip
_SORTED_BY = {"flavorid": "id", "swap": "swap_mb"}


def _basic(request: Request, flavor: Flavor) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": flavor.id, "name": flavor.name, "links": request.links(f"flavors/{flavor.id}")}
    if request.since(55):
        shown["description"] = flavor.description
    return shown


def _detailed(request: Request, flavor: Flavor) -> dict[str, Any]:
    shown = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.memory_mb,
        "disk": flavor.root_gb,
        "swap": flavor.swap_mb or (0 if request.since(75) else ""),
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gb,
        "OS-FLV-DISABLED:disabled": False,
        "vcpus": flavor.vcpus,
        "os-flavor-access:is_public": flavor.is_public,
        "rxtx_factor": flavor.rxtx_factor or "",
        "links": request.links(f"flavors/{flavor.id}"),
    }
    if request.since(55):
        shown["description"] = flavor.description
    if request.since(61):
        shown["extra_specs"] = flavor.extra_specs
    return shown


def _select(request: Request) -> list[Flavor]:
    rows = request.service.flavors.visible(request.token)
    wanted = request.argument("is_public")
    if request.token.is_admin and wanted is not None:
        every = list(request.service.flavors.rows.values())
        word = wanted.lower()
        if word == "none":
            rows = every
        elif word in ("true", "1", "t", "on", "yes", "y", "false", "0", "f", "off", "no", "n"):
            public = word in ("true", "1", "t", "on", "yes", "y")
            rows = [one for one in every if one.is_public is public]
        else:
            raise ApiError(400, f"Invalid is_public filter [{wanted}]")
    for name, attribute in (("minRam", "memory_mb"), ("minDisk", "root_gb")):
        text = request.argument(name)
        if text is not None:
            if not (text.isascii() and text.isdigit()):
                raise ApiError(400, f"Invalid {name} filter [{text}]")
            rows = [one for one in rows if getattr(one, attribute) >= int(text)]
    key = request.argument("sort_key") or "flavorid"
    key = _SORTED_BY.get(key, key)
    if key in Flavor.__dataclass_fields__:
        down = request.argument("sort_dir") == "desc"
        rows.sort(key=lambda one: (getattr(one, key) is not None, getattr(one, key)), reverse=down)
    return rows


def _list(request: Request, view: Any, path: str) -> dict[str, Any]:
    page, more = request.page(_select(request), lambda one: str(one.id))
    body: dict[str, Any] = {"flavors": [view(request, one) for one in page]}
    if more and page:
        body["flavors_links"] = request.next_links(path, page[-1].id)
    return body


def _index(request: Request) -> dict[str, Any]:
    return _list(request, _basic, "flavors")


def _detail(request: Request) -> dict[str, Any]:
    return _list(request, _detailed, "flavors/detail")


def _show(request: Request, flavor_id: str) -> dict[str, Any]:
    return {"flavor": _detailed(request, request.service.flavors.get(request.token, flavor_id))}


def _create(request: Request) -> dict[str, Any]:
    request.require_admin("os-flavor-manage:create")
    asked = request.body["flavor"]
    public = asked.get("os-flavor-access:is_public", True)
    flavor = request.service.flavors.create(
        {
            "id": asked.get("id"),
            "name": asked["name"],
            "memory_mb": int(asked["ram"]),
            "vcpus": int(asked["vcpus"]),
            "root_gb": int(asked["disk"]),
            "ephemeral_gb": int(asked.get("OS-FLV-EXT-DATA:ephemeral", 0)),
            "swap_mb": int(asked.get("swap", 0)),
            "rxtx_factor": float(asked.get("rxtx_factor", 1.0)),
            "is_public": public is True or str(public).lower() in ("true", "1", "on", "yes"),
            "description": asked.get("description"),
        }
    )
    if not flavor.is_public and request.token.project_id:
        flavor.projects.append(request.token.project_id)
    return {"flavor": _detailed(request, flavor)}


def _update(request: Request, flavor_id: str) -> dict[str, Any]:
    request.require_admin("os-flavor-manage:update")
    flavor = request.service.flavors.get(request.token, flavor_id)
    flavor.description = request.body["flavor"]["description"]
    return {"flavor": _detailed(request, flavor)}


def _delete(request: Request, flavor_id: str) -> None:
    request.require_admin("os-flavor-manage:delete")
    request.service.flavors.delete(flavor_id)


def _specs(request: Request, flavor_id: str) -> dict[str, Any]:
    return {"extra_specs": request.service.flavors.get(request.token, flavor_id).extra_specs}


def _spec(request: Request, flavor_id: str, key: str) -> dict[str, Any]:
    specs = request.service.flavors.get(request.token, flavor_id).extra_specs
    if key not in specs:
        raise ApiError(404, f"Flavor {flavor_id} has no extra specs with key {key}.")
    return {key: specs[key]}


def _add_specs(request: Request, flavor_id: str) -> dict[str, Any]:
    request.require_admin("os-flavor-extra-specs:create")
    flavor = request.service.flavors.get(request.token, flavor_id)
    specs = {key: str(value) for key, value in request.body["extra_specs"].items()}
    flavor.extra_specs.update(specs)
    return {"extra_specs": specs}


def _set_spec(request: Request, flavor_id: str, key: str) -> dict[str, Any]:
    request.require_admin("os-flavor-extra-specs:update")
    if key not in request.body:
        raise ApiError(400, "Request body and URI mismatch")
    flavor = request.service.flavors.get(request.token, flavor_id)
    flavor.extra_specs[key] = str(request.body[key])
    return {key: flavor.extra_specs[key]}


def _delete_spec(request: Request, flavor_id: str, key: str) -> None:
    request.require_admin("os-flavor-extra-specs:delete")
    _spec(request, flavor_id, key)
    del request.service.flavors.rows[flavor_id].extra_specs[key]


def _access(request: Request, flavor_id: str) -> dict[str, Any]:
    request.require_admin("os-flavor-access")
    flavor = request.service.flavors.get(request.token, flavor_id)
    if flavor.is_public:
        raise ApiError(404, "Access list not available for public flavors.")
    return _access_list(flavor)


def _access_list(flavor: Flavor) -> dict[str, Any]:
    return {"flavor_access": [{"flavor_id": flavor.id, "tenant_id": project} for project in flavor.projects]}


def _act(request: Request, flavor_id: str) -> dict[str, Any]:
    name = next(iter(request.body))
    adding = name == "addTenantAccess"
    request.require_admin(f"os-flavor-access:{'add' if adding else 'remove'}_tenant_access")
    flavor = request.service.flavors.get(request.token, flavor_id)
    project = request.body[name]["tenant"]
    if adding:
        if flavor.is_public and request.since(7):
            raise ApiError(409, "Can not add access to a public flavor.")
        if project in flavor.projects:
            raise ApiError(
                409, f"Flavor access already exists for flavor {flavor_id} and project {project} combination."
            )
        flavor.projects.append(project)
    else:
        if project not in flavor.projects:
            raise ApiError(404, f"Flavor access not found for {flavor_id} / {project} combination.")
        flavor.projects.remove(project)
    return _access_list(flavor)


def _create_body(version: Version) -> Any:
    values: dict[str, Any] = {
        "name": NAME,
        "id": {
            "type": ["string", "number", "null"],
            "minLength": 1,
            "maxLength": 255,
            "pattern": r"^[a-zA-Z0-9._-]([a-zA-Z0-9. _-]*[a-zA-Z0-9._-])?$",
        },
        "ram": _POSITIVE,
        "vcpus": _POSITIVE,
        "disk": _NUMBER,
        "OS-FLV-EXT-DATA:ephemeral": _NUMBER,
        "swap": _NUMBER,
        "rxtx_factor": {
            "type": ["number", "string"],
            "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?$",
            "exclusiveMinimum": 0,
            "maximum": 3.40282e38,
        },
        "os-flavor-access:is_public": BOOLEAN,
    }
    if version >= (2, 55):
        values["description"] = _TEXT
    return wrapped("flavor", objects(values, ("name", "ram", "vcpus", "disk")))


def _list_query(version: Version) -> Any:
    values = dict.fromkeys(("marker", "is_public", "minRam", "minDisk"), MANY)
    values["limit"] = {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,9}$"}}
    values["sort_key"] = {"type": "array", "items": {"type": "string", "enum": _SORT_KEYS}}
    values["sort_dir"] = {"type": "array", "items": {"type": "string", "enum": ["asc", "desc"]}}
    return objects(values, more=version < (2, 75))


_TENANT = objects({"tenant": {"type": "string", "minLength": 1, "maxLength": 255}}, ("tenant",))
_ACTION = {"oneOf": [wrapped("addTenantAccess", _TENANT), wrapped("removeTenantAccess", _TENANT)]}
_ONE, _SPEC = "/flavors/<flavor_id>", "/flavors/<flavor_id>/os-extra_specs"

ROUTES = (
    Route("GET", "/flavors", _index, query=_list_query, errors=(403,)),
    Route("GET", "/flavors/detail", _detail, query=_list_query, errors=(403,)),
    Route("POST", "/flavors", _create, body=_create_body, errors=(403, 409)),
    Route("GET", _ONE, _show),
    Route(
        "PUT",
        _ONE,
        _update,
        body=lambda _: wrapped("flavor", objects({"description": _TEXT}, ("description",))),
        since=(2, 55),
    ),
    Route("DELETE", _ONE, _delete, 202),
    Route("POST", f"{_ONE}/action", _act, body=lambda _: _ACTION, errors=(403, 404, 409)),
    Route("GET", f"{_ONE}/os-flavor-access", _access),
    Route("GET", _SPEC, _specs),
    Route("POST", _SPEC, _add_specs, body=lambda _: wrapped("extra_specs", _SPECS)),
    Route("GET", f"{_SPEC}/<key>", _spec),
    Route("PUT", f"{_SPEC}/<key>", _set_spec, body=by_version((1, {**_SPECS, "minProperties": 1, "maxProperties": 1}))),
    Route("DELETE", f"{_SPEC}/<key>", _delete_spec),
)
