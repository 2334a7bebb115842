"""What `ldap.modlist` has: lists of changes from entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nova_fakes.ldap.client.constants import MOD_ADD, MOD_DELETE

__all__ = ["addModlist", "modifyModlist"]

Entry = Mapping[str, Any]


def _lowered(names: Iterable[str] | None) -> set[str]:
    return {name.lower() for name in names or ()}


def _there(values: Iterable[Any] | None) -> list[Any]:
    return [value for value in values or () if value is not None]


def addModlist(entry: Entry, ignore_attr_types: Iterable[str] | None = None) -> list[tuple[str, Any]]:
    """Return what `add` takes for an entry.

    :param ignore_attr_types: attributes to leave out
    """
    ignored = _lowered(ignore_attr_types)
    return [(name, values) for name, values in entry.items() if name.lower() not in ignored and _there(values)]


def modifyModlist(
    old_entry: Entry,
    new_entry: Entry,
    ignore_attr_types: Iterable[str] | None = None,
    ignore_oldexistent: int = 0,
    case_ignore_attr_types: Iterable[str] | None = None,
) -> list[tuple[int, str, Any]]:
    """Return what `modify` takes to make one entry of another.

    :param ignore_attr_types: attributes to leave as they are
    :param ignore_oldexistent: true to keep attributes that the new entry does not name
    :param case_ignore_attr_types: attributes whose values are the same whatever their case
    """
    ignored, caseless = _lowered(ignore_attr_types), _lowered(case_ignore_attr_types)
    left = {name.lower(): name for name in old_entry}
    changes: list[tuple[int, str, Any]] = []
    for name, values in new_entry.items():
        key = name.lower()
        if key in ignored:
            continue
        new = _there(values)
        old = _there(old_entry[left.pop(key)]) if key in left else []
        if old and (not new or _differ(old, new, key in caseless)):
            changes.append((MOD_DELETE, name, None))
            old = []
        if new and not old:
            changes.append((MOD_ADD, name, new))
    if not ignore_oldexistent:
        changes += [(MOD_DELETE, name, None) for key, name in left.items() if key not in ignored]
    return changes


def _differ(old: list[Any], new: list[Any], caseless: bool) -> bool:
    if len(old) != len(new):
        return True
    if caseless:
        return {value.lower() for value in old} != {value.lower() for value in new}
    return set(old) != set(new)
