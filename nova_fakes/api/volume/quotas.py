"""Limits per project, and what of them is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.volume.refusals import invalid_input, over_quota
from nova_fakes.api.volume.store import Store
from nova_fakes.exceptions import ApiError

__all__ = ["DEFAULTS", "Quotas"]

# quota_* of cinder.conf as shipped. -1: no limit.
DEFAULTS: Mapping[str, int] = {
    "volumes": 10,
    "snapshots": 10,
    "gigabytes": 1000,
    "backups": 10,
    "backup_gigabytes": 1000,
    "per_volume_gigabytes": -1,
    "groups": 10,
}
PER_TYPE = ("volumes", "gigabytes", "snapshots")
MAXIMUM = 2**31 - 1


class Quotas:
    """Count what projects use, and refuse what goes beyond their limits.

    A resource is named as in Cinder: "volumes", "gigabytes", "snapshots", and each with "_" and a type's name behind.

    Args:
        store: where the lock, the types and, after a restart, the records to count come from.
        defaults: limits of projects that have none of their own, in place of `DEFAULTS`.
    """

    def __init__(self, store: Store, defaults: Mapping[str, int] | None = None) -> None:
        self._store = store
        self._defaults = {**DEFAULTS, **(defaults or {})}
        self._limits: dict[str, dict[str, int]] = {}
        self._used: dict[str, dict[str, int]] = {}

    def charge(
        self, project_id: str, type_name: str, *, volumes: int = 0, gigabytes: int = 0, snapshots: int = 0
    ) -> None:
        """Count a change in what a project uses: all of it or, where a limit is exceeded, nothing.

        Raises:
            ApiError: 413, naming the quota.
        """
        used = self._used.setdefault(project_id, {})
        for resource, change in (("volumes", volumes), ("snapshots", snapshots), ("gigabytes", gigabytes)):
            for name in (resource, f"{resource}_{type_name}"):
                limit = self.limit(project_id, name)
                if change <= 0 or limit < 0 or used.get(name, 0) + change <= limit:
                    continue
                if resource == "volumes":
                    raise over_quota(f"Maximum number of volumes allowed ({limit}) exceeded for quota '{name}'.")
                if resource == "snapshots":
                    raise over_quota(f"Maximum number of snapshots allowed ({limit}) exceeded")
                raise over_quota(
                    f"Requested volume or snapshot exceeds allowed {name} quota. Requested {change}G, quota is "
                    f"{limit}G and {used.get(name, 0)}G has been consumed."
                )
        for resource, change in (("volumes", volumes), ("snapshots", snapshots), ("gigabytes", gigabytes)):
            for name in (resource, f"{resource}_{type_name}"):
                used[name] = used.get(name, 0) + change

    def move_snapshot(self, project_id: str, old: str, new: str, gigabytes: int) -> None:
        """Count a snapshot as one of another type, which no limit forbids."""
        used = self._used.setdefault(project_id, {})
        for name, sign in ((old, -1), (new, 1)):
            for resource, change in (("snapshots", 1), ("gigabytes", gigabytes)):
                used[f"{resource}_{name}"] = used.get(f"{resource}_{name}", 0) + sign * change

    def charge_backup(self, project_id: str, *, backups: int, gigabytes: int) -> None:
        """Count a change in the backups of a project: all of it or, where a limit is exceeded, nothing.

        Raises:
            ApiError: 413, naming the quota.
        """
        used = self._used.setdefault(project_id, {})
        limit, consumed = self.limit(project_id, "backup_gigabytes"), used.get("backup_gigabytes", 0)
        if gigabytes > 0 and 0 <= limit < consumed + gigabytes:
            raise over_quota(
                f"Requested backup exceeds allowed Backup gigabytes quota. Requested {gigabytes}G, quota is {limit}G "
                f"and {consumed}G has been consumed."
            )
        self._charge_one(project_id, "backups", backups)
        used["backup_gigabytes"] = consumed + gigabytes

    def charge_groups(self, project_id: str, groups: int) -> None:
        """Count a change in the number of a project's groups; ApiError 413 beyond its limit."""
        self._charge_one(project_id, "groups", groups)

    def _charge_one(self, project_id: str, name: str, change: int) -> None:
        used, limit = self._used.setdefault(project_id, {}), self.limit(project_id, name)
        if change > 0 and 0 <= limit < used.get(name, 0) + change:
            raise over_quota(f"Maximum number of {name} allowed ({limit}) exceeded")
        used[name] = used.get(name, 0) + change

    def check_size(self, project_id: str, size_gb: int) -> None:
        """Refuse a volume that is larger than a single one may be.

        Raises:
            ApiError: 413.
        """
        limit = self.limit(project_id, "per_volume_gigabytes")
        if 0 <= limit < size_gb:
            raise over_quota(f"Requested volume size {size_gb}G is larger than maximum allowed limit {limit}G.")

    def limit(self, project_id: str, name: str) -> int:
        """Return a project's limit of a resource, -1 if there is none."""
        own = self._limits.get(project_id)
        if own is not None and name in own:
            return own[name]
        return self._defaults.get(name, -1)

    def used(self, project_id: str, name: str) -> int:
        """Return how much of a resource a project uses."""
        return self._used.get(project_id, {}).get(name, 0)

    def names(self) -> list[str]:
        """Return all resources, those of the types included."""
        types = [record.name for record in self._store.types.values()]
        return [*self._defaults, *(f"{resource}_{name}" for name in types for resource in PER_TYPE)]

    def limits(self, project_id: str) -> dict[str, int]:
        """Return a project's limits by resource."""
        with self._store.lock:
            return {name: self.limit(project_id, name) for name in self.names()}

    def default_limits(self) -> dict[str, int]:
        """Return the limits of a project that has none of its own."""
        with self._store.lock:
            return {name: self._defaults.get(name, -1) for name in self.names()}

    def usage(self, project_id: str) -> dict[str, dict[str, int]]:
        """Return limit, use and reservation by resource."""
        with self._store.lock:
            return {
                name: {"limit": self.limit(project_id, name), "in_use": self.used(project_id, name), "reserved": 0}
                for name in self.names()
            }

    def set(self, project_id: str, limits: Mapping[str, Any]) -> None:
        """Give a project limits of its own: all of them or, where one is refused, none.

        Raises:
            ApiError: 400, an unknown resource, no whole number of at least -1, or less than is used.
        """
        with self._store.lock:
            known = self.names()
            for name, value in limits.items():
                if name not in known:
                    raise invalid_input(f"Bad key '{name}' in quota set: known are {', '.join(known)}.")
                if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= MAXIMUM:
                    raise invalid_input(f"Quota '{name}' must be a whole number from -1 to {MAXIMUM}, not {value!r}.")
                used = self.used(project_id, name)
                if 0 <= value < used and name != "per_volume_gigabytes":
                    raise ApiError(
                        400,
                        f"Quota {name} limit must be equal or greater than existing resources. Current usage is "
                        f"{used} and the requested limit is {value}.",
                    )
            self._limits.setdefault(project_id, {}).update(limits)

    def reset(self, project_id: str) -> None:
        """Give a project the default limits again."""
        with self._store.lock:
            self._limits.pop(project_id, None)

    def rename_type(self, old: str, new: str) -> None:
        """Carry a type's limits and uses over to its new name."""
        for table in (*self._limits.values(), *self._used.values()):
            for resource in PER_TYPE:
                value = table.pop(f"{resource}_{old}", None)
                if value is not None:
                    table[f"{resource}_{new}"] = value

    def dump(self) -> dict[str, Any]:
        """Return the projects' own limits as JSON-able data."""
        return {project_id: dict(limits) for project_id, limits in self._limits.items()}

    def load(self, limits: Mapping[str, Mapping[str, int]]) -> None:
        """Take the limits of a `dump` and count anew what the store's records use."""
        self._limits = {project_id: dict(values) for project_id, values in limits.items()}
        self._used = {}
        own, self._limits = self._limits, {}
        defaults, self._defaults = self._defaults, {}
        try:  # what is there was allowed when it was made
            for volume in self._store.volumes.values():
                name = self._store.types[volume.type_id].name
                self.charge(volume.project_id, name, volumes=1, gigabytes=volume.size_gb)
            for snapshot in self._store.snapshots.values():
                name = self._store.types[snapshot.type_id].name
                self.charge(snapshot.project_id, name, snapshots=1, gigabytes=snapshot.size_gb)
            for backup in self._store.backups.values():
                self.charge_backup(backup.project_id, backups=1, gigabytes=backup.size_gb)
            for group in self._store.groups.values():
                self.charge_groups(group.project_id, 1)
        finally:
            self._limits, self._defaults = own, defaults
