"""The driver's methods by which volumes change their type, their place, or who is in charge of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cinder import exception
from cinder.volume import volume_utils

from nova_fakes.volume import errors
from nova_fakes.volume.cinder.base import StoreDriver, pool_of, translated
from nova_fakes.volume.cinder.volumes import qos_of
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.records import Snapshot, Volume

__all__ = ["MoveMethods"]


class MoveMethods(StoreDriver):
    """Retype, migrate, manage and unmanage."""

    @translated
    def retype(self, context: Any, volume: Any, new_type: Any, diff: Any, host: Mapping[str, Any]) -> tuple[bool, Any]:
        """Give a volume another type, in another pool of this backend where that is asked for.

        :returns: whether it could be done without Cinder's copying it, and what changes of its record
        """
        name, pool = volume.name_id, pool_of(host["host"])
        if pool is not None and pool != self.store.volume(name).pool:
            if self.store.volume(name).status != "available":
                return False, None
            self.files.withdraw(name)
            self.store.migrate(name, pool)
        self.store.change_volume(name, type_name=new_type.name, qos=qos_of(new_type.id))
        specs = new_type.extra_specs or {}
        replicated = str(specs.get("replication_enabled", "")).lower() == "<is> true"
        return True, {"replication_status": "enabled" if replicated and self._targets else "disabled"}

    @translated
    def migrate_volume(self, context: Any, volume: Any, host: Mapping[str, Any]) -> tuple[bool, Any]:
        """Move a volume to another pool of this backend.

        :returns: whether it could be done without Cinder's copying it, and what changes of its record
        """
        here = volume_utils.extract_host(volume.host, "backend")
        pool = pool_of(host["host"])
        if volume_utils.extract_host(host["host"], "backend") != here or pool not in self.store.pools:
            return False, None
        self.files.withdraw(volume.name_id)
        if self.store.volume(volume.name_id).status != "available":
            return False, None
        self.store.migrate(volume.name_id, pool)
        return True, {}

    @translated
    def update_migrated_volume(
        self, ctxt: Any, volume: Any, new_volume: Any, original_volume_status: str
    ) -> dict[str, Any]:
        """Give a volume that Cinder has copied here the id of its original, where that is free and it is not in use."""
        if original_volume_status == "available" and volume.name_id not in self.store.volumes:
            self.files.withdraw(new_volume.name_id)
            self.store.rename(new_volume.name_id, volume.name_id)
            return {"_name_id": volume._name_id, "provider_location": None}
        return {"_name_id": new_volume.name_id, "provider_location": new_volume.provider_location}

    # Volumes that Cinder did not make

    @translated
    def manage_existing_get_size(self, volume: Any, existing_ref: Mapping[str, str]) -> int:
        """Return an existing volume's size, GiB."""
        return _gib(self._referred_volume(existing_ref).size_bytes)

    @translated
    def manage_existing(self, volume: Any, existing_ref: Mapping[str, str]) -> dict[str, Any]:
        """Take over an existing volume.

        :raises ManageExistingInvalidReference: it is in use
        """
        there = self._referred_volume(existing_ref)
        try:
            if there.id != volume.name_id:
                self.store.rename(there.id, volume.name_id)
        except (errors.VolumeBusy, errors.WrongState) as error:
            raise exception.ManageExistingInvalidReference(existing_ref=existing_ref, reason=str(error)) from error
        name = volume.volume_type.name if volume.volume_type is not None else None
        self.store.change_volume(volume.name_id, name=volume.name, owner=volume.project_id, type_name=name)
        return {}

    @translated
    def unmanage(self, volume: Any) -> None:
        """Let a volume be; its bytes stay."""
        self.files.withdraw(volume.name_id)

    @translated
    def get_manageable_volumes(
        self,
        cinder_volumes: Any,
        marker: Any,
        limit: int,
        offset: int,
        sort_keys: list[str],
        sort_dirs: list[str],
    ) -> Any:
        """Return a page of what there is, each with whether it may be taken over."""
        known = {one["_name_id"] or one["id"]: one["id"] for one in cinder_volumes}
        entries = []
        for volume in list(self.store.volumes.values()):
            reason = _unsafe(volume, known)
            entries.append(_entry(volume, known, reason))
        return volume_utils.paginate_entries_list(entries, marker, limit, offset, sort_keys, sort_dirs)

    @translated
    def manage_existing_snapshot_get_size(self, snapshot: Any, existing_ref: Mapping[str, str]) -> int:
        """Return an existing snapshot's size, GiB."""
        return _gib(self._referred_snapshot(snapshot, existing_ref).size_bytes)

    @translated
    def manage_existing_snapshot(self, snapshot: Any, existing_ref: Mapping[str, str]) -> dict[str, Any]:
        """Take over an existing snapshot.

        :raises ManageExistingInvalidReference: it is one of a group's
        """
        there = self._referred_snapshot(snapshot, existing_ref)
        try:
            if there.id != snapshot.id:
                self.store.rename_snapshot(there.id, snapshot.id)
        except errors.VolumeBusy as error:
            raise exception.ManageExistingInvalidReference(existing_ref=existing_ref, reason=str(error)) from error
        return {}

    def unmanage_snapshot(self, snapshot: Any) -> None:
        """Let a snapshot be; its bytes stay."""
        self.files.withdraw_snapshot(snapshot.id)

    @translated
    def get_manageable_snapshots(
        self,
        cinder_snapshots: Any,
        marker: Any,
        limit: int,
        offset: int,
        sort_keys: list[str],
        sort_dirs: list[str],
    ) -> Any:
        """Return a page of the snapshots that there are, each with whether it may be taken over."""
        known = {one["id"]: one["id"] for one in cinder_snapshots}
        entries = []
        for snapshot in list(self.store.snapshots.values()):
            reason = "already managed" if snapshot.id in known else None
            if reason is None and snapshot.group_snapshot_id is not None:
                reason = "one of a group's"
            entry = _entry(snapshot, known, reason)
            entries.append({**entry, "source_reference": {"source-name": snapshot.volume_id}})
        return volume_utils.paginate_entries_list(entries, marker, limit, offset, sort_keys, sort_dirs)

    def _referred_volume(self, reference: Mapping[str, str]) -> Volume:
        found: Volume = _referred(reference, self.store.volumes)
        if volume_utils.check_already_managed_volume(found.id):
            raise exception.ManageExistingAlreadyManaged(volume_ref=found.id)
        return found

    def _referred_snapshot(self, snapshot: Any, reference: Mapping[str, str]) -> Snapshot:
        found: Snapshot = _referred(reference, self.store.snapshots)
        if found.volume_id != snapshot.volume.name_id:
            raise exception.ManageExistingInvalidReference(
                existing_ref=reference, reason=f"it is a snapshot of volume {found.volume_id}"
            )
        return found


def _referred(reference: Mapping[str, str], there: Mapping[str, Any]) -> Any:
    """Return what a reference means, by ``source-id`` or ``source-name``, which is an id or a name."""
    wanted = reference.get("source-id") or reference.get("source-name")
    if wanted is None:
        raise exception.ManageExistingInvalidReference(existing_ref=reference, reason="give source-name or source-id")
    found = there.get(wanted)
    named = [one for one in list(there.values()) if one.name == wanted]
    if found is None and len(named) == 1:
        found = named[0]
    if found is None:
        reason = "several have that name" if named else "there is none"
        raise exception.ManageExistingInvalidReference(existing_ref=reference, reason=reason)
    return found


def _entry(record: Volume | Snapshot, known: Mapping[str, str], reason: str | None) -> dict[str, Any]:
    return {
        "reference": {"source-name": record.id},
        "size": _gib(record.size_bytes),
        "safe_to_manage": reason is None,
        "reason_not_safe": reason,
        "cinder_id": known.get(record.id),
        "extra_info": {"name": record.name} if record.name else None,
    }


def _unsafe(volume: Volume, known: Mapping[str, str]) -> str | None:
    if volume.id in known:
        return "already managed"
    return None if volume.status == "available" else f"volume is {volume.status}"


def _gib(size_bytes: int) -> int:
    return -(-size_bytes // GIB)
