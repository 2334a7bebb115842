"""What a project may have, and what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_fakes.api.compute.records import Flavor, KeyPair, Server, ServerGroup
from nova_fakes.api.compute.versions import Version
from nova_fakes.exceptions import ApiError

__all__ = ["DEFAULTS", "Quotas", "hidden_resources"]

#: nova/conf/quota.py; what nova-network once counted is without limit.
DEFAULTS: Mapping[str, int] = {
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_group_rules": -1,
    "security_groups": -1,
    "instances": 10,
    "cores": 20,
    "ram": 51200,
    "metadata_items": 128,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
}
_NETWORK = ("fixed_ips", "floating_ips", "security_group_rules", "security_groups")
_FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
_DEFAULT_CLASS = "default"


def hidden_resources(version: Version) -> tuple[str, ...]:
    """Return the resources that a microversion no longer shows: those of networks since 2.36, of files since 2.57."""
    return (*(_NETWORK if version >= (2, 36) else ()), *(_FILES if version >= (2, 57) else ()))


class Quotas:
    """Limits by project, use counted from the records.

    Args:
        servers: by id.
        keypairs: by user and name.
        groups: server groups by id.
        defaults: limits that differ from nova's.
    """

    def __init__(
        self,
        servers: Mapping[str, Server],
        keypairs: Mapping[tuple[str, str], KeyPair],
        groups: Mapping[str, ServerGroup],
        defaults: Mapping[str, int],
    ) -> None:
        self._servers, self._keypairs, self._groups = servers, keypairs, groups
        self._configured = {**DEFAULTS, **defaults}
        self._classes: dict[str, dict[str, int]] = {}
        self._limits: dict[str, dict[str, int]] = {}

    @property
    def defaults(self) -> dict[str, int]:
        """The limits of projects that were given none."""
        return self.class_limits(_DEFAULT_CLASS)

    def class_limits(self, name: str) -> dict[str, int]:
        """Return the limits of a class; projects are of the class "default", the others hold for nobody."""
        return {**self._configured, **self._classes.get(name, {})}

    def set_class(self, name: str, limits: Mapping[str, int]) -> None:
        """Change the limits of a class."""
        self._classes.setdefault(name, {}).update(limits)

    def limits(self, project_id: str) -> dict[str, int]:
        """Return a project's limits; -1 is none."""
        return {**self.defaults, **self._limits.get(project_id, {})}

    def used(self, project_id: str) -> dict[str, int]:
        """Return what a project has of each resource."""
        servers = [one for one in self._servers.values() if one.project_id == project_id and not one.deleted]
        groups = [one for one in self._groups.values() if one.project_id == project_id]
        return {
            **dict.fromkeys(DEFAULTS, 0),
            "instances": len(servers),
            "cores": sum(one.flavor.vcpus for one in servers),
            "ram": sum(one.flavor.memory_mb for one in servers),
            "server_groups": len(groups),
        }

    def set(self, project_id: str, limits: Mapping[str, int], *, force: bool) -> None:
        """Change a project's limits.

        Raises:
            ApiError: 400, one is below what it has, and that is not forced.
        """
        used = self.used(project_id)
        for name, limit in limits.items():
            if not force and 0 <= limit < used[name]:
                raise ApiError(
                    400,
                    f"Quota limit {limit} for {name} must be greater than or equal to already used and reserved "
                    f"{used[name]}.",
                )
        self._limits.setdefault(project_id, {}).update(limits)

    def reset(self, project_id: str) -> None:
        """Let the default limits hold for a project again."""
        self._limits.pop(project_id, None)

    def check_servers(self, project_id: str, flavor: Flavor, count: int, less: Flavor | None = None) -> None:
        """Refuse servers that would be too many; ApiError 403.

        Args:
            project_id: whose.
            flavor: of each.
            count: how many; 0 where one that is there changes its flavor.
            less: the flavor that it gives up then.
        """
        limits, used = self.limits(project_id), self.used(project_id)
        more = max(count, 1) if less is None else 1
        wanted = {
            "instances": count,
            "cores": flavor.vcpus * more - (less.vcpus if less else 0),
            "ram": flavor.memory_mb * more - (less.memory_mb if less else 0),
        }
        over = [name for name, amount in wanted.items() if amount > 0 and _exceeds(limits[name], used[name] + amount)]
        if over:
            asked = ", ".join(str(wanted[name]) for name in over)
            have = ", ".join(str(used[name]) for name in over)
            allowed = ", ".join(str(limits[name]) for name in over)
            raise ApiError(
                403,
                f"Quota exceeded for {', '.join(over)}: Requested {asked}, but already used {have} of {allowed} "
                f"{', '.join(over)}",
            )

    def check(self, project_id: str, name: str, total: int, message: str) -> None:
        """Refuse a total above a project's limit; ApiError 403."""
        if _exceeds(self.limits(project_id)[name], total):
            raise ApiError(403, message)

    def keys(self, user_id: str) -> int:
        """Return how many key pairs a user has."""
        return sum(owner == user_id for owner, _ in self._keypairs)

    def members(self, group_id: str) -> int:
        """Return how many servers are in a group."""
        return sum(one.group_id == group_id and not one.deleted for one in self._servers.values())

    def groups(self, project_id: str) -> int:
        """Return how many server groups a project has."""
        return sum(one.project_id == project_id for one in self._groups.values())

    def dump(self) -> dict[str, Any]:
        """Return the limits as JSON-able data."""
        return {"projects": dict(self._limits), "classes": dict(self._classes)}

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what `dump` returned."""
        # An older state has projects alone.
        projects, classes = data.get("projects", data), data.get("classes", {})
        self._limits = {project_id: dict(limits) for project_id, limits in projects.items()}
        self._classes = {name: dict(limits) for name, limits in classes.items()}


def _exceeds(limit: int, total: int) -> bool:
    return 0 <= limit < total
