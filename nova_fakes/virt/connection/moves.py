"""A guest's moves: to another size, and to another host."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from nova_fakes.virt import resize
from nova_fakes.virt.connection.base import Connected, done, with_novas_exceptions
from nova_fakes.virt.connection.instances import DEFAULTS, get
from nova_fakes.virt.guest import State

__all__ = ["MoveMethods"]


class MoveMethods(Connected):
    """What moves a guest."""

    @with_novas_exceptions
    def resize(self, instance: Any, flavor: Any) -> Future[None]:
        """Give a guest another size; where that fails it is as it was.

        :param flavor: with any of ``vcpus``, ``memory_mb`` and ``local_gb``
        """
        host, guest = self._hypervisor, self._find(instance)
        sizes = {name: get(flavor, name) for name in DEFAULTS}
        old = guest.spec
        spec = replace(
            old,
            vcpus=sizes["vcpus"] or old.vcpus,
            memory_mb=sizes["memory_mb"] or old.memory_mb,
            root_gb=old.root_gb if sizes["local_gb"] is None else sizes["local_gb"],
        )
        spec.check()
        nics, volumes, ran = guest.nics, list(guest.volumes.values()), guest.state is State.RUNNING
        resize.leave(host, guest.uuid)
        try:
            resize.arrive(host, spec, nics, volumes, power_on=ran)
        except BaseException:
            resize.revert(host, old, nics, volumes, power_on=ran)
            raise
        resize.confirm(host, guest.uuid)
        return done()

    @with_novas_exceptions
    def migrate_disk_and_power_off(self, instance: Any, dest: str) -> str:
        """Shut a guest down and carry its disk to another host; returns the disk's id there.

        :raises HostNotFound: the fleet has no such host
        """
        destination = self._fleet.hypervisor(dest)
        guest = resize.leave(self._hypervisor, self._find(instance).uuid)
        self._record(guest.uuid, "disk_carried", destination=destination.name)
        return f"{guest.uuid}/disk"

    @with_novas_exceptions
    def live_migration(
        self,
        context: Any,
        instance_ref: Any,
        dest: str,
        post_method: Callable[[Any, Any, str], Any],
        recover_method: Callable[[Any, Any], Any],
    ) -> None:
        """Carry a running guest to another host of the fleet.

        Where that fails the guest stays, `recover_method` is called, and the error goes on.
        """
        source = self._hypervisor
        guest = self._find(instance_ref)
        migration = None
        try:
            destination = self._fleet.hypervisor(dest)
            self._fleet.migrations.prepare(destination, guest.spec, guest.nics, guest.volumes.values())
            try:
                migration = self._fleet.migrations.begin(source, guest.uuid, dest)
                while not migration.wait(1.0):
                    migration.check()
                self._fleet.migrations.switch_over(source, migration)
            except BaseException:
                self._fleet.migrations.abort_arrival(destination, guest.uuid)
                raise
        except BaseException:
            recover_method(context, instance_ref)
            raise
        finally:
            if migration is not None:
                self._fleet.migrations.end(source, migration)
        post_method(context, instance_ref, dest)
