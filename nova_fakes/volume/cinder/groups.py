"""The driver's methods about groups, their snapshots, and replication."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cinder import exception

from nova_fakes.volume.cinder.base import StoreDriver, is_replicated, translated

__all__ = ["GroupMethods"]

Update = dict[str, Any]
#: The site on which everything lies until it is failed over.
_HOME = "default"


class GroupMethods(StoreDriver):
    """Groups that are snapshotted at one moment, and sites that are failed over to."""

    @translated
    def create_group(self, context: Any, group: Any) -> Update:
        """Make a group."""
        if group.id not in self.store.groups:
            self.store.create_group(group_id=group.id, name=group.name or "")
        return {"status": "available"}

    @translated
    def delete_group(self, context: Any, group: Any, volumes: Iterable[Any]) -> tuple[Update, list[Update]]:
        """Delete a group with its volumes."""
        volumes = list(volumes)
        for volume in volumes:
            self.delete_volume(volume)
        if group.id in self.store.groups:
            self.store.delete_group(group.id)
        return {"status": "deleted"}, [{"id": volume.id, "status": "deleted"} for volume in volumes]

    @translated
    def update_group(
        self,
        context: Any,
        group: Any,
        add_volumes: Iterable[Any] | None = None,
        remove_volumes: Iterable[Any] | None = None,
    ) -> tuple[Update, None, None]:
        """Put volumes into a group, and take others out."""
        add, remove = ([volume.name_id for volume in some or ()] for some in (add_volumes, remove_volumes))
        self.store.update_group(group.id, add=add, remove=remove)
        return {"status": "available"}, None, None

    @translated
    def create_group_from_src(
        self,
        context: Any,
        group: Any,
        volumes: list[Any],
        group_snapshot: Any = None,
        snapshots: list[Any] | None = None,
        source_group: Any = None,
        source_vols: list[Any] | None = None,
    ) -> tuple[Update, list[Update]]:
        """Make a group of copies of another's volumes, or of its snapshots."""
        self.create_group(context, group)
        updates = []
        for number, volume in enumerate(volumes):
            if snapshots:
                made = self.create_volume_from_snapshot(volume, snapshots[number])
            else:
                made = self.create_cloned_volume(volume, (source_vols or [])[number])
            updates.append({**made, "id": volume.id, "status": "available"})
        return {"status": "available"}, updates

    @translated
    def create_group_snapshot(
        self, context: Any, group_snapshot: Any, snapshots: list[Any]
    ) -> tuple[Update, list[Update]]:
        """Take snapshots of a group's volumes at one moment."""
        given = {snapshot.volume.name_id: snapshot.id for snapshot in snapshots}
        self.store.create_group_snapshot(
            group_snapshot.group_id,
            group_snapshot_id=group_snapshot.id,
            name=group_snapshot.name or "",
            snapshot_ids=given,
        )
        return {"status": "available"}, [{"id": snapshot.id, "status": "available"} for snapshot in snapshots]

    @translated
    def delete_group_snapshot(
        self, context: Any, group_snapshot: Any, snapshots: list[Any]
    ) -> tuple[Update, list[Update]]:
        """Delete a group's snapshots; those that are not there are no error."""
        if group_snapshot.id in self.store.group_snapshots:
            self.store.delete_group_snapshot(group_snapshot.id)
        return {"status": "deleted"}, [{"id": snapshot.id, "status": "deleted"} for snapshot in snapshots]

    # Replication

    def failover_host(
        self, context: Any, volumes: Iterable[Any], secondary_id: str | None = None, groups: Any = None
    ) -> tuple[str, list[Update], list[Update]]:
        """Let another site serve, or the first one again (``default``).

        :returns: the site; what changes of the volumes' records; of the groups'
        :raises InvalidReplicationTarget: there is no such site
        """
        active, updates, changed = self.failover(context, volumes, secondary_id, groups)
        self.failover_completed(context, active)
        return active, updates, changed

    def failover(
        self, context: Any, volumes: Iterable[Any], secondary_id: str | None = None, groups: Any = None
    ) -> tuple[str, list[Update], list[Update]]:
        """Do what :meth:`failover_host` does, but for going on with another site."""
        site = self._site(secondary_id)
        status = "enabled" if site is None else "failed-over"
        updates: list[Update] = []
        for volume in volumes:
            # Cinder itself puts into error what is not replicated, and names it here only in a cluster.
            changes: Update = {"replication_status": status if is_replicated(volume) else "not-capable"}
            updates.append({"volume_id": volume.id, "updates": changes})
        changed = [{"group_id": group.id, "updates": {"replication_status": status}} for group in groups or []]
        return site or _HOME, updates, changed

    def failover_completed(self, context: Any, active_backend_id: str | None = None) -> None:
        """Go on with that site."""
        self._active = None if active_backend_id in (None, "", _HOME) else active_backend_id

    def enable_replication(self, context: Any, group: Any, volumes: Iterable[Any]) -> tuple[Update, list[Update]]:
        """Replicate a group's volumes."""
        self._require_targets()
        return _replication("enabled", volumes)

    def disable_replication(self, context: Any, group: Any, volumes: Iterable[Any]) -> tuple[Update, list[Update]]:
        """Replicate a group's volumes no more."""
        return _replication("disabled", volumes)

    def failover_replication(
        self, context: Any, group: Any, volumes: Iterable[Any], secondary_backend_id: str | None = None
    ) -> tuple[Update, list[Update]]:
        """Let another site serve a group's volumes, or the first one again.

        :raises InvalidReplicationTarget: there is no such site
        """
        site = self._site(secondary_backend_id)
        return _replication("enabled" if site is None else "failed-over", volumes)

    def get_replication_error_status(self, context: Any, groups: Any) -> tuple[list[Update], list[Update]]:
        """Report no errors: every site has every byte."""
        return [], []

    def _site(self, wanted: str | None) -> str | None:
        """Return the site to fail over to, None for the first one."""
        if wanted == _HOME:
            return None
        self._require_targets()
        site = wanted or next((one for one in self._targets if one != self._active), None)
        if site not in self._targets or site == self._active:
            raise exception.InvalidReplicationTarget(reason=f"{wanted!r} is none of {', '.join(self._targets)}")
        return site

    def _require_targets(self) -> None:
        if not self._targets:
            raise exception.UnableToFailOver(reason="no replication_device is configured")


def _replication(status: str, volumes: Iterable[Any]) -> tuple[Update, list[Update]]:
    return {"replication_status": status}, [{"id": volume.id, "replication_status": status} for volume in volumes]
