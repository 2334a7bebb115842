"""A guest's life: made, paused, rescued, written into, given volumes, taken away."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from nova import exception

from nova_fakes import exceptions
from nova_fakes.virt.connection.base import done, with_novas_exceptions
from nova_fakes.virt.connection.host import HostMethods
from nova_fakes.virt.connection.instances import one_nic, spec_of
from nova_fakes.virt.disks import Volume, local_disks
from nova_fakes.virt.nic import read_nics

__all__ = ["LifecycleMethods"]

Callback = Callable[[Any], Any]


class LifecycleMethods(HostMethods):
    """What changes a guest where it is."""

    @with_novas_exceptions
    def spawn(self, instance: Any, network_info: Iterable[Mapping[str, Any]] | None = None) -> Future[None]:
        """Make a guest; whatever fails, nothing is left behind.

        :param network_info: nova's description of its interfaces; None: one, with the instance's ``mac_address`` or a
            MAC that follows from its name
        :raises InstanceExists: there is one of that name
        """
        spec = spec_of(instance)
        if any(guest.name == spec.name for guest in self._hypervisor.guests.values()):
            raise exceptions.GuestExists(f"there is an instance {spec.name} already: destroy it first")
        nics = read_nics(network_info) if network_info is not None else one_nic(spec.name, instance)
        self._hypervisor.spawn(spec, nics)
        return done()

    @with_novas_exceptions
    def destroy(self, instance: Any) -> None:
        """Take a guest away; one that is not there is no error."""
        try:
            guest = self._find(instance)
        except exceptions.GuestNotFound:
            return
        self._hypervisor.destroy(guest.uuid)
        self._filtered.discard(guest.name)

    def test_remove_vm(self, instance_name: str) -> None:
        """Lose a guest as if it had crashed and left nothing."""
        self.destroy(instance_name)

    @with_novas_exceptions
    def reboot(self, instance: Any) -> Future[None]:
        """Reboot a guest."""
        self._hypervisor.boot(self._find(instance).uuid, "hard_reboot")
        return done()

    @with_novas_exceptions
    def pause(self, instance: Any, callback: Callback) -> None:
        """Let a guest stand still."""
        self._change(instance, "pause", callback)

    @with_novas_exceptions
    def unpause(self, instance: Any, callback: Callback) -> None:
        """Let a guest go on."""
        self._change(instance, "unpause", callback)

    @with_novas_exceptions
    def suspend(self, instance: Any, callback: Callback) -> None:
        """Put a guest to disk."""
        self._change(instance, "suspend", callback)

    @with_novas_exceptions
    def resume(self, instance: Any, callback: Callback) -> None:
        """Bring a guest back from disk."""
        self._hypervisor.boot(self._find(instance).uuid, "resume")
        callback(None)

    def _change(self, instance: Any, operation: str, callback: Callback) -> None:
        self._hypervisor.change(self._find(instance).uuid, operation)
        callback(None)

    @with_novas_exceptions
    def rescue(self, instance: Any) -> None:
        """Boot a guest from a rescue image."""
        guest = self._find(instance)
        self._hypervisor.rescue(guest.uuid, guest.spec.image or "rescue")

    @with_novas_exceptions
    def unrescue(self, instance: Any) -> None:
        """Boot a guest from its own disk again."""
        self._hypervisor.unrescue(self._find(instance).uuid)

    @with_novas_exceptions
    def snapshot(self, instance: Any, name: str) -> Future[bytes]:
        """Return the contents of a guest's disk, which the journal knows by the snapshot's name."""
        guest = self._find(instance)
        contents = self._hypervisor.snapshot(guest.uuid)
        self._record(guest.uuid, "snapshot_named", name=name)
        return done(contents)

    @with_novas_exceptions
    def set_admin_password(self, instance: Any, new_pass: str) -> Future[None]:
        """Change the administrator's password in a running guest."""
        self._hypervisor.set_password(self._find(instance).uuid, new_pass)
        return done()

    @with_novas_exceptions
    def inject_file(self, instance: Any, b64_path: str, b64_contents: str) -> Future[None]:
        """Write a file in a running guest.

        :raises Invalid: path or contents are no base64, or the guest does not run
        """
        guest = self._find(instance)
        try:
            path, contents = (base64.b64decode(text, validate=True).decode() for text in (b64_path, b64_contents))
        except (binascii.Error, UnicodeDecodeError) as error:
            raise exception.Invalid(f"path {b64_path!r} and contents must be base64 of UTF-8: {error}") from error
        self._hypervisor.inject_file(guest.uuid, path, contents)
        return done()

    @with_novas_exceptions
    def attach_disk(self, instance: Any, disk_info: Any) -> None:
        """Attach a disk.

        :param disk_info: its id, or a mapping with ``device`` and what else is known of it
        """
        guest = self._find(instance)
        info = dict(disk_info) if isinstance(disk_info, Mapping) else {"serial": str(disk_info)}
        taken = {disk.device for disk in local_disks(guest.spec)} | guest.volumes.keys()
        free = next(device for letter in "abcdefghijklmnopqrstuvwxyz" if (device := f"vd{letter}") not in taken)
        self._hypervisor.attach_volume(guest.uuid, Volume(info.pop("device", free), info))

    @with_novas_exceptions
    def attach_volume(self, instance_name: str, device_path: str, mountpoint: str) -> None:
        """Attach the disk at a path of the host as a device of the guest."""
        connection_info = {"driver_volume_type": "local", "serial": device_path, "data": {"device_path": device_path}}
        self._hypervisor.attach_volume(self._find(instance_name).uuid, Volume(mountpoint, connection_info))

    @with_novas_exceptions
    def detach_volume(self, instance_name: str, mountpoint: str) -> None:
        """Detach a device.

        :raises NotFound: the guest has none by that name
        """
        self._hypervisor.detach_volume(self._find(instance_name).uuid, mountpoint)
