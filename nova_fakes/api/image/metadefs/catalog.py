"""Namespaces of metadata and what they define: records that dashboards offer to their users."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nova_fakes.api.auth import Token
from nova_fakes.api.image.record import timestamp
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError

__all__ = ["PARTS", "Metadefs"]

Record = dict[str, Any]

PARTS: Final = {"objects": "object", "properties": "property", "tags": "tag"}
"""What a namespace has by name: the collection, and what one of it is called."""
_OWN: Final = ("namespace", "display_name", "description", "visibility", "protected", "owner")


class Metadefs:
    """Definitions of metadata, safe to use from many threads.

    Everybody sees public namespaces and his project's own; administrators alone change any. What the methods return is
    a copy.

    Args:
        clock: dates the records.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._namespaces: dict[str, Record] = {}
        self._parts: dict[str, dict[str, dict[str, Record]]] = {}
        self._associations: dict[str, dict[str, Record]] = {}
        self._types: dict[str, Record] = {}

    # Namespaces

    def select(self, token: Token) -> list[Record]:
        """Return the namespaces that the caller sees, oldest first, with the types of resources that they are for."""
        with self._lock:
            return [self._view(one) for one in self._namespaces.values() if _visible(token, one)]

    def get(self, token: Token, name: str, resource_type: str | None = None) -> Record:
        """Return a namespace with all that it defines.

        Args:
            token: who asks.
            name: of the namespace.
            resource_type: give the names of properties the prefix that they have for this type.

        Raises:
            ApiError: 404, he sees none of that name.
        """
        with self._lock:
            shown = self._view(self._find(token, name))
            parts = self._parts[name]
            if parts["objects"]:
                shown["objects"] = [dict(one) for one in parts["objects"].values()]
            if parts["properties"]:
                shown["properties"] = {key: dict(one) for key, one in parts["properties"].items()}
            if parts["tags"]:
                shown["tags"] = [{"name": key} for key in parts["tags"]]
            association = self._associations[name].get(resource_type or "")
        return _prefixed(shown, association["prefix"]) if association and association.get("prefix") else shown

    def create(self, token: Token, values: Mapping[str, Any]) -> Record:
        """Make a namespace with all that it defines, checked by the schema already.

        Raises:
            ApiError: 403, no administrator asks; 409, there is one of that name, or a name is there twice.
        """
        _require_admin(token, "add_metadef_namespace")
        name = values["namespace"]
        with self._lock:
            if name in self._namespaces:
                raise ApiError(409, f"The metadata definition namespace={name} already exists.")
            self._namespaces[name] = self._dated(
                {"visibility": "private", "protected": False, "owner": token.project_id}
                | {key: values[key] for key in _OWN if key in values}
            )
            self._parts[name] = {part: {} for part in PARTS}
            self._associations[name] = {}
            try:
                for part in ("objects", "tags"):
                    for one in values.get(part, ()):
                        self.add(token, name, part, one)
                for key, one in values.get("properties", {}).items():
                    self._insert(name, "properties", key, dict(one))
                for one in values.get("resource_type_associations", ()):
                    self.associate(token, name, one)
            except ApiError:
                self._forget(name)
                raise
            return self.get(token, name)

    def update(self, token: Token, name: str, values: Mapping[str, Any]) -> Record:
        """Replace what a namespace says of itself, its name maybe; ApiError 403, 404, 409 the name is taken."""
        with self._lock:
            old = self._writable(token, name, "modify_metadef_namespace")
            new_name = values["namespace"]
            if new_name != name and new_name in self._namespaces:
                raise ApiError(409, f"The metadata definition namespace={new_name} already exists.")
            new = {"visibility": "private", "protected": False, "owner": token.project_id}
            new |= {key: values[key] for key in _OWN if key in values}
            new |= {"created_at": old["created_at"], "updated_at": self._now()}
            self._namespaces = {
                (new_name if key == name else key): (new if key == name else one)
                for key, one in self._namespaces.items()
            }
            self._parts[new_name] = self._parts.pop(name)
            self._associations[new_name] = self._associations.pop(name)
            return self._view(new)

    def delete(self, token: Token, name: str) -> None:
        """Remove a namespace with all that it defines; ApiError 404, 403 also where it is protected."""
        with self._lock:
            self._unprotected(token, name, "delete_metadef_namespace")
            self._forget(name)

    # What namespaces define

    def parts(self, token: Token, name: str, part: str) -> dict[str, Record]:
        """Return a namespace's objects, properties or tags by name; ApiError 404."""
        with self._lock:
            self._find(token, name)
            return {key: dict(one) for key, one in self._parts[name][part].items()}

    def part(self, token: Token, name: str, part: str, key: str) -> Record:
        """Return one object, property or tag; ApiError 404."""
        found = self.parts(token, name, part).get(key)
        if found is None:
            raise _missing(name, part, key)
        return found

    def add(self, token: Token, name: str, part: str, values: Mapping[str, Any]) -> Record:
        """Add an object, property or tag; ApiError 404, 403, 409 there is one of that name."""
        with self._lock:
            self._writable(token, name, f"add_metadef_{PARTS[part]}")
            return self._insert(name, part, values["name"], dict(values))

    def change(self, token: Token, name: str, part: str, key: str, values: Mapping[str, Any]) -> Record:
        """Replace an object, property or tag, its name maybe; ApiError 404, 403, 409 the name is taken."""
        with self._lock:
            self._writable(token, name, f"modify_metadef_{PARTS[part]}")
            rows = self._parts[name][part]
            if key not in rows:
                raise _missing(name, part, key)
            if values["name"] != key and values["name"] in rows:
                raise _duplicate(name, part, values["name"])
            new = {**values}
            if part != "properties":
                new |= {"created_at": rows[key]["created_at"], "updated_at": self._now()}
            self._parts[name][part] = {
                (values["name"] if one == key else one): (new if one == key else record) for one, record in rows.items()
            }
            return dict(new)

    def remove(self, token: Token, name: str, part: str, key: str) -> None:
        """Remove an object, property or tag; ApiError 404, 403."""
        with self._lock:
            self._writable(token, name, f"delete_metadef_{PARTS[part]}")
            if self._parts[name][part].pop(key, None) is None:
                raise _missing(name, part, key)

    def clear(self, token: Token, name: str, part: str) -> None:
        """Remove all objects, properties or tags of a namespace; ApiError 404, 403 also where it is protected."""
        with self._lock:
            self._unprotected(token, name, "delete_metadef_namespace")
            self._parts[name][part] = {}

    def set_tags(self, token: Token, name: str, tags: Iterable[str], *, append: bool) -> list[Record]:
        """Give a namespace these tags, beside those that it has or in their place; ApiError 404, 403, 409 one twice."""
        with self._lock:
            self._writable(token, name, "add_metadef_tags")
            before = self._parts[name]["tags"]
            self._parts[name]["tags"] = dict(before) if append else {}
            try:
                return [{"name": self._insert(name, "tags", tag, {"name": tag})["name"]} for tag in tags]
            except ApiError:
                self._parts[name]["tags"] = before
                raise

    # Types of resources

    def types(self) -> list[Record]:
        """Return all types of resources that some namespace is, or was, for."""
        with self._lock:
            return [dict(one) for one in self._types.values()]

    def associations(self, token: Token, name: str) -> list[Record]:
        """Return the types of resources that a namespace is for; ApiError 404."""
        with self._lock:
            self._find(token, name)
            return [dict(one) for one in self._associations[name].values()]

    def associate(self, token: Token, name: str, values: Mapping[str, Any]) -> Record:
        """Let a namespace be for a type of resources; ApiError 404, 403, 409 it is already."""
        with self._lock:
            self._writable(token, name, "add_metadef_resource_type_association")
            kind = values["name"]
            if kind in self._associations[name]:
                raise ApiError(
                    409,
                    f"The metadata definition resource-type association of resource-type={kind} to namespace={name} "
                    f"already exists.",
                )
            self._types.setdefault(kind, self._dated({"name": kind}))
            self._associations[name][kind] = made = self._dated(dict(values))
            return dict(made)

    def unprefixed(self, token: Token, name: str, kind: str, key: str) -> str:
        """Return a property's name without the prefix that a type of resources gives it; ApiError 404."""
        with self._lock:
            self._find(token, name)
            association = self._associations[name].get(kind)
        if association is None:
            raise _unassociated(name, kind)
        prefix = str(association.get("prefix") or "")
        if not prefix or not key.startswith(prefix):
            raise ApiError(
                404,
                f"Property {key} does not start with the expected resource type association prefix of '{prefix}'.",
            )
        return key[len(prefix) :]

    def dissociate(self, token: Token, name: str, kind: str) -> None:
        """Let a namespace no longer be for a type of resources; ApiError 404, 403."""
        with self._lock:
            self._writable(token, name, "remove_metadef_resource_type_association")
            if self._associations[name].pop(kind, None) is None:
                raise _unassociated(name, kind)

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        with self._lock:
            return {
                "namespaces": dict(self._namespaces),
                "parts": {
                    name: {part: dict(rows) for part, rows in all_.items()} for name, all_ in self._parts.items()
                },
                "associations": {name: dict(rows) for name, rows in self._associations.items()},
                "types": dict(self._types),
            }

    def load(self, data: Mapping[str, Any]) -> None:
        """Replace everything by what `dump` returned; an older state has nothing."""
        with self._lock:
            self._namespaces = dict(data.get("namespaces", {}))
            self._parts = {
                name: {part: dict(rows) for part, rows in all_.items()} for name, all_ in data.get("parts", {}).items()
            }
            self._associations = {name: dict(rows) for name, rows in data.get("associations", {}).items()}
            self._types = dict(data.get("types", {}))

    # Parts

    def _view(self, namespace: Record) -> Record:
        shown = dict(namespace)
        associations = self._associations[namespace["namespace"]]
        if associations:
            shown["resource_type_associations"] = [dict(one) for one in associations.values()]
        return shown

    def _find(self, token: Token, name: str) -> Record:
        found = self._namespaces.get(name)
        if found is None or not _visible(token, found):
            raise ApiError(404, f"Metadata definition namespace={name} was not found.")
        return found

    def _writable(self, token: Token, name: str, action: str) -> Record:
        found = self._find(token, name)
        _require_admin(token, action)
        return found

    def _unprotected(self, token: Token, name: str, action: str) -> None:
        if self._writable(token, name, action)["protected"]:
            raise ApiError(403, f"Metadata definition namespace {name} is protected and cannot be deleted.")

    def _forget(self, name: str) -> None:
        for rows in (self._namespaces, self._parts, self._associations):
            del rows[name]

    def _insert(self, name: str, part: str, key: str, values: Record) -> Record:
        rows = self._parts[name][part]
        if key in rows:
            raise _duplicate(name, part, key)
        rows[key] = values if part == "properties" else self._dated(values)
        return dict(rows[key])

    def _dated(self, values: Record) -> Record:
        now = self._now()
        return {**values, "created_at": now, "updated_at": now}

    def _now(self) -> str:
        return timestamp(self._clock.now())


def _visible(token: Token, namespace: Record) -> bool:
    own = token.project_id is not None and namespace["owner"] == token.project_id
    return token.is_admin or own or namespace["visibility"] == "public"


def _require_admin(token: Token, action: str) -> None:
    if not token.is_admin:
        raise ApiError(403, f"You are not authorized to complete {action} action.")


def _unassociated(name: str, kind: str) -> ApiError:
    return ApiError(
        404,
        f"The metadata definition resource-type association of resource-type={kind} to namespace={name}, was not "
        f"found.",
    )


def _missing(name: str, part: str, key: str) -> ApiError:
    return ApiError(404, f"The metadata definition {PARTS[part]} with name={key} was not found in namespace={name}.")


def _duplicate(name: str, part: str, key: str) -> ApiError:
    return ApiError(409, f"A metadata definition {PARTS[part]} with name={key} already exists in namespace={name}.")


def _prefixed(shown: Record, prefix: str) -> Record:
    """Return a namespace whose properties, and those of its objects, have the prefix of a type of resources."""
    if "properties" in shown:
        shown["properties"] = {f"{prefix}{key}": one for key, one in shown["properties"].items()}
    for one in shown.get("objects", ()):
        if "properties" in one:
            one["properties"] = {f"{prefix}{key}": value for key, value in one["properties"].items()}
        if one.get("required"):
            one["required"] = [f"{prefix}{key}" for key in one["required"]]
    return shown
