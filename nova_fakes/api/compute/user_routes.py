"""What users and projects have beside servers, over HTTP: key pairs, server groups, quotas, limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from typing import Any

from nova_fakes.api.compute.keys import new_key
from nova_fakes.api.compute.quotas import DEFAULTS, hidden_resources
from nova_fakes.api.compute.records import KeyPair, ServerGroup, naive_time
from nova_fakes.api.compute.routing import Answer, Request, Route, strict_since
from nova_fakes.api.compute.schema import BOOLEAN, MANY, NAME, NUMBERS, boolean, objects, wrapped
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["ROUTES"]

_LIMIT_NAMES = {
    "ram": ["maxTotalRAMSize"],
    "instances": ["maxTotalInstances"],
    "cores": ["maxTotalCores"],
    "key_pairs": ["maxTotalKeypairs"],
    "floating_ips": ["maxTotalFloatingIps"],
    "metadata_items": ["maxServerMeta", "maxImageMeta"],
    "injected_files": ["maxPersonality"],
    "injected_file_content_bytes": ["maxPersonalitySize"],
    "security_groups": ["maxSecurityGroups"],
    "security_group_rules": ["maxSecurityGroupRules"],
    "server_groups": ["maxServerGroups"],
    "server_group_members": ["maxServerGroupMembers"],
}
_USED_NAMES = {
    "totalRAMUsed": "ram",
    "totalCoresUsed": "cores",
    "totalInstancesUsed": "instances",
    "totalFloatingIpsUsed": "floating_ips",
    "totalSecurityGroupsUsed": "security_groups",
    "totalServerGroupsUsed": "server_groups",
}


# Key pairs


def _owner(request: Request, asked: str | None) -> str:
    """Return whose key pairs are meant; only an administrator may mean another's."""
    if asked is None or not request.since(10):
        return request.token.user_id
    if asked != request.token.user_id:
        request.require_admin("os-keypairs")
    return asked


def _fingerprint(public_key: str) -> str:
    try:
        kind, encoded = public_key.split()[:2]
        data = base64.b64decode(encoded, validate=True)
        if not kind.startswith(("ssh-", "ecdsa-", "sk-")) or data[4 : 4 + len(kind)] != kind.encode():
            raise ValueError(kind)
    except (ValueError, binascii.Error, IndexError):
        raise ApiError(400, "Keypair data is invalid: failed to generate fingerprint") from None
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))


def _create_key(request: Request) -> Answer:
    service, asked = request.service, request.body["keypair"]
    user_id = _owner(request, asked.get("user_id"))
    kind = asked.get("type", "ssh")
    name = asked["name"]
    if (user_id, name) in service.keypairs:
        raise ApiError(409, f"Key pair '{name}' already exists.")
    service.quotas.check(
        request.project_id, "key_pairs", service.quotas.keys(user_id) + 1, "Quota exceeded, too many key pairs."
    )
    private_key = None
    public_key = asked.get("public_key")
    if kind == "x509":
        raise ApiError(400, "Keypair data is invalid: only keys of the type ssh are taken here")
    if public_key is None:
        private_key, public_key = new_key()
    made = KeyPair(service.number(), name, user_id, kind, public_key, _fingerprint(public_key), service.now)
    service.keypairs[user_id, name] = made
    shown: dict[str, Any] = {
        "name": name,
        "public_key": public_key,
        "fingerprint": made.fingerprint,
        "user_id": user_id,
    }
    if private_key is not None:
        shown["private_key"] = private_key
    if request.since(2):
        shown["type"] = kind
    return Answer({"keypair": shown}, status=201 if request.since(2) else 200)


def _list_keys(request: Request) -> dict[str, Any]:
    user_id = _owner(request, request.argument("user_id"))
    rows = sorted((one for key, one in request.service.keypairs.items() if key[0] == user_id), key=lambda one: one.name)
    more = False
    if request.since(35):
        page, more = request.page(rows, lambda one: str(one.name))
        rows = list(page)
    body: dict[str, Any] = {"keypairs": [{"keypair": _key_view(request, one)} for one in rows]}
    if more and rows:
        body["keypairs_links"] = request.next_links("os-keypairs", rows[-1].name)
    return body


def _key_view(request: Request, one: KeyPair) -> dict[str, Any]:
    shown = {"name": one.name, "public_key": one.public_key, "fingerprint": one.fingerprint}
    if request.since(2):
        shown["type"] = one.type
    return shown


def _key(request: Request, name: str) -> KeyPair:
    user_id = _owner(request, request.argument("user_id"))
    found = request.service.keypairs.get((user_id, name))
    if found is None:
        raise ApiError(404, f"Keypair {name} not found for user {user_id}")
    return found


def _show_key(request: Request, name: str) -> dict[str, Any]:
    one = _key(request, name)
    shown = _key_view(request, one) | {
        "user_id": one.user_id,
        "created_at": naive_time(one.created_at),
        "deleted": False,
        "deleted_at": None,
        "id": one.number,
        "updated_at": None,
    }
    return {"keypair": shown}


def _delete_key(request: Request, name: str) -> Answer:
    one = _key(request, name)
    del request.service.keypairs[one.user_id, one.name]
    return Answer(status=204 if request.since(2) else 202)


def _key_body(version: Version) -> Any:
    letters = r"^[_\-\@\. a-zA-Z0-9]+$" if version >= (2, 92) else r"^[_\- a-zA-Z0-9]+$"
    name = {"allOf": [NAME, {"type": "string", "pattern": letters}]}
    values: dict[str, Any] = {"name": name, "public_key": {"type": "string"}}
    if version >= (2, 2):
        values["type"] = {"type": "string", "enum": ["ssh", "x509"]}
    if version >= (2, 10):
        values["user_id"] = {"type": "string"}
    required = ("name", "public_key") if version >= (2, 92) else ("name",)
    return wrapped("keypair", objects(values, required))


def _key_query(version: Version) -> Any:
    values: dict[str, Any] = {"user_id": MANY} if version >= (2, 10) else {}
    if version >= (2, 35):
        values |= {"limit": NUMBERS, "marker": MANY}
    return objects(values, more=version < (2, 75))


def _one_key_query(version: Version) -> Any:
    return objects({"user_id": MANY} if version >= (2, 10) else {}, more=version < (2, 75))


# Server groups


def _group_view(request: Request, one: ServerGroup) -> dict[str, Any]:
    members = [server.id for server in request.service.servers.values() if server.group_id == one.id]
    living = [server_id for server_id in members if not request.service.servers[server_id].deleted]
    shown: dict[str, Any] = {"id": one.id, "name": one.name, "members": living}
    if request.since(64):
        shown |= {"policy": one.policy, "rules": one.rules}
    else:
        shown |= {"policies": [one.policy], "metadata": {}}
    if request.since(13):
        shown |= {"project_id": one.project_id, "user_id": one.user_id}
    return shown


def _list_groups(request: Request) -> dict[str, Any]:
    everywhere = request.argument("all_projects") is not None
    if everywhere:
        request.require_admin("os-server-groups:index:all_projects")
    rows = [one for one in request.service.groups.values() if everywhere or one.project_id == request.project_id]
    start, limit = request.number("offset") or 0, request.number("limit")
    return {"server_groups": [_group_view(request, one) for one in rows[start : start + (limit or 1000)]]}


def _create_group(request: Request) -> dict[str, Any]:
    request.require_member("os-server-groups:create")
    service, asked = request.service, request.body["server_group"]
    policy = asked["policy"] if request.since(64) else asked["policies"][0]
    rules = dict(asked.get("rules") or {})
    if rules and policy != "anti-affinity":
        raise ApiError(400, f"Only anti-affinity policy supports rules, not {policy}.")
    service.quotas.check(
        request.project_id,
        "server_groups",
        service.quotas.groups(request.project_id) + 1,
        "Quota exceeded, too many server groups.",
    )
    made = ServerGroup(
        str(uuid.uuid4()),
        asked["name"],
        policy,
        request.project_id,
        request.token.user_id,
        {key: int(value) for key, value in rules.items()},
    )
    service.groups[made.id] = made
    return {"server_group": _group_view(request, made)}


def _group(request: Request, group_id: str) -> ServerGroup:
    found = request.service.groups.get(group_id)
    if found is None or not (request.token.is_admin or found.project_id == request.project_id):
        raise ApiError(404, f"Instance group {group_id} could not be found.")
    return found


def _show_group(request: Request, group_id: str) -> dict[str, Any]:
    return {"server_group": _group_view(request, _group(request, group_id))}


def _delete_group(request: Request, group_id: str) -> None:
    request.require_member("os-server-groups:delete")
    del request.service.groups[_group(request, group_id).id]


def _group_body(version: Version) -> Any:
    policies = ["anti-affinity", "affinity"]
    if version >= (2, 15):
        policies += ["soft-anti-affinity", "soft-affinity"]
    values: dict[str, Any] = {"name": NAME}
    if version >= (2, 64):
        most = {"type": ["integer", "string"], "pattern": "^[0-9]*[1-9][0-9]*$", "minimum": 1, "maxLength": 9}
        values["policy"] = {"type": "string", "enum": policies}
        values["rules"] = objects({"max_server_per_host": most})
        return wrapped("server_group", objects(values, ("name", "policy")))
    values["policies"] = {"type": "array", "items": {"enum": policies}, "minItems": 1, "maxItems": 1}
    return wrapped("server_group", objects(values, ("name", "policies")))


def _group_query(version: Version) -> Any:
    return objects({"all_projects": MANY, "limit": NUMBERS, "offset": NUMBERS}, more=version < (2, 75))


# Quotas and limits


def _shown_resources(request: Request) -> list[str]:
    hidden = hidden_resources(request.version)
    return [name for name in DEFAULTS if name not in hidden]


def _quota_view(request: Request, limits: dict[str, int], project_id: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {} if project_id is None else {"id": project_id}
    return {"quota_set": shown | {name: limits[name] for name in _shown_resources(request)}}


def _own_or_admin(request: Request, project_id: str, action: str) -> None:
    if project_id != request.project_id:
        request.require_admin(f"os-quota-sets:{action}")


def _show_quotas(request: Request, project_id: str) -> dict[str, Any]:
    _own_or_admin(request, project_id, "show")
    return _quota_view(request, request.service.quotas.limits(project_id), project_id)


def _default_quotas(request: Request, project_id: str) -> dict[str, Any]:
    return _quota_view(request, request.service.quotas.defaults, project_id)


def _detailed_quotas(request: Request, project_id: str) -> dict[str, Any]:
    _own_or_admin(request, project_id, "detail")
    quotas = request.service.quotas
    limits, used = quotas.limits(project_id), quotas.used(project_id)
    rows = {name: {"limit": limits[name], "in_use": used[name], "reserved": 0} for name in _shown_resources(request)}
    return {"quota_set": {"id": project_id, **rows}}


def _set_quotas(request: Request, project_id: str) -> dict[str, Any]:
    request.require_admin("os-quota-sets:update")
    asked = dict(request.body["quota_set"])
    force = boolean(asked.pop("force", False))
    asked.pop("tenant_id", None)
    quotas = request.service.quotas
    quotas.set(project_id, {name: int(value) for name, value in asked.items()}, force=force)
    return _quota_view(request, quotas.limits(project_id), None)


def _reset_quotas(request: Request, project_id: str) -> None:
    request.require_admin("os-quota-sets:delete")
    request.service.quotas.reset(project_id)


def _quota_body(version: Version) -> Any:
    limit = {"type": ["integer", "string"], "pattern": "^-?[0-9]{1,9}$", "minimum": -1, "maximum": 0x7FFFFFFF}
    hidden = hidden_resources(version)
    values: dict[str, Any] = {name: limit for name in DEFAULTS if name not in hidden}
    return wrapped("quota_set", objects({**values, "force": BOOLEAN}))


def _limits(request: Request) -> dict[str, Any]:
    project_id = request.argument("tenant_id") or request.project_id
    if project_id != request.project_id:
        request.require_admin("limits:other_project")
    quotas = request.service.quotas
    limits, used = quotas.limits(project_id), quotas.used(project_id)
    hidden = hidden_resources(request.version)
    absolute: dict[str, int] = {}
    for name, names in _LIMIT_NAMES.items():
        if name not in hidden:
            absolute.update(dict.fromkeys(names, limits[name]))
    if request.since(39):
        absolute.pop("maxImageMeta", None)
    absolute.update({shown: used[name] for shown, name in _USED_NAMES.items() if name not in hidden})
    return {"limits": {"rate": [], "absolute": absolute}}


_KEY, _GROUP, _QUOTA = "/os-keypairs/<path:name>", "/os-server-groups/<group_id>", "/os-quota-sets/<project_id>"
_USER = strict_since(75, "user_id")

ROUTES = (
    Route("GET", "/os-keypairs", _list_keys, query=_key_query, errors=(403,)),
    Route("POST", "/os-keypairs", _create_key, 201, _key_body, errors=(200, 403, 409)),
    Route("GET", _KEY, _show_key, query=_one_key_query),
    Route("DELETE", _KEY, _delete_key, 204, query=_one_key_query, errors=(202, 403, 404)),
    Route("GET", "/os-server-groups", _list_groups, query=_group_query, errors=(403,)),
    Route("POST", "/os-server-groups", _create_group, body=_group_body, errors=(403, 409)),
    Route("GET", _GROUP, _show_group),
    Route("DELETE", _GROUP, _delete_group, 204),
    Route("GET", _QUOTA, _show_quotas, query=_USER),
    Route("PUT", _QUOTA, _set_quotas, body=_quota_body, query=_USER),
    Route("DELETE", _QUOTA, _reset_quotas, 202, query=_USER),
    Route("GET", f"{_QUOTA}/defaults", _default_quotas),
    Route("GET", f"{_QUOTA}/detail", _detailed_quotas, query=_USER),
    Route("GET", "/limits", _limits, query=strict_since(75, "tenant_id"), errors=(403,)),
)
