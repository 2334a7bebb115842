"""nova's driver over a hypervisor of the model: it translates and delegates.

Written against ``nova/virt/driver.py`` of nova 34.0.0. What a method returns and raises is what
``nova/compute/manager.py`` expects of it; where the two leave room, ``nova/virt/libvirt/driver.py`` decides.

Methods that are not here keep nova's own answer, because it is the right one for this hypervisor: ``rebuild``,
``soft_delete`` and ``restore`` are then composed by the compute manager of power_off, destroy, spawn and power_on;
device names are given by nova; assisted volume snapshots and ``power_update_event`` are refused.
"""

from __future__ import annotations

import functools
import inspect
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast
from uuid import NAMESPACE_DNS, uuid5

import nova.conf
import nova.virt.node
import os_resource_classes as orc
from nova import exception
from nova.compute import power_state, task_states
from nova.console import type as console_type
from nova.objects import diagnostics as diagnostics_obj
from nova.objects import migrate_data as migrate_data_obj
from nova.virt import driver, hardware
from nova.virt import event as virt_event

from nova_fakes import conf as nova_fakes_conf
from nova_fakes import exceptions
from nova_fakes.virt import resize
from nova_fakes.virt.disks import GIB, Volume, local_disks
from nova_fakes.virt.fleet import Fleet, current_fleet
from nova_fakes.virt.guest import Guest, GuestSpec, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Event, Journal
from nova_fakes.virt.migration import LiveMigration
from nova_fakes.virt.nic import Nic, read_nics
from nova_fakes.virt.signatures import check_signatures
from nova_fakes.virt.snapshot import DISK_FORMAT
from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.base import VIF

__all__ = ["FakeDriver"]

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

nova_fakes_conf.register(CONF)

#: How often a live migration's progress is written to its Migration record, seconds.
PROGRESS_INTERVAL_S = 1.0

Method = TypeVar("Method", bound=Callable[..., Any])
Failure = Callable[[str, str], Exception]


def _to_nova(error: exceptions.NovaFakesError, uuid: str, failure: Failure | None) -> Exception:
    """Return nova's exception for one of the model's.

    :param failure: makes the exception that the operation documents for its failing
    """
    reason = str(error)
    match error:
        case exceptions.GuestNotFound():
            return cast(Exception, exception.InstanceNotFound(instance_id=uuid))
        case exceptions.HostDown():
            return cast(Exception, exception.HypervisorUnavailable(reason))
        case exceptions.GuestExists():
            return cast(Exception, exception.InstanceExists(name=uuid))
        case exceptions.InsufficientCapacity():
            return cast(Exception, exception.ComputeResourcesUnavailable(reason=reason))
    if failure is not None:
        return failure(uuid, reason)
    match error:
        case exceptions.InvalidTransition():
            return cast(Exception, exception.Invalid(reason))
        case exceptions.DeviceNotFound():
            return cast(Exception, exception.DiskNotFound(reason))
        case exceptions.DeviceInUse():
            return cast(Exception, exception.DevicePathInUse(reason))
        case exceptions.RealizerError():
            return cast(Exception, exception.VirtualInterfacePlugException(reason))
        case exceptions.MigrationNotFound() | exceptions.MigrationAborted():
            return cast(Exception, exception.MigrationError(reason=reason))
    return cast(Exception, exception.NovaException(reason))


def _translated(failure: Failure | None = None) -> Callable[[Method], Method]:
    """Let a method raise nova's exceptions instead of the model's."""

    def decorate(method: Method) -> Method:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def translated(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except exceptions.NovaFakesError as error:
                instance = signature.bind(*args, **kwargs).arguments.get("instance")
                raise _to_nova(error, getattr(instance, "uuid", ""), failure) from error

        return cast(Method, translated)

    return decorate


def _spawn_failure(uuid: str, reason: str) -> Exception:
    return cast(Exception, exception.InstanceDeployFailure(reason=reason))


def _attach_interface_failure(uuid: str, reason: str) -> Exception:
    LOG.error("Attaching an interface to instance %s failed: %s", uuid, reason)
    return cast(Exception, exception.InterfaceAttachFailed(reason, instance_uuid=uuid))


def _detach_interface_failure(uuid: str, reason: str) -> Exception:
    return cast(Exception, exception.InterfaceDetachFailed(reason, instance_uuid=uuid))


def _reason(cls: Any) -> Failure:
    """Return a maker of an exception that takes the reason alone."""

    def make(uuid: str, reason: str) -> Exception:
        return cast(Exception, cls(reason=reason))

    return make


class FakeDriver(driver.ComputeDriver):  # type: ignore[misc]
    """nova's face of one hypervisor.

    Made inside :meth:`Fleet.activate` it joins that fleet, as the host that nova gives it in :meth:`init_host`; else it
    makes a fleet of one host from nova.conf's ``[nova_fakes]``.

    :param virtapi: nova's, by which the driver waits for events
    :param read_only: accepted as nova's drivers accept it; nova never passes it
    :raises SignatureMismatch: the installed nova calls the methods otherwise; names them
    """

    capabilities = {
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_evacuate": True,
        "supports_attach_interface": True,
        "supports_extend_volume": True,
        "supports_multiattach": True,
        "supports_bfv_rescue": True,
        "supports_virtio_fs": True,
        "supports_mem_backing_file": True,
        # The image's bytes are never interpreted: what KVM boots, this boots.
        "supports_image_type_raw": True,
        "supports_image_type_qcow2": True,
        "supports_image_type_iso": True,
        "supports_image_type_ami": True,
        "supports_image_type_ari": True,
        "supports_image_type_aki": True,
    }

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        for cls in type(self).__mro__:
            if cls is driver.ComputeDriver:
                break
            check_signatures(cls, driver.ComputeDriver)
        fleet = current_fleet()
        self._owns_fleet = fleet is None
        self.fleet = fleet or _fleet_from_conf()
        self._unsubscribe = self.fleet.journal.subscribe(self._observe)
        self._image_api: Any = None
        self._hypervisor: Hypervisor
        if self._owns_fleet or CONF.host in self.fleet.hosts:
            self._bind(CONF.host)

    @property
    def hypervisor(self) -> Hypervisor:
        """The host that this driver drives."""
        return self._hypervisor

    def _bind(self, host: str) -> None:
        if self._owns_fleet and host not in self.fleet.hosts:
            self.fleet.add(_hypervisor_from_conf(host))
        self._hypervisor = self.fleet.hypervisor(host)
        self._hypervisor.read_vif = VIF.from_network_info

    def _observe(self, event: Event) -> None:
        """Tell nova what happened to a guest by itself, as libvirt's events do."""
        if event.operation == "crash" and event.host == self._hypervisor.name and event.outcome == "ok":
            self.emit_event(virt_event.LifecycleEvent(event.guest, virt_event.EVENT_LIFECYCLE_STOPPED))

    # The host

    def init_host(self, host: str) -> None:
        """Become that host's driver.

        :raises HostNotFound: the fleet that was in force has no such host
        """
        self._bind(host)
        # nova refuses to start a second time on a host without this file, whatever identity its nodes have.
        nova.virt.node.get_local_node_uuid()

    @_translated()
    def cleanup_host(self, host: str) -> None:
        """Let go of what this driver made for itself; a fleet that it joined goes on."""
        self._unsubscribe()
        if self._owns_fleet:
            self.fleet.close()

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """Return the one node, which has the host's name."""
        return [self._hypervisor.name]

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """Return the node's name by its identity, which outlives restarts."""
        return {self._node_uuid(): self._hypervisor.name}

    def _node_uuid(self) -> str:
        if self._owns_fleet:
            return cast(str, nova.virt.node.get_local_node_uuid())
        # Several computes in one process: nova's own function knows one identity per process.
        return self._hypervisor.node_uuid

    @_translated()
    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the node has and what of it is used."""
        host = self._hypervisor
        host.check("get_available_resource")
        inventory, used = host.inventory, host.capacity.used
        cpu_info = {
            "arch": inventory.architecture,
            "model": inventory.cpu_model,
            "vendor": "Intel",
            "features": list(inventory.cpu_features),
            "topology": inventory.topology(),
        }
        return {
            "uuid": self._node_uuid(),
            "vcpus": inventory.vcpus,
            "memory_mb": inventory.memory_mb,
            "local_gb": inventory.disk_gb,
            "vcpus_used": used.vcpus,
            "memory_mb_used": used.memory_mb,
            "local_gb_used": used.disk_gb,
            "disk_available_least": max(0, inventory.disk_gb - used.disk_gb),
            "hypervisor_type": "fake",
            "hypervisor_version": inventory.hypervisor_version,
            "hypervisor_hostname": host.name,
            "cpu_info": json.dumps(cpu_info),
            "numa_topology": None,
            "supported_instances": [(inventory.architecture, kind, "hvm") for kind in ("fake", "kvm", "qemu")],
        }

    @_translated()
    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        """Report the node's inventory and traits to placement."""
        host = self._hypervisor
        host.check("update_provider_tree")
        inventory = host.inventory
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {
            orc.VCPU: (inventory.vcpus, ratios[orc.VCPU], CONF.reserved_host_cpus),
            orc.MEMORY_MB: (inventory.memory_mb, ratios[orc.MEMORY_MB], CONF.reserved_host_memory_mb),
            orc.DISK_GB: (inventory.disk_gb, ratios[orc.DISK_GB], self._get_reserved_host_disk_gb_from_config()),
        }
        for resource_class, total in inventory.resources.items():
            totals[resource_class] = (total, 1.0, 0)
        provider_tree.update_inventory(
            nodename,
            {
                resource_class: {
                    "total": total,
                    "min_unit": 1,
                    "max_unit": total,
                    "step_size": 1,
                    "allocation_ratio": ratio,
                    "reserved": reserved,
                }
                for resource_class, (total, ratio, reserved) in totals.items()
                # placement refuses an inventory of nothing.
                if total
            },
        )
        if inventory.traits:
            provider_tree.add_traits(nodename, *sorted(inventory.traits))

    def get_host_ip_addr(self) -> str:
        """Return nova's address of this host."""
        return cast(str, CONF.my_ip)

    @_translated()
    def get_host_uptime(self) -> str:
        """Return the host's uptime in the words of ``uptime``."""
        host = self._hypervisor
        minutes = int(host.uptime_s()) // 60
        days, minutes = divmod(minutes, 24 * 60)
        load = min(0.12 * host.capacity.vcpus, float(host.inventory.vcpus))
        return (
            f"up {days} day{'' if days == 1 else 's'}, {minutes // 60:2d}:{minutes % 60:02d}, 0 users, "
            f"load average: {load:.2f}, {load:.2f}, {load:.2f}"
        )

    @_translated()
    def get_host_cpu_stats(self) -> dict[str, int]:
        """Return the host's processor times, ns, and frequency, MHz."""
        return self._hypervisor.cpu_stats()

    @_translated()
    def host_power_action(self, action: str) -> str:
        """Shut the host down, start it or reboot it; its guests lose power with it.

        :raises InvalidInput: another action
        """
        host = self._hypervisor
        if action == "startup":
            host.recover()
        elif action == "shutdown":
            host.crash()
        elif action == "reboot":
            host.crash()
            host.recover()
        else:
            raise exception.InvalidInput(reason=f"host power action {action!r}: use startup, shutdown or reboot")
        return action

    @_translated()
    def host_maintenance_mode(self, host: str, mode: bool) -> str:
        """Begin or end maintenance: a host in maintenance takes no new guests."""
        hypervisor = self.fleet.hypervisor(host) if host else self._hypervisor
        hypervisor.check("host_maintenance_mode")
        hypervisor.maintenance = bool(mode)
        return "on_maintenance" if mode else "off_maintenance"

    @_translated()
    def set_host_enabled(self, enabled: bool) -> str:
        """Let the host take new guests, or not; the scheduler asks nova's service record."""
        self._hypervisor.check("set_host_enabled")
        self._hypervisor.enabled = bool(enabled)
        return "enabled" if enabled else "disabled"

    # What is there

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Return the power state.

        :raises InstanceNotFound: the instance is not here
        """
        host = self._hypervisor
        guest = host.guests.get(instance.uuid)
        if guest is None or host.down or host.faults.active:
            guest = self._guest(instance, "get_info")
        return hardware.InstanceInfo(state=int(guest.state))

    @_translated()
    def _guest(self, instance: Any, operation: str) -> Guest:
        return self._hypervisor.guest(instance.uuid, operation)

    @_translated()
    def get_num_instances(self) -> int:
        """Return how many instances are here."""
        self._alive("list")
        return len(self._hypervisor.guests)

    @_translated()
    def instance_exists(self, instance: Any) -> bool:
        """Tell whether the instance is here."""
        self._alive("list")
        return instance.uuid in self._hypervisor.guests

    @_translated()
    def list_instances(self) -> list[str]:
        """Return the names of the instances that are here."""
        self._alive("list")
        return [guest.spec.name for guest in list(self._hypervisor.guests.values())]

    @_translated()
    def list_instance_uuids(self) -> list[str]:
        """Return the UUIDs of the instances that are here."""
        self._alive("list")
        return list(self._hypervisor.guests)

    def _alive(self, operation: str) -> None:
        host = self._hypervisor
        if host.down or host.faults.active:
            host.check(operation)

    @_translated()
    def instance_on_disk(self, instance: Any) -> bool:
        """Tell whether this host sees the instance's disks."""
        host = self._hypervisor
        return instance.uuid in host.guests or instance.uuid in host.left_disks or self.fleet.sees_disks(instance.uuid)

    # Life and death

    @_translated(_spawn_failure)
    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        """Make the instance; whatever fails, nothing is left behind.

        :raises InstanceExists: it is here already
        :raises ComputeResourcesUnavailable: the host refuses the claim
        :raises VirtualInterfaceCreateException: its interfaces could not be made, or their ports did not come up in
            time and ``vif_plugging_is_fatal``
        :raises InstanceDeployFailure: anything else
        """
        host = self._hypervisor
        if host.maintenance or not host.enabled:
            self._refuse_new_guests(host)
        nics = _nics(network_info) if network_info else None
        host.spawn(
            _spec(instance, block_device_info, admin_password, injected_files),
            nics,
            _volumes(block_device_info) if block_device_info else (),
            power_on=power_on,
            plugging=self._plugging(instance, nics) if nics and power_on else None,
        )

    @staticmethod
    def _refuse_new_guests(host: Hypervisor) -> None:
        why = "is in maintenance" if host.maintenance else "is disabled"
        raise exception.ComputeResourcesUnavailable(reason=f"host {host.name} {why} and takes no new guests")

    def _plugging(self, instance: Any, nics: dict[str, Nic]) -> AbstractContextManager[None] | None:
        """Return what waits for the ports that are not up yet, None when all are or nobody wants to wait.

        As libvirt's driver does it: a port that is up already sends no event.
        """
        events = [
            ("network-vif-plugged", nic.id)
            for nic in nics.values()
            if nic.info.get("active", True) is False and nic.info.get("vnic_type") != "remote-managed"
        ]
        if not events or not CONF.vif_plugging_timeout:
            return None
        return self._waiting(instance, events)

    @contextmanager
    def _waiting(self, instance: Any, events: list[tuple[str, str]]) -> Iterator[None]:
        try:
            with self.virtapi.wait_for_instance_event(
                instance, events, timeout=CONF.vif_plugging_timeout, error_callback=self._port_failed
            ):
                yield
        except exception.InstanceEventTimeout:
            ports = ", ".join(port for _, port in events)
            if CONF.vif_plugging_is_fatal:
                raise exception.VirtualInterfaceCreateException(
                    f"ports {ports} did not come up within {CONF.vif_plugging_timeout} s"
                ) from None
            LOG.warning("Ports %s did not come up in time; instance %s goes on without", ports, instance.uuid)

    @staticmethod
    def _port_failed(event_name: str, instance: Any) -> None:
        LOG.error("The network service reports failure: %s for instance %s", event_name, instance.uuid)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException(f"the network service reports failure of {event_name}")

    @_translated(_reason(exception.InstanceTerminationFailure))
    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Take the instance away; one that is not here is no error."""
        host = self._hypervisor
        # Shared disks are not this host's to keep.
        keep_disks = not destroy_disks and not self.fleet.shared_storage
        if not host.destroy(instance.uuid, keep_disks=keep_disks):
            LOG.warning("Instance %s is not on host %s; nothing to destroy", instance.uuid, host.name)
            if destroy_disks:
                host.drop_disks(instance.uuid)

    @_translated()
    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Remove what a destroyed instance left.

        :raises InstanceExists: it has not been destroyed
        """
        if instance.uuid in self._hypervisor.guests:
            raise exception.InstanceExists(name=instance.uuid)
        if destroy_disks:
            self._hypervisor.drop_disks(instance.uuid)

    @_translated()
    def delete_instance_files(self, instance: Any) -> bool:
        """Delete the disks that a destroyed instance left; tell that none are left."""
        self._hypervisor.drop_disks(instance.uuid)
        return True

    @_translated(_reason(exception.InstancePowerOffFailure))
    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Shut the guest down; it does not need to be asked twice."""
        self._hypervisor.change(instance.uuid, "power_off")

    @_translated(_reason(exception.InstancePowerOnFailure))
    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Boot the guest."""
        self._boot(instance, "power_on", network_info, block_device_info)
        for share in share_info or ():
            share.activate()

    def _boot(self, instance: Any, operation: str, network_info: Any, block_device_info: Any) -> None:
        host = self._hypervisor
        nics = _nics(network_info) if network_info is not None else None
        known = nics if nics is not None else {}
        host.boot(
            instance.uuid,
            operation,
            nics,
            _volumes(block_device_info) if block_device_info else None,
            self._plugging(instance, known) if known else None,
        )

    @_translated(_reason(exception.InstanceRebootFailure))
    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Reboot the guest: hard where it does not run, and then whatever is missing of it is made."""
        guest = self._hypervisor.guests.get(instance.uuid)
        if reboot_type.upper() == "SOFT" and guest is not None and guest.state is State.RUNNING:
            self._hypervisor.change(instance.uuid, "soft_reboot")
        elif guest is None and reboot_type.upper() == "HARD":
            self.spawn(context, instance, None, None, None, None, network_info, block_device_info)
        else:
            self._boot(instance, "hard_reboot", network_info, block_device_info)
        for share in share_info or ():
            share.activate()

    @_translated()
    def poll_rebooting_instances(self, timeout: int, instances: Iterable[Any]) -> None:
        """Reboot hard what has been rebooting for too long."""
        for instance in instances:
            LOG.info("Instance %s has been rebooting for more than %s s: rebooting it hard", instance.uuid, timeout)
            self._hypervisor.boot(instance.uuid, "hard_reboot")

    @_translated()
    def pause(self, instance: Any) -> None:
        """Let the guest stand still."""
        self._hypervisor.change(instance.uuid, "pause")

    @_translated()
    def unpause(self, instance: Any) -> None:
        """Let the guest go on."""
        self._hypervisor.change(instance.uuid, "unpause")

    @_translated(_reason(exception.InstanceSuspendFailure))
    def suspend(self, context: Any, instance: Any) -> None:
        """Put the guest to disk."""
        self._hypervisor.change(instance.uuid, "suspend")

    @_translated(_reason(exception.InstanceResumeFailure))
    def resume(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Bring the guest back from disk."""
        self._boot(instance, "resume", network_info, block_device_info)

    @_translated(_reason(exception.InstanceRebootFailure))
    def resume_state_on_host_boot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        share_info: Any,
        block_device_info: Any = None,
    ) -> None:
        """Boot a guest that ran before the host went down; one that is alive is left alone."""
        guest = self._hypervisor.guests.get(instance.uuid)
        if guest is not None and guest.state in (State.RUNNING, State.PAUSED, State.SUSPENDED):
            return
        self.reboot(context, instance, network_info, "HARD", block_device_info)

    @_translated(_reason(exception.InstanceRescueFailure))
    def rescue(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        image_meta: Any,
        rescue_password: Any,
        block_device_info: Any,
        share_info: Any,
    ) -> None:
        """Boot the guest from the rescue image."""
        image = getattr(image_meta, "id", None) or getattr(instance, "image_ref", None) or "rescue"
        self._hypervisor.rescue(instance.uuid, image, rescue_password)

    @_translated(_reason(exception.InstanceUnRescueFailure))
    def unrescue(self, context: Any, instance: Any) -> None:
        """Boot the guest from its own disk again."""
        self._hypervisor.unrescue(instance.uuid)

    @_translated()
    def trigger_crash_dump(self, instance: Any) -> None:
        """Send the guest the interrupt on which its kernel panics."""
        self._hypervisor.change(instance.uuid, "crash")

    @_translated(_reason(exception.InstancePasswordSetFailed))
    def set_admin_password(self, instance: Any, new_pass: str) -> None:
        """Change the administrator's password in the running guest."""
        self._hypervisor.set_password(instance.uuid, new_pass)

    @_translated(_reason(exception.InstanceQuiesceFailed))
    def quiesce(self, context: Any, instance: Any, image_meta: Any) -> None:
        """Stop the guest's writing.

        :raises InstanceQuiesceNotSupported: the image says of no agent that could
        """
        self._need_agent(instance, image_meta)
        self._hypervisor.quiesce(instance.uuid, True)

    @_translated(_reason(exception.InstanceQuiesceFailed))
    def unquiesce(self, context: Any, instance: Any, image_meta: Any) -> None:
        """Let the guest write again.

        :raises InstanceQuiesceNotSupported: the image says of no agent that could
        """
        self._need_agent(instance, image_meta)
        self._hypervisor.quiesce(instance.uuid, False)

    @staticmethod
    def _need_agent(instance: Any, image_meta: Any) -> None:
        if not image_meta.properties.get("hw_qemu_guest_agent", False):
            raise exception.InstanceQuiesceNotSupported(instance_id=instance.uuid)

    # Images

    @_translated()
    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        """Upload the guest's disk to the image service.

        :raises InstanceNotRunning: the instance is not here
        """
        try:
            self._hypervisor.guest(instance.uuid, "snapshot.begin")
        except exceptions.GuestNotFound as error:
            raise exception.InstanceNotRunning(instance_id=instance.uuid) from error
        images = self._images()
        name = images.get(context, image_id)["name"]
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        contents = self._hypervisor.snapshot(instance.uuid)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        images.update(context, image_id, _snapshot_metadata(instance, name), io.BytesIO(contents))

    def _images(self) -> Any:
        if self._image_api is None:
            from nova.image import glance

            self._image_api = glance.API()
        return self._image_api

    @_translated()
    def cache_image(self, context: Any, image_id: str) -> bool:
        """Put an image into the cache; tell whether it was not there yet.

        :raises ImageNotFound: there is no such image
        """
        host = self._hypervisor
        host.check("cache_image")
        if image_id in host.cached_images:
            return False
        self._images().get(context, image_id)
        host.cached_images[image_id] = host.clock.now()
        return True

    @_translated()
    def manage_image_cache(self, context: Any, all_instances: Iterable[Any]) -> None:
        """Drop images that no instance uses and nobody has used for a while."""
        host = self._hypervisor
        host.check("manage_image_cache")
        used = {instance.image_ref for instance in all_instances}
        oldest_s = host.clock.now() - CONF.image_cache.remove_unused_original_minimum_age_seconds
        for image, used_s in list(host.cached_images.items()):
            if image not in used and used_s <= oldest_s:
                del host.cached_images[image]

    # Interfaces

    @_translated()
    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """Make whatever is missing of the instance's interfaces; nova calls it for every instance at its start."""
        if instance.uuid in self._hypervisor.guests or self._hypervisor.down:
            self._hypervisor.plug(instance.uuid, _nics(network_info))

    @_translated()
    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """Remove the instance's interfaces from the host."""
        self._hypervisor.unplug(instance.uuid, _nics(network_info))

    @_translated(_attach_interface_failure)
    def attach_interface(self, context: Any, instance: Any, image_meta: Any, vif: Any) -> None:
        """Give the guest another interface.

        :raises InterfaceAttachFailed: it could not be made; the guest is as before
        """
        self._hypervisor.attach_nic(instance.uuid, Nic(vif))

    @_translated(_detach_interface_failure)
    def detach_interface(self, context: Any, instance: Any, vif: Any) -> None:
        """Take an interface from the guest.

        :raises InterfaceDetachFailed: it has no such interface, or it could not be removed
        """
        self._hypervisor.detach_nic(instance.uuid, vif["id"])

    # Volumes

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        """Return how this host reaches volumes; always the same."""
        name = self._hypervisor.name
        return {
            "ip": CONF.my_block_storage_ip,
            "host": name,
            "initiator": f"iqn.2010-10.org.openstack:{uuid5(NAMESPACE_DNS, name).hex[:12]}",
            "multipath": False,
            "platform": self._hypervisor.inventory.architecture,
            "os_type": "linux",
        }

    @_translated()
    def attach_volume(
        self,
        context: Any,
        connection_info: Any,
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        """Attach a volume.

        :raises DevicePathInUse: another volume has that device
        :raises TooManyDiskDevices: the guest has as many as are allowed
        """
        guest = self._hypervisor.guest(instance.uuid, "attach_volume.find")
        limit = CONF.compute.max_disk_devices_to_attach
        if limit >= 0 and len(local_disks(guest.spec)) + len(guest.volumes) >= limit:
            raise exception.TooManyDiskDevices(maximum=limit)
        self._hypervisor.attach_volume(instance.uuid, Volume(mountpoint, connection_info, encryption or None))

    @_translated()
    def detach_volume(
        self, context: Any, connection_info: Any, instance: Any, mountpoint: str, encryption: Any = None
    ) -> None:
        """Detach a volume.

        :raises DiskNotFound: there is none at that device
        """
        try:
            self._hypervisor.detach_volume(instance.uuid, mountpoint)
        except exceptions.GuestNotFound:
            # libvirt's driver disconnects the volume from the host all the same.
            LOG.warning("Instance %s vanished while a volume was detached from it", instance.uuid)

    @_translated()
    def swap_volume(
        self,
        context: Any,
        old_connection_info: Any,
        new_connection_info: Any,
        instance: Any,
        mountpoint: str,
        resize_to: int,
    ) -> None:
        """Put one volume in the place of another.

        :raises DiskNotFound: there is none at that device
        """
        size_bytes = resize_to * GIB if resize_to else None
        self._hypervisor.swap_volume(instance.uuid, Volume(mountpoint, new_connection_info, size_bytes=size_bytes))

    @_translated()
    def extend_volume(self, context: Any, connection_info: Any, instance: Any, requested_size: int) -> None:
        """Let the guest see that a volume has grown.

        :param requested_size: bytes
        :raises VolumeExtendFailed: that would shrink it
        :raises VolumeNotFound: the guest has no such volume
        """
        volume_id = Volume("/dev/vda", connection_info).volume_id or ""
        try:
            self._hypervisor.extend_volume(instance.uuid, volume_id, requested_size)
        except exceptions.DeviceNotFound as error:
            raise exception.VolumeNotFound(volume_id=volume_id) from error
        except exceptions.InvalidInput as error:
            raise exception.VolumeExtendFailed(volume_id=volume_id, reason=str(error)) from error

    @_translated()
    def block_stats(self, instance: Any, disk_id: str) -> list[int]:
        """Return a disk's counters: read requests and bytes, write requests and bytes, errors."""
        return list(self._hypervisor.disk_statistics(instance.uuid, disk_id))

    @_translated()
    def get_all_volume_usage(
        self, context: Any, compute_host_bdms: Iterable[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Return the counters of the volumes of these instances; what is not here is left out."""
        usage = []
        for entry in compute_host_bdms:
            instance = entry["instance"]
            for bdm in entry["instance_bdms"]:
                try:
                    counters = self._hypervisor.disk_statistics(instance.uuid, bdm["device_name"])
                except exceptions.NotFound:
                    continue
                usage.append(
                    {
                        "volume": bdm["volume_id"],
                        "instance": instance,
                        "rd_req": counters.read_requests,
                        "rd_bytes": counters.read_bytes,
                        "wr_req": counters.write_requests,
                        "wr_bytes": counters.write_bytes,
                    }
                )
        return usage

    @_translated()
    def get_instance_disk_info(self, instance: Any, block_device_info: Any = None) -> str:
        """Return the instance's disks on this host as JSON."""
        return _disk_info(self._hypervisor.guest(instance.uuid, "disk_info"))

    @_translated()
    def mount_share(self, context: Any, instance: Any, share_mapping: Any) -> None:
        """Mount a share for the instance."""
        self._hypervisor.mount_share(instance.uuid, share_mapping.share_id)

    @_translated()
    def umount_share(self, context: Any, instance: Any, share_mapping: Any) -> bool:
        """Unmount a share; tell whether other instances still use it."""
        return self._hypervisor.umount_share(instance.uuid, share_mapping.share_id)

    @_translated()
    def is_share_mounted(self, share_mapping: Any) -> bool:
        """Tell whether a share is mounted on this host."""
        self._hypervisor.check("is_share_mounted")
        return share_mapping.share_id in self._hypervisor.shares

    # What a guest shows

    @_translated()
    def get_console_output(self, context: Any, instance: Any) -> bytes:
        """Return what the guest wrote to its serial line."""
        return self._hypervisor.console_log(instance.uuid).encode("latin-1", "replace")

    @_translated()
    def get_vnc_console(self, context: Any, instance: Any) -> Any:
        """Return where the guest's VNC console listens."""
        console = self._hypervisor.console(instance.uuid, "vnc")
        return console_type.ConsoleVNC(CONF.vnc.server_proxyclient_address, console.port, console.path)

    @_translated()
    def get_spice_console(self, context: Any, instance: Any) -> Any:
        """Return where the guest's SPICE console listens."""
        console = self._hypervisor.console(instance.uuid, "spice")
        return console_type.ConsoleSpice(
            CONF.spice.server_proxyclient_address, console.port, None, internal_access_path=console.path
        )

    @_translated()
    def get_serial_console(self, context: Any, instance: Any) -> Any:
        """Return where the guest's serial console listens."""
        console = self._hypervisor.console(instance.uuid, "serial")
        return console_type.ConsoleSerial(CONF.serial_console.proxyclient_address, console.port, console.path)

    @_translated()
    def get_mks_console(self, context: Any, instance: Any) -> Any:
        """Return where the guest's MKS console listens."""
        console = self._hypervisor.console(instance.uuid, "mks")
        return console_type.ConsoleMKS(CONF.my_ip, console.port, console.path)

    @_translated()
    def get_diagnostics(self, instance: Any) -> dict[str, int]:
        """Return the guest's counters under the keys that libvirt's driver uses."""
        statistics = self._hypervisor.statistics(instance.uuid)
        memory_kb = statistics.guest.spec.memory_mb * 1024
        found = {f"cpu{index}_time": time_ns for index, time_ns in enumerate(statistics.cpus)}
        for device, disk in statistics.disks:
            found[f"{device}_read_req"] = disk.read_requests
            found[f"{device}_read"] = disk.read_bytes
            found[f"{device}_write_req"] = disk.write_requests
            found[f"{device}_write"] = disk.write_bytes
            found[f"{device}_errors"] = disk.errors
        for nic, counters in statistics.nics:
            name = nic.devname
            found[f"{name}_rx"] = counters.rx_bytes
            found[f"{name}_rx_packets"] = counters.rx_packets
            found[f"{name}_rx_errors"] = counters.rx_errors
            found[f"{name}_rx_drop"] = counters.rx_dropped
            found[f"{name}_tx"] = counters.tx_bytes
            found[f"{name}_tx_packets"] = counters.tx_packets
            found[f"{name}_tx_errors"] = counters.tx_errors
            found[f"{name}_tx_drop"] = counters.tx_dropped
        found["memory"] = memory_kb
        found["memory-actual"] = memory_kb
        found["memory-rss"] = statistics.memory_used_mb * 1024
        return found

    @_translated()
    def get_instance_diagnostics(self, instance: Any) -> Any:
        """Return the guest's counters as nova's Diagnostics object."""
        host = self._hypervisor
        statistics = host.statistics(instance.uuid)
        guest = statistics.guest
        # Handed over whole: an object that starts empty copies its defaults and counts again at every addition.
        return diagnostics_obj.Diagnostics(
            state=power_state.STATE_MAP[int(guest.state)],
            # nova's field knows no fake among the drivers; the figures are those of libvirt's.
            driver="libvirt",
            hypervisor="fake",
            hypervisor_os="linux",
            uptime=int(host.clock.now() - guest.booted_at_s) if guest.booted_at_s else 0,
            config_drive=guest.spec.config_drive,
            memory_details=diagnostics_obj.MemoryDiagnostics(
                maximum=guest.spec.memory_mb, used=statistics.memory_used_mb
            ),
            cpu_details=[
                diagnostics_obj.CpuDiagnostics(id=index, time=time_ns, utilisation=None)
                for index, time_ns in enumerate(statistics.cpus)
            ],
            disk_details=[
                diagnostics_obj.DiskDiagnostics(
                    read_bytes=disk.read_bytes,
                    read_requests=disk.read_requests,
                    write_bytes=disk.write_bytes,
                    write_requests=disk.write_requests,
                    errors_count=disk.errors,
                )
                for _, disk in statistics.disks
            ],
            nic_details=[_nic_diagnostics(nic, counters) for nic, counters in statistics.nics],
        )

    # Resize and cold migration

    @_translated()
    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: str,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: int = 0,
        retry_interval: int = 0,
    ) -> str:
        """Shut the guest down and carry its disks to where it goes.

        :raises InstanceFaultRollback: the new flavor's disks are smaller; the guest goes on as it was
        """
        guest = self._hypervisor.guest(instance.uuid, "migrate_disk.find")
        spec = guest.spec
        if (flavor.root_gb < spec.root_gb and not spec.volume_backed) or flavor.ephemeral_gb < spec.ephemeral_gb:
            raise exception.InstanceFaultRollback(exception.ResizeError(reason="disks cannot become smaller"))
        return _disk_info(resize.leave(self._hypervisor, instance.uuid))

    @_translated(_spawn_failure)
    def finish_migration(
        self,
        context: Any,
        migration: Any,
        instance: Any,
        disk_info: Any,
        network_info: Any,
        image_meta: Any,
        resize_instance: bool,
        allocations: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        """Make the instance where it goes to, in its new size.

        Like libvirt's driver it waits for no event: the network service may not have seen the unplugging.
        """
        resize.arrive(
            self._hypervisor,
            _spec(instance, block_device_info),
            _nics(network_info),
            _volumes(block_device_info),
            power_on=power_on,
        )

    @_translated()
    def confirm_migration(self, context: Any, migration: Any, instance: Any, network_info: Any) -> None:
        """Give up what the host that the instance left still holds."""
        resize.confirm(self._hypervisor, instance.uuid)

    @_translated(_spawn_failure)
    def finish_revert_migration(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        migration: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        """Bring the instance back where it came from, in its old size."""
        nics = _nics(network_info)
        resize.revert(
            self._hypervisor,
            _spec(instance, block_device_info),
            nics,
            _volumes(block_device_info),
            power_on=power_on,
            plugging=self._plugging(instance, nics) if nics and power_on else None,
        )

    # Live migration: the destination's side before it, the source's, then the destination's after it

    @_translated()
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
        host.check("check_can_live_migrate_destination")
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
        data.disk_available_mb = max(0, host.inventory.disk_gb - host.capacity.disk_gb) * 1024
        data.is_shared_block_storage = self.fleet.shared_storage
        # Not even Ceph shares it; and nova tells the destination of a failure only then.
        data.is_shared_instance_path = False
        data.graphics_listen_addr_vnc = CONF.vnc.server_listen
        data.graphics_listen_addr_spice = CONF.spice.server_listen
        data.serial_listen_addr = None
        return data

    @_translated()
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

    @_translated()
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
            self._refuse_new_guests(self._hypervisor)
        self.fleet.prepare_migration(
            self._hypervisor,
            _spec(instance, block_device_info),
            _nics(_destination_vifs(network_info, migrate_data)),
            _volumes(block_device_info),
        )
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
        host = self._hypervisor
        block = bool(migrate_data.block_migration) if migrate_data is not None else bool(block_migration)
        migration: LiveMigration | None = None
        try:
            migration = self.fleet.begin_migration(host, instance.uuid, dest, block=block)
            while not migration.wait(PROGRESS_INTERVAL_S):
                self._report_progress(instance, migration, migrate_data)
            self.fleet.switch_over(host, migration)
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
        finally:
            if migration is not None:
                self.fleet.end_migration(host, migration)
        self._report_progress(instance, migration, migrate_data, save=False)
        post_method(context, instance, dest, block, migrate_data)

    def _abandon(self, instance: Any, dest: str) -> None:
        """Undo the preparations on the destination where this process can reach it."""
        destination = self.fleet.hosts.get(dest)
        if destination is not None:
            self.fleet.abort_arrival(destination, instance.uuid)

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

    @_translated()
    def live_migration_force_complete(self, instance: Any) -> None:
        """Switch over at once.

        :raises MigrationError: the instance is not being live-migrated
        """
        self.fleet.migration(self._hypervisor, instance.uuid).force()

    @_translated()
    def live_migration_abort(self, instance: Any) -> None:
        """End the live migration; the guest stays.

        :raises MigrationError: the instance is not being live-migrated, or its switch-over has begun
        """
        if not self.fleet.migration(self._hypervisor, instance.uuid).abort():
            raise exception.MigrationError(reason=f"instance {instance.uuid} is being switched over")

    @_translated()
    def post_live_migration_at_source(self, context: Any, instance: Any, network_info: Any) -> None:
        """Report that the instance's interfaces are no longer on this host."""
        host = self._hypervisor
        host.report_vifs("vif_unplugged", instance.uuid, _nics(network_info).values())

    @_translated(_spawn_failure)
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
        if instance.uuid not in host.guests:
            paused = getattr(instance, "power_state", None) == power_state.PAUSED
            self.fleet.finish_arrival(host, _spec(instance, block_device_info), paused=paused)
        nics = _nics(network_info)
        if nics:
            host.plug(instance.uuid, nics)

    @_translated()
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
        self.fleet.abort_arrival(self._hypervisor, instance.uuid)

    # Whether two hosts share an instance's disks: nova asks when it evacuates

    @_translated()
    def check_instance_shared_storage_local(self, context: Any, instance: Any) -> dict[str, str] | None:
        """Return what the other host needs to look for the instance's disks; None where they are not shared."""
        self._hypervisor.check("check_instance_shared_storage")
        return {"instance": instance.uuid} if self.fleet.shared_storage else None

    @_translated()
    def check_instance_shared_storage_remote(self, context: Any, data: Any) -> bool:
        """Tell whether this host sees the disks that the other host told of."""
        self._hypervisor.check("check_instance_shared_storage")
        return self.fleet.sees_disks(data["instance"])


def _fleet_from_conf() -> Fleet:
    section = CONF.nova_fakes
    return Fleet(
        journal=Journal(section.state_path),
        seed=section.seed,
        migration_bandwidth_mb_s=section.migration_bandwidth_mb_s,
        shared_storage=section.shared_storage,
    )


def _hypervisor_from_conf(host: str) -> Hypervisor:
    section = CONF.nova_fakes
    inventory = Inventory(
        vcpus=section.vcpus,
        memory_mb=section.memory_mb,
        disk_gb=section.disk_gb,
        vcpu_limit=section.vcpu_limit,
        memory_limit=section.memory_limit,
        disk_limit=section.disk_limit,
    )
    return Hypervisor(host, inventory, registry.load(section.vif_realizer, host=host, **section.vif_realizer_options))


def _nics(network_info: Any) -> dict[str, Nic]:
    """Read a network_info; nova's asynchronous one waits here for the allocation and raises what went wrong in it.

    :raises VirtualInterfaceCreateException: an interface cannot be used
    """
    try:
        return read_nics(network_info)
    except exceptions.NovaFakesError as error:
        raise exception.VirtualInterfaceCreateException(str(error)) from error


def _spec(
    instance: Any, block_device_info: Any = None, admin_password: str | None = None, files: Any = None
) -> GuestSpec:
    """Read what a guest is made from out of nova's Instance, or of a stand-in with fewer attributes."""
    flavor = instance.flavor
    image = getattr(instance, "image_ref", None)
    swap_mb = getattr(flavor, "swap", 0)
    return GuestSpec(
        uuid=instance.uuid,
        name=instance.name,
        vcpus=flavor.vcpus,
        memory_mb=flavor.memory_mb,
        root_gb=flavor.root_gb,
        ephemeral_gb=getattr(flavor, "ephemeral_gb", 0),
        swap_mb=swap_mb or 0,
        image=image or None,
        volume_backed=_volume_backed(block_device_info) if block_device_info else image == "",
        display_name=getattr(instance, "display_name", None),
        project_id=getattr(instance, "project_id", None),
        hostname=getattr(instance, "hostname", None),
        key_name=getattr(instance, "key_name", None),
        config_drive=bool(getattr(instance, "config_drive", False)),
        os_type=getattr(instance, "os_type", None),
        admin_password=admin_password,
        files=tuple((path, contents) for path, contents in files) if files else (),
    )


def _volume_backed(block_device_info: Mapping[str, Any]) -> bool:
    root = block_device_info.get("root_device_name")
    return any(
        volume.get("boot_index") == 0 or (root is not None and volume.get("mount_device") == root)
        for volume in driver.block_device_info_get_mapping(block_device_info)
    )


def _volumes(block_device_info: Any) -> list[Volume]:
    volumes = []
    for volume in driver.block_device_info_get_mapping(block_device_info):
        size_gb = getattr(volume, "volume_size", None)
        volumes.append(
            Volume(
                volume["mount_device"],
                volume["connection_info"] or {},
                size_bytes=size_gb * GIB if size_gb else None,
            )
        )
    return volumes


def _nic_diagnostics(nic: Nic, counters: Any) -> Any:
    return diagnostics_obj.NicDiagnostics(
        mac_address=nic.address,
        rx_octets=counters.rx_bytes,
        rx_errors=counters.rx_errors,
        rx_drop=counters.rx_dropped,
        rx_packets=counters.rx_packets,
        rx_rate=None,
        tx_octets=counters.tx_bytes,
        tx_errors=counters.tx_errors,
        tx_drop=counters.tx_dropped,
        tx_packets=counters.tx_packets,
        tx_rate=None,
    )


def _disk_info(guest: Guest) -> str:
    return json.dumps(
        [
            {
                "path": f"{guest.uuid}/disk{'' if disk.role == 'root' else '.' + disk.role}",
                "type": DISK_FORMAT,
                "virt_disk_size": disk.size_bytes,
                "backing_file": "",
                "disk_size": disk.size_bytes,
                "over_committed_disk_size": 0,
            }
            for disk in local_disks(guest.spec)
        ]
    )


def _destination_vifs(network_info: Any, migrate_data: Any) -> Any:
    """Return the VIFs as they are bound to the destination, where nova bound them there."""
    bound = migrate_data.vifs if migrate_data is not None and "vifs" in migrate_data else []
    vifs = [vif.get_dest_vif() for vif in bound if "vif_type" in vif]
    return vifs or network_info


def _snapshot_metadata(instance: Any, name: str) -> dict[str, Any]:
    """Return the image's description, with the properties that nova's libvirt driver sets."""
    image_meta = instance.image_meta
    properties = {
        "kernel_id": instance.kernel_id,
        "ramdisk_id": instance.ramdisk_id,
        "image_location": "snapshot",
        "image_state": "available",
        "owner_id": instance.project_id,
    }
    if instance.os_type:
        properties["os_type"] = instance.os_type
    container_format = image_meta.container_format if image_meta.obj_attr_is_set("container_format") else "bare"
    return {
        "name": name,
        "status": "active",
        "disk_format": DISK_FORMAT,
        "container_format": container_format,
        "properties": properties,
    }
