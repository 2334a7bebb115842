"""FakeConnection: the interface by which nova spoke to hypervisors in 2011, over the model of today.

Instances are given as that nova gave them: a mapping or an object with ``name`` and, where they are known, ``uuid``,
``vcpus``, ``memory_mb``, ``local_gb`` and so on; some methods take the name alone. Written after nova's page *Fake
Drivers* of 2011. Where that fake did nothing, this one does what the method's name says.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, TypeVar, cast
from uuid import NAMESPACE_DNS, uuid5
from xml.etree import ElementTree

from nova import exception

from nova_fakes import exceptions
from nova_fakes.virt import resize
from nova_fakes.virt.diagnostics import flat
from nova_fakes.virt.disks import Volume, local_disks
from nova_fakes.virt.driver.translation import to_nova
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.nic import Nic, read_nics

__all__ = ["FakeConnection", "FakeInstance", "InstanceInfo", "get_connection"]

Method = TypeVar("Method", bound=Callable[..., Any])
Callback = Callable[[Any], Any]

#: Sizes of an instance that does not say its own.
_DEFAULTS = {"vcpus": 1, "memory_mb": 512, "local_gb": 0}


class InstanceInfo(NamedTuple):
    """An instance in a list: its name and its power state, by nova's numbers."""

    name: str
    state: int


class FakeInstance:
    """The least that is an instance: a name and a power state."""

    def __init__(self, name: str, state: int) -> None:
        self.name = name
        self.state = state


def get_connection(_: Any) -> FakeConnection:
    """Return the process's connection, whatever it is asked for."""
    return FakeConnection.instance()


def _with_novas_exceptions(method: Method) -> Method:
    @functools.wraps(method)
    def translated(self: FakeConnection, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except exceptions.DeviceNotFound as error:
            raise exception.NotFound(str(error)) from error
        except exceptions.NovaFakesError as error:
            raise to_nova(error, str(args[0]) if args else "", None) from error

    return cast(Method, translated)


class FakeConnection:
    """One host's guests by their names.

    :param hypervisor: the host, in a fleet; None: one of its own, until :meth:`init_host` named ``localhost``
    """

    _instance: ClassVar[FakeConnection | None] = None

    def __init__(self, hypervisor: Hypervisor | None = None) -> None:
        self._hypervisor = hypervisor or Fleet().add(Hypervisor("localhost"))
        self._filtered: set[str] = set()

    @classmethod
    def instance(cls) -> FakeConnection:
        """Return the one connection of this process."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    @classmethod
    def reset(cls) -> None:
        """Forget the process's connection and its guests: the next test begins with another."""
        cls._instance = None

    @property
    def hypervisor(self) -> Hypervisor:
        """The host."""
        return self._hypervisor

    @property
    def _fleet(self) -> Fleet:
        fleet = self._hypervisor.fleet
        if fleet is None:
            raise exceptions.InvalidInput("hypervisor", self._hypervisor, "add it to a fleet first (Fleet.add)")
        return fleet

    # The host

    @_with_novas_exceptions
    def init_host(self, host: str) -> None:
        """Become that host's connection; its guests are found again.

        :raises InvalidInput: guests of another name's host would be lost
        """
        if host in self._fleet.hosts:
            self._hypervisor = self._fleet.hypervisor(host)
        elif self._hypervisor.guests:
            raise exceptions.InvalidInput(
                "host", host, f"{self._hypervisor.name} has guests: name the host before them"
            )
        else:
            self._hypervisor = self._fleet.add(Hypervisor(host, self._hypervisor.inventory))

    def get_host_ip_addr(self) -> str:
        """Return the host's address."""
        return "127.0.0.1"

    @_with_novas_exceptions
    def update_available_resource(self, ctxt: Any, host: str) -> dict[str, Any]:
        """Return what a host of the fleet has and what of it is used.

        :raises HostNotFound: there is no such host
        """
        found = self._fleet.hypervisor(host)
        found.check("get_available_resource")
        inventory, used = found.inventory, found.capacity.used
        return {
            "vcpus": inventory.vcpus + inventory.pcpus,
            "memory_mb": inventory.memory_mb,
            "local_gb": inventory.disk_gb,
            "vcpus_used": used.vcpus + used.pcpus,
            "memory_mb_used": used.memory_mb,
            "local_gb_used": used.disk_gb,
            "hypervisor_type": "fake",
            "hypervisor_version": inventory.hypervisor_version,
            "cpu_info": {
                "arch": inventory.architecture,
                "model": inventory.cpu_model,
                "features": list(inventory.cpu_features),
                "topology": inventory.topology(),
            },
        }

    def compare_cpu(self, xml: str) -> None:
        """Accept the description of a processor whose guests could run here, in libvirt's words.

        :param xml: ``<cpu><arch>x86_64</arch><feature name="avx"/></cpu>``
        :raises InvalidCPUInfo: it is of another architecture, or has features that this host lacks
        """
        try:
            root = ElementTree.fromstring(xml)
        except ElementTree.ParseError as error:
            raise exception.InvalidCPUInfo(reason=f"{xml!r} is no XML: {error}") from error
        inventory = self._hypervisor.inventory
        architecture = root.findtext(".//arch")
        if architecture not in (None, inventory.architecture):
            raise exception.InvalidCPUInfo(reason=f"it is {architecture}, the host {inventory.architecture}")
        wanted = {feature.get("name", "") for feature in root.iter("feature")}
        if missing := sorted(wanted - set(inventory.cpu_features)):
            raise exception.InvalidCPUInfo(reason=f"the host lacks {', '.join(missing)}")

    # What is there

    @_with_novas_exceptions
    def list_instances(self) -> list[str]:
        """Return the names of the guests."""
        self._hypervisor.check("list")
        return [guest.name for guest in self._hypervisor.guests.values()]

    @_with_novas_exceptions
    def list_instances_detail(self) -> list[InstanceInfo]:
        """Return the guests with their power states."""
        self._hypervisor.check("list")
        return [InstanceInfo(guest.name, int(guest.state)) for guest in self._hypervisor.guests.values()]

    @_with_novas_exceptions
    def get_info(self, instance_name: str) -> dict[str, int]:
        """Return ``state``, ``max_mem`` and ``mem`` (KiB), ``num_cpu`` and ``cpu_time`` (ns).

        :raises NotFound: there is no guest of that name
        """
        guest = self._find(instance_name)
        statistics = self._hypervisor.statistics(guest.uuid)
        return {
            "state": int(guest.state),
            "max_mem": guest.spec.memory_mb * 1024,
            "mem": guest.spec.memory_mb * 1024,
            "num_cpu": guest.spec.vcpus,
            "cpu_time": sum(statistics.cpus),
        }

    @_with_novas_exceptions
    def get_diagnostics(self, instance_name: str) -> dict[str, int]:
        """Return every counter of a guest, under libvirt's keys."""
        return flat(self._hypervisor.statistics(self._find(instance_name).uuid))

    @_with_novas_exceptions
    def list_disks(self, instance_name: str) -> list[str]:
        """Return the ids of a guest's disks, for :meth:`block_stats`."""
        guest = self._find(instance_name)
        return [disk.device for disk in local_disks(guest.spec)] + list(guest.volumes)

    @_with_novas_exceptions
    def list_interfaces(self, instance_name: str) -> list[str]:
        """Return the ids of a guest's interfaces, for :meth:`interface_stats`."""
        return list(self._find(instance_name).nics)

    @_with_novas_exceptions
    def block_stats(self, instance_name: str, disk_id: str) -> list[int]:
        """Return a disk's read requests, bytes read, write requests, bytes written and errors.

        :raises NotFound: the guest has no such disk
        """
        return list(self._hypervisor.disk_statistics(self._find(instance_name).uuid, disk_id))

    @_with_novas_exceptions
    def interface_stats(self, instance_name: str, iface_id: str) -> list[int]:
        """Return an interface's bytes, packets, errors and drops received, and the same sent.

        :raises NotFound: the guest has no such interface
        """
        for nic, counters in self._hypervisor.statistics(self._find(instance_name).uuid).nics:
            if nic.id == iface_id:
                return [
                    counters.rx_bytes,
                    counters.rx_packets,
                    counters.rx_errors,
                    counters.rx_dropped,
                    counters.tx_bytes,
                    counters.tx_packets,
                    counters.tx_errors,
                    counters.tx_dropped,
                ]
        raise exceptions.DeviceNotFound(f"instance {instance_name} has no interface {iface_id}")

    @_with_novas_exceptions
    def get_console_output(self, instance: Any) -> str:
        """Return what the guest wrote to its serial line."""
        return self._hypervisor.console_log(self._find(instance).uuid)

    @_with_novas_exceptions
    def get_ajax_console(self, instance: Any) -> dict[str, Any]:
        """Return where the guest's serial console listens, and the token that opens it."""
        return self._console(instance, "serial")

    @_with_novas_exceptions
    def get_vnc_console(self, instance: Any) -> dict[str, Any]:
        """Return where the guest's VNC console listens, and the token that opens it."""
        return self._console(instance, "vnc")

    def _console(self, instance: Any, kind: str) -> dict[str, Any]:
        console = self._hypervisor.console(self._find(instance).uuid, kind)
        return {"token": console.path, "host": self.get_host_ip_addr(), "port": console.port}

    def get_console_pool_info(self, console_type: str) -> dict[str, str]:
        """Return how a console proxy reaches this host's consoles of a type."""
        name = self._hypervisor.name
        password = uuid5(NAMESPACE_DNS, f"{self._hypervisor.node_uuid}.{console_type}").hex
        return {"address": self.get_host_ip_addr(), "username": f"{name}-{console_type}", "password": password}

    # Life and death

    @_with_novas_exceptions
    def spawn(self, instance: Any, network_info: Iterable[Mapping[str, Any]] | None = None) -> Future[None]:
        """Make a guest; whatever fails, nothing is left behind.

        :param network_info: nova's description of its interfaces; None: one, with the instance's ``mac_address`` or a
            MAC that follows from its name
        :raises InstanceExists: there is one of that name
        """
        spec = _spec(instance)
        if any(guest.name == spec.name for guest in self._hypervisor.guests.values()):
            raise exceptions.GuestExists(f"there is an instance {spec.name} already: destroy it first")
        nics = read_nics(network_info) if network_info is not None else _one_nic(spec.name, instance)
        self._hypervisor.spawn(spec, nics)
        return _done()

    @_with_novas_exceptions
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

    @_with_novas_exceptions
    def reboot(self, instance: Any) -> Future[None]:
        """Reboot a guest."""
        self._hypervisor.boot(self._find(instance).uuid, "hard_reboot")
        return _done()

    @_with_novas_exceptions
    def pause(self, instance: Any, callback: Callback) -> None:
        """Let a guest stand still."""
        self._change(instance, "pause", callback)

    @_with_novas_exceptions
    def unpause(self, instance: Any, callback: Callback) -> None:
        """Let a guest go on."""
        self._change(instance, "unpause", callback)

    @_with_novas_exceptions
    def suspend(self, instance: Any, callback: Callback) -> None:
        """Put a guest to disk."""
        self._change(instance, "suspend", callback)

    @_with_novas_exceptions
    def resume(self, instance: Any, callback: Callback) -> None:
        """Bring a guest back from disk."""
        self._hypervisor.boot(self._find(instance).uuid, "resume")
        callback(None)

    def _change(self, instance: Any, operation: str, callback: Callback) -> None:
        self._hypervisor.change(self._find(instance).uuid, operation)
        callback(None)

    @_with_novas_exceptions
    def rescue(self, instance: Any) -> None:
        """Boot a guest from a rescue image."""
        guest = self._find(instance)
        self._hypervisor.rescue(guest.uuid, guest.spec.image or "rescue")

    @_with_novas_exceptions
    def unrescue(self, instance: Any) -> None:
        """Boot a guest from its own disk again."""
        self._hypervisor.unrescue(self._find(instance).uuid)

    @_with_novas_exceptions
    def snapshot(self, instance: Any, name: str) -> Future[bytes]:
        """Return the contents of a guest's disk, which the journal knows by the snapshot's name."""
        guest = self._find(instance)
        contents = self._hypervisor.snapshot(guest.uuid)
        self._record(guest.uuid, "snapshot_named", name=name)
        return _done(contents)

    @_with_novas_exceptions
    def set_admin_password(self, instance: Any, new_pass: str) -> Future[None]:
        """Change the administrator's password in a running guest."""
        self._hypervisor.set_password(self._find(instance).uuid, new_pass)
        return _done()

    @_with_novas_exceptions
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
        return _done()

    # Disks and volumes

    @_with_novas_exceptions
    def attach_disk(self, instance: Any, disk_info: Any) -> None:
        """Attach a disk.

        :param disk_info: its id, or a mapping with ``device`` and what else is known of it
        """
        guest = self._find(instance)
        info = dict(disk_info) if isinstance(disk_info, Mapping) else {"serial": str(disk_info)}
        taken = {disk.device for disk in local_disks(guest.spec)} | guest.volumes.keys()
        free = next(device for letter in "abcdefghijklmnopqrstuvwxyz" if (device := f"vd{letter}") not in taken)
        self._hypervisor.attach_volume(guest.uuid, Volume(info.pop("device", free), info))

    @_with_novas_exceptions
    def attach_volume(self, instance_name: str, device_path: str, mountpoint: str) -> None:
        """Attach the disk at a path of the host as a device of the guest."""
        connection_info = {"driver_volume_type": "local", "serial": device_path, "data": {"device_path": device_path}}
        self._hypervisor.attach_volume(self._find(instance_name).uuid, Volume(mountpoint, connection_info))

    @_with_novas_exceptions
    def detach_volume(self, instance_name: str, mountpoint: str) -> None:
        """Detach a device.

        :raises NotFound: the guest has none by that name
        """
        self._hypervisor.detach_volume(self._find(instance_name).uuid, mountpoint)

    # Moves

    @_with_novas_exceptions
    def resize(self, instance: Any, flavor: Any) -> Future[None]:
        """Give a guest another size; where that fails it is as it was.

        :param flavor: with any of ``vcpus``, ``memory_mb`` and ``local_gb``
        """
        host, guest = self._hypervisor, self._find(instance)
        sizes = {name: _get(flavor, name) for name in _DEFAULTS}
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
        return _done()

    @_with_novas_exceptions
    def migrate_disk_and_power_off(self, instance: Any, dest: str) -> str:
        """Shut a guest down and carry its disk to another host; returns the disk's id there.

        :raises HostNotFound: the fleet has no such host
        """
        destination = self._fleet.hypervisor(dest)
        guest = resize.leave(self._hypervisor, self._find(instance).uuid)
        self._record(guest.uuid, "disk_carried", destination=destination.name)
        return f"{guest.uuid}/disk"

    @_with_novas_exceptions
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

    # Filters

    @_with_novas_exceptions
    def ensure_filtering_rules_for_instance(self, instance_ref: Any) -> None:
        """Filter a guest's traffic from now on; the guest may be about to come."""
        self._hypervisor.check("filter")
        self._filtered.add(_name(instance_ref))

    @_with_novas_exceptions
    def unfilter_instance(self, instance_ref: Any) -> None:
        """Let a guest's traffic pass; one that is not filtered is no error."""
        self._hypervisor.check("unfilter")
        self._filtered.discard(_name(instance_ref))

    @property
    def filtered(self) -> frozenset[str]:
        """Names of the guests whose traffic is filtered."""
        return frozenset(self._filtered)

    @_with_novas_exceptions
    def refresh_security_group_rules(self, security_group_id: Any) -> bool:
        """Note in the journal that a group's rules have changed; tell that its guests here follow them."""
        return self._refresh("security_group_rules", security_group_id)

    @_with_novas_exceptions
    def refresh_security_group_members(self, security_group_id: Any) -> bool:
        """Note in the journal that a group has other members; tell that the guests here follow."""
        return self._refresh("security_group_members", security_group_id)

    def _refresh(self, what: str, group: Any) -> bool:
        self._hypervisor.check(what)
        self._record(None, what, security_group_id=group, instances=sorted(self._filtered))
        return True

    def _find(self, instance: Any) -> Guest:
        name = _name(instance)
        for guest in list(self._hypervisor.guests.values()):
            if guest.name == name:
                return guest
        self._hypervisor.check("find")
        raise exceptions.GuestNotFound(f"there is no instance {name} on host {self._hypervisor.name}")

    def _record(self, uuid: str | None, operation: str, **details: Any) -> None:
        host = self._hypervisor
        host.journal.record(host.clock.now(), host.name, uuid, operation, details=details)


def _get(instance: Any, name: str) -> Any:
    """Return what an instance says of itself, as a mapping or as an object; None where it says nothing."""
    if isinstance(instance, Mapping):
        return instance.get(name)
    return getattr(instance, name, None)


def _name(instance: Any) -> str:
    name = instance if isinstance(instance, str) else _get(instance, "name")
    if not name:
        raise exceptions.InvalidInput("name of an instance", name, "give the instance a name")
    return str(name)


def _spec(instance: Any) -> GuestSpec:
    name = _name(instance)
    sizes = {key: default if (value := _get(instance, key)) is None else value for key, default in _DEFAULTS.items()}
    image = _get(instance, "image_ref") or _get(instance, "image_id")
    return GuestSpec(
        uuid=str(_get(instance, "uuid") or uuid5(NAMESPACE_DNS, name)),
        name=name,
        vcpus=sizes["vcpus"],
        memory_mb=sizes["memory_mb"],
        root_gb=sizes["local_gb"],
        image=str(image) if image else None,
        display_name=_get(instance, "display_name"),
        project_id=_get(instance, "project_id"),
        hostname=_get(instance, "hostname"),
        key_name=_get(instance, "key_name"),
    )


def _one_nic(name: str, instance: Any) -> dict[str, Nic]:
    identity = uuid5(NAMESPACE_DNS, f"{name}.vif")
    address = _get(instance, "mac_address") or "02:16:3e:" + identity.bytes[:3].hex(":")
    nic = Nic({"id": str(identity), "address": address, "devname": f"tap{identity.hex[:11]}", "type": "bridge"})
    return {nic.id: nic}


def _done(result: Any = None) -> Future[Any]:
    """Return the task of something that is complete."""
    task: Future[Any] = Future()
    task.set_result(result)
    return task
