"""The driver's methods of live migration, and of evacuation's question about shared disks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from nova import exception
from nova.compute import power_state
from nova.objects import migrate_data as migrate_data_obj
from nova.virt import event as virt_event

from nova_fakes import exceptions
from nova_fakes.virt.disks import GIB, local_disks
from nova_fakes.virt.driver.base import HypervisorDriver
from nova_fakes.virt.driver.equipment import arriving_equipment
from nova_fakes.virt.driver.numa import numa_info
from nova_fakes.virt.driver.reading import destination_vifs, spec_from, volumes_from
from nova_fakes.virt.driver.translation import spawn_failure, translated
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.snapshot import DISK_FORMAT

__all__ = ["LiveMigrationMethods"]

LOG = logging.getLogger(__name__)

#: How often a live migration's progress is written to its Migration record, seconds.
PROGRESS_INTERVAL_S = 1.0


class LiveMigrationMethods(HypervisorDriver):
    """The destination's side before it, the source's, then the destination's after it."""

    @translated()
    def check_can_live_migrate_destination(
        self,
        context: Any,
        instance: Any,
        src_compute_info: Any,
        dst_compute_info: Any,
        block_migration: Any = False,
        disk_over_commit: Any = False,
    ) -> Any:
        """Say what this host offers a guest that wants to come.

        :raises MigrationPreCheckError: the guest is here already
        """
        host = self._hypervisor
        host.check("check_can_live_migrate_destination", spec_from(instance))
        if instance.uuid in host.guests:
            raise exception.MigrationPreCheckError(reason=f"instance {instance.uuid} is on host {host.name} already")
        data = migrate_data_obj.LibvirtLiveMigrateData()
        data.filename = instance.uuid
        data.image_type = DISK_FORMAT
        # None asks for whatever fits; the source decides.
        if block_migration is not None:
            data.block_migration = block_migration
        if disk_over_commit is not None:
            data.disk_over_commit = disk_over_commit
        data.disk_available_mb = max(0, host.inventory.disk_gb - host.capacity.used.disk_gb) * 1024
        data.is_shared_block_storage = self.fleet.shared_storage
        # Not even Ceph shares it; and nova tells the destination of a failure only then.
        data.is_shared_instance_path = False
        data.graphics_listen_addr_vnc = self.options.vnc.server_listen
        data.graphics_listen_addr_spice = self.options.spice.server_listen
        data.serial_listen_addr = None
        # nova claims processors here for a guest that has some for itself only when both hosts say so.
        if getattr(instance, "numa_topology", None):
            data.dst_supports_numa_live_migration = True
        return data

    @translated()
    def check_can_live_migrate_source(
        self, context: Any, instance: Any, dest_check_data: Any, block_device_info: Any = None
    ) -> Any:
        """Say whether the guest can go, with or without its disks.

        :raises InvalidLocalStorage: disks are to be carried that both hosts see
        :raises InvalidSharedStorage: disks are to stay that the destination does not see
        :raises MigrationPreCheckError: the destination has no room for the disks
        """
        host = self._hypervisor
        guest = host.guest(instance.uuid, "check_can_live_migrate_source")
        local_bytes = sum(disk.size_bytes for disk in local_disks(guest.spec))
        if getattr(instance, "numa_topology", None):
            dest_check_data.src_supports_numa_live_migration = True
        shared = (self.fleet.shared_storage and dest_check_data.is_shared_block_storage) or local_bytes == 0
        dest_check_data.is_shared_block_storage = shared
        if "block_migration" not in dest_check_data:
            dest_check_data.block_migration = not shared
        if dest_check_data.block_migration and shared:
            raise exception.InvalidLocalStorage(
                path=host.name, reason="block migration carries local disks, and these are shared"
            )
        if not dest_check_data.block_migration and not shared:
            raise exception.InvalidSharedStorage(
                path=host.name,
                reason="live migration without disks needs shared storage or a guest without local disks",
            )
        if dest_check_data.block_migration and "disk_over_commit" in dest_check_data:
            needed_mb = -(-local_bytes // (1 << 20))
            if not dest_check_data.disk_over_commit and needed_mb > dest_check_data.disk_available_mb:
                raise exception.MigrationPreCheckError(
                    reason=f"the disks take {needed_mb} MiB, the destination has {dest_check_data.disk_available_mb}"
                )
        return dest_check_data

    def cleanup_live_migration_destination_check(self, context: Any, dest_check_data: Any) -> None:
        """Do what there is to do after the check: it left nothing on this host."""

    def post_claim_migrate_data(self, context: Any, instance: Any, migrate_data: Any, claim: Any) -> Any:
        """Write down on which processors of this host, the destination, nova has claimed that the guest runs."""
        migrate_data.dst_numa_info = numa_info(claim.claimed_numa_topology, self._hypervisor.inventory)
        return migrate_data

    @translated()
    def pre_live_migration(
        self,
        context: Any,
        instance: Any,
        block_device_info: Any,
        network_info: Any,
        disk_info: Any,
        migrate_data: Any,
    ) -> Any:
        """Make this host, the destination, ready."""
        if self._hypervisor.maintenance or not self._hypervisor.enabled:
            self._refuse_new_guest(instance, "pre_live_migration")
        host = self._hypervisor
        # Of a migration that ended nova tells the destination only where disks or instance paths are not shared.
        self.fleet.migrations.abort_arrival(host, instance.uuid)
        nics = self._nics(destination_vifs(network_info, migrate_data))
        spec = spec_from(instance, block_device_info)
        leaving = self.fleet.equipment(instance.uuid)
        spec.equipment = arriving_equipment(instance, host.inventory, migrate_data, nics, leaving)
        self.fleet.migrations.prepare(host, spec, nics, volumes_from(block_device_info))
        return migrate_data

    def live_migration(
        self,
        context: Any,
        instance: Any,
        dest: str,
        post_method: Callable[..., Any],
        recover_method: Callable[..., Any],
        block_migration: bool = False,
        migrate_data: Any = None,
    ) -> None:
        """Carry the guest over; runs on the source for as long as that takes, in a thread of its own.

        Before the switch-over everything that goes wrong leaves the guest where it is and calls `recover_method`.
        """
        block = self._carries_disks(block_migration, migrate_data)
        try:
            migration = self._carry(instance, dest, block, migrate_data)
        except exceptions.MigrationAborted:
            LOG.info("Live migration of instance %s was aborted", instance.uuid)
            self._abandon(instance, dest)
            recover_method(context, instance, dest, migrate_data, migration_status="cancelled")
            return
        except Exception as error:
            LOG.exception("Live migration of instance %s to %s failed", instance.uuid, dest)
            self._abandon(instance, dest)
            recover_method(context, instance, dest, migrate_data)
            if isinstance(error, exceptions.NovaFakesError):
                return
            raise
        self._report_progress(instance, migration, migrate_data, save=False)
        post_method(context, instance, dest, block, migrate_data)

    def _carry(self, instance: Any, dest: str, block: bool, migrate_data: Any) -> LiveMigration:
        """Carry the guest over; when it returns or raises, the migration is over and another may begin."""
        host = self._hypervisor
        migration = self.fleet.migrations.begin(
            host,
            instance.uuid,
            dest,
            block=block,
            auto_converge=self.options.libvirt.live_migration_permit_auto_converge,
        )
        try:
            while not migration.wait(PROGRESS_INTERVAL_S):
                self._report_progress(instance, migration, migrate_data)
                self._mind_the_time(instance, migration)
            self.fleet.migrations.switch_over(host, migration)
            if migration.post_copy:
                self._carry_the_rest(instance, migration, migrate_data)
        finally:
            self.fleet.migrations.end(host, migration)
        return migration

    def _carry_the_rest(self, instance: Any, migration: LiveMigration, migrate_data: Any) -> None:
        """Wait for the memory of a guest that goes on at the destination already.

        :raises HostDown: a host has died before all of it was there, and the guest with it
        """
        self.emit_event(virt_event.LifecycleEvent(instance.uuid, virt_event.EVENT_LIFECYCLE_POSTCOPY_STARTED))
        while not migration.wait_tail(PROGRESS_INTERVAL_S):
            self._report_progress(instance, migration, migrate_data)
            if self.fleet.migrations.lose_memory(migration):
                raise exceptions.HostDown(
                    f"{migration.source} or {migration.destination} has crashed in the post-copy of guest "
                    f"{migration.uuid}, which has lost its memory: reboot it"
                )

    @staticmethod
    def _carries_disks(block_migration: bool, migrate_data: Any) -> bool:
        """Tell whether the local disks go over too."""
        if migrate_data is None:
            return block_migration
        # Whoever asks for no particular way leaves it out, and what both hosts see needs no carrying.
        return "block_migration" in migrate_data and bool(migrate_data.block_migration)

    def _abandon(self, instance: Any, dest: str) -> None:
        """Undo the preparations on the destination where this process can reach it; else nova asks it to."""
        destination = self.fleet.hosts.get(dest)
        if destination is None:
            return
        try:
            self.fleet.migrations.abort_arrival(destination, instance.uuid)
        except Exception:
            LOG.exception("what host %s has ready for instance %s stays until the roll-back", dest, instance.uuid)

    def _mind_the_time(self, instance: Any, migration: LiveMigration) -> None:
        """Do with a migration that takes too long what nova.conf says, as libvirt's driver does."""
        total = migration.progress()
        data_gb = max(2, (total.memory_total + total.disk_total) / GIB)
        limit_s = int(self.options.libvirt.live_migration_completion_timeout * data_gb)
        if not limit_s or migration.elapsed_s <= limit_s or migration.forced:
            return
        action = self.options.libvirt.live_migration_timeout_action
        LOG.warning("Live migration of instance %s takes more than %d s: %s", instance.uuid, limit_s, action)
        if action == "force_complete":
            self._force(instance)
        else:
            self.fleet.migrations.abort(self._hypervisor, instance.uuid)

    @staticmethod
    def _report_progress(instance: Any, migration: LiveMigration, migrate_data: Any, save: bool = True) -> None:
        """Write into nova's Migration record how far the migration has come."""
        if migrate_data is None or "migration" not in migrate_data:
            return
        record, progress = migrate_data.migration, migration.progress()
        record.memory_total = progress.memory_total
        record.memory_processed = progress.memory_processed
        record.memory_remaining = progress.memory_remaining
        record.disk_total = progress.disk_total
        record.disk_processed = progress.disk_processed
        record.disk_remaining = progress.disk_remaining
        if save:
            record.save()
            instance.progress = progress.percent
            instance.save()

    @translated()
    def live_migration_force_complete(self, instance: Any) -> None:
        """Bring the migration to its end: by post-copy where nova.conf permits it, else the guest stands still.

        :raises MigrationError: the instance is not being live-migrated
        """
        self._force(instance)

    def _force(self, instance: Any) -> None:
        post_copy = self.options.libvirt.live_migration_permit_post_copy
        self.fleet.migrations.force(self._hypervisor, instance.uuid, post_copy=post_copy)

    @translated()
    def live_migration_abort(self, instance: Any) -> None:
        """End the live migration; the guest stays.

        :raises MigrationError: the instance is not being live-migrated, or its switch-over has begun
        """
        if not self.fleet.migrations.abort(self._hypervisor, instance.uuid):
            raise exception.MigrationError(reason=f"instance {instance.uuid} is being switched over")

    @translated()
    def post_live_migration_at_source(self, context: Any, instance: Any, network_info: Any) -> None:
        """Report that the instance's interfaces are no longer on this host."""
        host = self._hypervisor
        host.report_vifs("vif_unplugged", instance.uuid, self._nics(network_info).values())

    @translated(spawn_failure)
    def post_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_migration: bool = False,
        block_device_info: Any = None,
    ) -> None:
        """Make the instance at home here. It is here already when the source is in this process."""
        host = self._hypervisor
        nics = self._nics(network_info)
        if instance.uuid not in host.guests:
            paused = getattr(instance, "power_state", None) == power_state.PAUSED
            spec, volumes = self._spec(instance, block_device_info), volumes_from(block_device_info)
            self.fleet.migrations.finish_arrival(host, spec, nics, volumes, paused=paused)
        elif nics:
            host.plug(instance.uuid, nics)

    @translated()
    def rollback_live_migration_at_destination(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any,
        destroy_disks: bool = True,
        migrate_data: Any = None,
    ) -> None:
        """Undo the preparations on this host, the destination."""
        self.fleet.migrations.abort_arrival(self._hypervisor, instance.uuid)

    # Whether two hosts share an instance's disks: nova asks when it evacuates

    @translated()
    def check_instance_shared_storage_local(self, context: Any, instance: Any) -> dict[str, str] | None:
        """Return what the other host needs to look for the instance's disks; None where they are not shared."""
        self._hypervisor.check("check_instance_shared_storage")
        return {"instance": instance.uuid} if self.fleet.shared_storage else None

    @translated()
    def check_instance_shared_storage_remote(self, context: Any, data: Any) -> bool:
        """Tell whether this host sees the disks that the other host told of."""
        self._hypervisor.check("check_instance_shared_storage")
        return self.fleet.sees_disks(data["instance"])
