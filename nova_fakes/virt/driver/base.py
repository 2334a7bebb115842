"""What all parts of the driver share: the host that it drives, and the wait for nova's events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import nova.conf
import nova.virt.node
from nova import exception, objects
from nova.virt import driver
from nova.virt import event as virt_event

from nova_fakes.virt.disks import local_disks
from nova_fakes.virt.driver.device_metadata import device_metadata
from nova_fakes.virt.driver.equipment import equipment_from
from nova_fakes.virt.driver.reading import nics_from, spec_from
from nova_fakes.virt.driver.setup import fleet_from_conf, hypervisor_from_conf
from nova_fakes.virt.driver.translation import nova_error, translated
from nova_fakes.virt.fleet import Fleet, current_fleet
from nova_fakes.virt.guest import Guest, GuestSpec
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.journal import Event
from nova_fakes.virt.nic import Nic
from nova_fakes.virt.records import failure_recorded
from nova_fakes.virt.signatures import check_signatures
from nova_fakes.virt.vif.base import VIF

__all__ = ["HypervisorDriver"]

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)


class HypervisorDriver(driver.ComputeDriver):  # type: ignore[misc]
    """A driver bound to one hypervisor; the parts of :class:`nova_fakes.virt.fake.FakeDriver` derive from it."""

    capabilities = {
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_evacuate": True,
        "supports_attach_interface": True,
        "supports_device_tagging": True,
        "supports_tagged_attach_interface": True,
        "supports_tagged_attach_volume": True,
        "supports_extend_volume": True,
        "supports_multiattach": True,
        "supports_bfv_rescue": True,
        "supports_trusted_certs": True,
        "supports_pcpus": True,
        "supports_socket_pci_numa_affinity": True,
        "supports_accelerators": True,
        "supports_vtpm": True,
        "supports_secure_boot": True,
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

    options: Any = CONF
    """Of nova.conf; a driver may have some of its own."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi)
        for cls in type(self).__mro__:
            if cls is driver.ComputeDriver:
                break
            check_signatures(cls, driver.ComputeDriver)
        fleet = current_fleet()
        self._owns_fleet = fleet is None
        self.fleet = fleet or self._new_fleet()
        self.fleet.faults.make_error = nova_error
        self._unsubscribe = self.fleet.journal.subscribe(self._observe)
        self._image_api: Any = None
        self._hypervisor: Hypervisor
        if self._owns_fleet or self.options.host in self.fleet.hosts:
            self._bind(self.options.host)

    @property
    def hypervisor(self) -> Hypervisor:
        """The host that this driver drives."""
        return self._hypervisor

    def _bind(self, host: str) -> None:
        if self._owns_fleet and host not in self.fleet.hosts:
            self.fleet.add(self._new_hypervisor(host))
        self._hypervisor = self.fleet.hypervisor(host)
        self._hypervisor.read_vif = VIF.from_network_info

    def _new_fleet(self) -> Fleet:
        """Make the fleet of a driver that joins none."""
        return fleet_from_conf()

    def _new_hypervisor(self, host: str) -> Hypervisor:
        """Make the host of a driver that joins no fleet."""
        return hypervisor_from_conf(host)

    def _observe(self, event: Event) -> None:
        """Tell nova what happened to a guest by itself, as libvirt's events do."""
        if event.operation == "crash" and event.host == self._hypervisor.name and event.outcome == "ok":
            self.emit_event(virt_event.LifecycleEvent(event.guest, virt_event.EVENT_LIFECYCLE_STOPPED))

    def init_host(self, host: str) -> None:
        """Become that host's driver.

        :raises HostNotFound: the fleet that was in force has no such host
        """
        self._bind(host)
        # nova refuses to start a second time on a host without this file, whatever identity its nodes have.
        nova.virt.node.get_local_node_uuid()

    @translated()
    def cleanup_host(self, host: str) -> None:
        """Let go of what this driver made for itself; a fleet that it joined goes on."""
        self._unsubscribe()
        if self._owns_fleet:
            self.fleet.close()

    @translated()
    def _guest(self, instance: Any, operation: str) -> Guest:
        return self._hypervisor.guest(instance.uuid, operation)

    def _spec(
        self,
        instance: Any,
        block_device_info: Any = None,
        admin_password: str | None = None,
        files: Any = None,
        *,
        allocations: Any = None,
        accel_info: Any = None,
    ) -> GuestSpec:
        """Read what a guest is made from on this host."""
        host = self._hypervisor
        spec = spec_from(instance, block_device_info, admin_password, files)
        spec.equipment = equipment_from(instance, host.inventory, allocations, accel_info)
        if len(host.nodes) > 1:
            spec.node = instance.node if instance.node in host.nodes else host.nodes[0]
        return spec

    def _nics(self, network_info: Any) -> dict[str, Nic]:
        """Read a network_info."""
        return nics_from(network_info)

    def _device_metadata(self, context: Any, instance: Any, nics: Iterable[Nic], disks: Iterable[str]) -> Any:
        """Return what nova's metadata service shall tell the guest of its devices."""
        has_shares = any(instance.uuid in users for users in self._hypervisor.shares.values())
        return device_metadata(context, instance, nics, disks, has_shares=has_shares)

    def _tell_of_devices(self, context: Any, instance: Any) -> None:
        """Let nova keep what there is to tell of the devices of a guest that lives."""
        if isinstance(instance, objects.Instance):
            guest = self._guest(instance, "find")
            disks = (*(disk.device for disk in local_disks(guest.spec)), *guest.volumes)
            instance.device_metadata = self._device_metadata(context, instance, guest.nics.values(), disks)
            instance.save()

    def _alive(self, operation: str) -> None:
        host = self._hypervisor
        if host.silent or host.faults.active:
            host.check(operation)

    def _refuse_new_guest(self, instance: Any, operation: str) -> None:
        host = self._hypervisor
        why = "is in maintenance" if host.maintenance else "is disabled"
        with failure_recorded(host, instance.uuid, operation):
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
        if not events or not self.options.vif_plugging_timeout:
            return None
        return self._waiting(instance, events)

    @contextmanager
    def _waiting(self, instance: Any, events: list[tuple[str, str]]) -> Iterator[None]:
        try:
            with self.virtapi.wait_for_instance_event(
                instance, events, timeout=self.options.vif_plugging_timeout, error_callback=self._port_failed
            ):
                yield
        except exception.InstanceEventTimeout:
            ports = ", ".join(port for _, port in events)
            if self.options.vif_plugging_is_fatal:
                raise exception.VirtualInterfaceCreateException(
                    f"ports {ports} did not come up within {self.options.vif_plugging_timeout} s"
                ) from None
            LOG.warning("Ports %s did not come up in time; instance %s goes on without", ports, instance.uuid)

    def _port_failed(self, event_name: str, instance: Any) -> None:
        LOG.error("The network service reports failure: %s for instance %s", event_name, instance.uuid)
        if self.options.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException(f"the network service reports failure of {event_name}")

    def _images(self) -> Any:
        if self._image_api is None:
            from nova.image import glance

            self._image_api = glance.API()
        return self._image_api
