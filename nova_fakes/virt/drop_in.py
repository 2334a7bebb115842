"""What nova's own tests take from ``nova.virt.fake``, by the names that it has there.

Each driver is a few declarations: capacity, resources, capabilities, fault rules. What those tests assert of the old
fake's constants (diagnostics, consoles, the names and UUIDs of nodes) is in :class:`FakeDriver` of this module, apart
from the driver that everybody else uses, :class:`nova_fakes.virt.fake.FakeDriver`. Written against
``nova/virt/fake.py`` of nova 34.0.0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar
from uuid import NAMESPACE_DNS, uuid5

import fixtures
import nova.conf
import nova.virt
import nova.virt.node
import os_traits
from nova import exception
from nova.console import type as console_type
from nova.objects import diagnostics as diagnostics_obj
from nova.objects import migrate_data as migrate_data_obj
from nova.virt import virtapi
from nova.virt.ironic import driver as ironic
from oslo_utils.fixture import uuidsentinel

from nova_fakes.clock import SystemClock
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt import fake
from nova_fakes.virt.driver.reading import nics_from
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Guest, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory, PciDevice, Provider
from nova_fakes.virt.nic import Nic

__all__ = [
    "EphEncryptionDriver",
    "EphEncryptionDriverLUKS",
    "EphEncryptionDriverPLAIN",
    "FakeBuildAbortDriver",
    "FakeBuildAbortDriverWithNestedCustomResources",
    "FakeDriver",
    "FakeDriverWithCaching",
    "FakeDriverWithPciResources",
    "FakeDriverWithoutFakeNodes",
    "FakeFinishMigrationFailDriver",
    "FakeInstance",
    "FakeLiveMigrateDriver",
    "FakeLiveMigrateDriverWithNestedCustomResources",
    "FakeLiveMigrateDriverWithPciResources",
    "FakeRescheduleDriver",
    "FakeRescheduleDriverWithNestedCustomResources",
    "FakeUnshelveSpawnFailDriver",
    "FakeUnshelveSpawnFailDriverWithNestedCustomResources",
    "FakeVirtAPI",
    "MediumFakeDriver",
    "MediumFakeDriverWithNestedCustomResources",
    "PowerUpdateFakeDriver",
    "PredictableNodeUUIDDriver",
    "RescueBFVDriver",
    "Resources",
    "SameHostColdMigrateDriver",
    "SmallFakeDriver",
    "replace_nova_virt_fake",
]

CONF = nova.conf.CONF

#: MiB a second: whatever is migrated is there at once.
AT_ONCE_MB_S = 1e12


def replace_nova_virt_fake() -> None:
    """Put this module in the place of ``nova.virt.fake``, for this process.

    To be called before anything imports that one: ``nova.tests`` does, and ``compute_driver = fake.…`` too.

    :raises RuntimeError: somebody has imported it already
    """
    present = sys.modules.get("nova.virt.fake")
    if present is not None and present is not sys.modules[__name__]:
        raise RuntimeError("nova.virt.fake is imported already: put this module in its place before nova.tests loads")
    sys.modules["nova.virt.fake"] = nova.virt.fake = sys.modules[__name__]


@dataclass
class FakeInstance:
    """An instance as a hypervisor lists it."""

    name: str
    state: int
    uuid: str

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


@dataclass
class Resources:
    """Capacity and what of it is used."""

    vcpus: int = 8
    memory_mb: int = 8000
    local_gb: int = 500
    vcpus_used: int = 0
    memory_mb_used: int = 0
    local_gb_used: int = 0

    def claim(self, vcpus: int = 0, mem: int = 0, disk: int = 0) -> None:
        """Use some more."""
        self.vcpus_used += vcpus
        self.memory_mb_used += mem
        self.local_gb_used += disk

    def release(self, vcpus: int = 0, mem: int = 0, disk: int = 0) -> None:
        """Use some less."""
        self.claim(-vcpus, -mem, -disk)

    def dump(self) -> dict[str, int]:
        """Return all of it."""
        return asdict(self)


class FakeVirtAPI(virtapi.VirtAPI):  # type: ignore[misc]
    """nova's side for a driver that waits for nothing."""

    @contextmanager
    def wait_for_instance_event(
        self,
        instance: Any,
        event_names: Sequence[tuple[str, str]],
        timeout: int = 300,
        error_callback: Callable[..., Any] | None = None,
    ) -> Iterator[None]:
        """Let the driver go on at once: every event has come."""
        yield

    def exit_wait_early(self, events: Sequence[tuple[str, str]]) -> None:
        """Accept it: nobody waits."""

    def update_compute_provider_status(self, context: Any, rp_uuid: str, enabled: bool) -> None:
        """Accept it: nobody asks the scheduler."""


class Constants(fake.FakeDriver):
    """Figures and addresses that never change, as the tests of nova's API samples expect them."""

    def get_host_ip_addr(self) -> str:
        """Return an address of nobody."""
        return "192.168.0.1"

    def get_host_cpu_stats(self) -> dict[str, int]:
        """Return processor times, ns, and frequency, MHz."""
        return {
            "kernel": 5664160000000,
            "idle": 1592705190000000,
            "user": 26728850000000,
            "iowait": 6121490000000,
            "frequency": 800,
        }

    def get_diagnostics(self, instance: Any) -> dict[str, int]:
        """Return libvirt's keys with the samples' figures."""
        return {
            "cpu0_time": 17300000000,
            "memory": 524288,
            "vda_errors": -1,
            "vda_read": 262144,
            "vda_read_req": 112,
            "vda_write": 5778432,
            "vda_write_req": 488,
            "vnet1_rx": 2070139,
            "vnet1_rx_drop": 0,
            "vnet1_rx_errors": 0,
            "vnet1_rx_packets": 26701,
            "vnet1_tx": 140208,
            "vnet1_tx_drop": 0,
            "vnet1_tx_errors": 0,
            "vnet1_tx_packets": 662,
        }

    def get_instance_diagnostics(self, instance: Any) -> Any:
        """Return nova's object with the samples' figures."""
        found = diagnostics_obj.Diagnostics(
            state="running",
            driver="libvirt",
            hypervisor="kvm",
            hypervisor_os="ubuntu",
            uptime=46664,
            config_drive=True,
            memory_details=diagnostics_obj.MemoryDiagnostics(maximum=524288, used=0),
        )
        found.add_cpu(id=0, time=17300000000, utilisation=15)
        found.add_nic(
            mac_address="01:23:45:67:89:ab",
            rx_octets=2070139,
            rx_errors=100,
            rx_drop=200,
            rx_packets=26701,
            rx_rate=300,
            tx_octets=140208,
            tx_errors=400,
            tx_drop=500,
            tx_packets=662,
            tx_rate=600,
        )
        found.add_disk(read_bytes=262144, read_requests=112, write_bytes=5778432, write_requests=488, errors_count=1)
        return found

    def block_stats(self, instance: Any, disk_id: str) -> list[int | None]:  # type: ignore[override]
        """Return the counters of a disk that nobody uses."""
        return [0, 0, 0, 0, None]

    def get_all_volume_usage(
        self,
        context: Any,
        compute_host_bdms: Sequence[Mapping[str, Any]],  # type: ignore[override]
    ) -> list[dict[str, Any]]:
        """Return the first volume's counters: nobody uses it."""
        if not compute_host_bdms:
            return []
        first = compute_host_bdms[0]
        volume = {"volume": first["instance_bdms"][0]["volume_id"], "instance": first["instance"]}
        return [volume | dict.fromkeys(("rd_bytes", "rd_req", "wr_bytes", "wr_req"), 0)]

    def get_console_output(self, context: Any, instance: Any) -> str:  # type: ignore[override]
        """Return three lines."""
        return "FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE"

    def get_vnc_console(self, context: Any, instance: Any) -> Any:
        """Return an address of nobody."""
        return console_type.ConsoleVNC("fakevncconsole.com", 6969, uuidsentinel.vnc_access_path)

    def get_spice_console(self, context: Any, instance: Any) -> Any:
        """Return an address of nobody."""
        return console_type.ConsoleSpice(
            "fakespiceconsole.com", 6969, 6970, internal_access_path=uuidsentinel.spice_access_path
        )

    def get_serial_console(self, context: Any, instance: Any) -> Any:
        """Return an address of nobody."""
        return console_type.ConsoleSerial("fakerdpconsole.com", 6969, uuidsentinel.serial_access_path)

    def get_mks_console(self, context: Any, instance: Any) -> Any:
        """Return an address of nobody."""
        return console_type.ConsoleMKS("fakemksconsole.com", 6969, uuidsentinel.mks_access_path)

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        """Return how this host reaches volumes."""
        return {"ip": CONF.my_block_storage_ip, "initiator": "fake", "host": self._hypervisor.name}


class FakeDriver(Constants):
    """A driver that makes a host of its own, equipped as the class declares it."""

    #: Capacity of the host; where the inventory of a subclass needs more, it overrides :meth:`_inventory`.
    vcpus: ClassVar[int] = 1000
    memory_mb: ClassVar[int] = 800000
    local_gb: ClassVar[int] = 600000
    #: Rules in force from the beginning.
    fault_rules: ClassVar[tuple[FaultRule, ...]] = ()
    migration_bandwidth_mb_s: ClassVar[float] = AT_ONCE_MB_S

    capabilities = {
        **dict.fromkeys(fake.FakeDriver.capabilities, False),
        **dict.fromkeys(
            (
                "has_imagecache",
                "supports_evacuate",
                "supports_attach_interface",
                "supports_device_tagging",
                "supports_tagged_attach_interface",
                "supports_tagged_attach_volume",
                "supports_extend_volume",
                "supports_multiattach",
                "supports_trusted_certs",
                "supports_accelerators",
                "supports_remote_managed_ports",
                "supports_address_space_passthrough",
                "supports_address_space_emulated",
                "supports_stateless_firmware",
                "supports_virtio_fs",
                "supports_mem_backing_file",
                "supports_image_type_raw",
            ),
            True,
        ),
    }

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        self._nodes: list[str] = []
        #: Tests put into it what they want to have aborted or forced.
        self.active_migrations: dict[str, Any] = {}
        super().__init__(virtapi, read_only)

    @classmethod
    def _inventory(cls, host: str) -> Inventory:
        return Inventory(
            vcpus=cls.vcpus,
            memory_mb=cls.memory_mb,
            disk_gb=cls.local_gb,
            cpu_model="Nehalem",
            cpu_features=("pge", "clflush"),
            hypervisor_version=1_000_000,
        )

    def _new_fleet(self) -> Fleet:
        fleet = Fleet(faults=self._new_faults(), migration_bandwidth_mb_s=self.migration_bandwidth_mb_s)
        for rule in self.fault_rules:
            fleet.faults.add(rule)
        return fleet

    def _new_faults(self) -> Faults | None:
        return None

    def _new_hypervisor(self, host: str) -> Hypervisor:
        return Hypervisor(host, self._inventory(host))

    def init_host(self, host: str) -> None:
        """Become that host's driver; its one node has the host's name, but ``fake-mini`` on host ``compute``."""
        self._bind(host)
        self._set_nodes(["fake-mini"] if host == "compute" else [host])

    def _set_nodes(self, nodes: Sequence[str]) -> None:
        """Have these nodes, all of them the same host."""
        self._nodes = list(nodes)

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        """Return the nodes."""
        return self._nodes

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """Return the nodes' names by identities that tests know."""
        return {_sentinel(name): name for name in self._nodes}

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the node has; nothing for one that is not this host's."""
        if nodename not in self._nodes:
            return {}
        found = super().get_available_resource(nodename)
        cpu_info = json.loads(found["cpu_info"]) | {"topology": {"cores": 1, "threads": 1, "sockets": 4}}
        return found | {
            "uuid": _sentinel(nodename),
            "hypervisor_hostname": nodename,
            "host_hostname": nodename,
            "host_name_label": nodename,
            "cpu_info": json.dumps(cpu_info),
            "disk_available_least": 0,
            "supported_instances": [("x86_64", "fake", "hvm")],
        }

    def instance_on_disk(self, instance: Any) -> bool:
        """Tell that no instance's disk is seen here: an evacuation makes it anew."""
        return False

    def _device_metadata(self, context: Any, instance: Any, nics: Iterable[Nic], disks: Iterable[str]) -> Any:
        """Tell of no devices, as the old fake does: tests attach to instances that they have not saved."""
        return instance.device_metadata if instance.obj_attr_is_set("device_metadata") else None

    def _tell_of_devices(self, context: Any, instance: Any) -> None:
        """Leave what is told of devices alone."""

    def _host_traits(self) -> frozenset[str]:
        """Have no traits but those of the capabilities: tests list what they expect."""
        return frozenset()

    def _nics(self, network_info: Any) -> dict[str, Nic]:
        # The ports of nova's network fixture do not all have a MAC address of their own.
        return nics_from(network_info, distinct=False)

    def check_can_live_migrate_destination(
        self,
        context: Any,
        instance: Any,
        src_compute_info: Any,
        dst_compute_info: Any,
        block_migration: Any = False,
        disk_over_commit: Any = False,
    ) -> Any:
        """Offer shared disks and enough room. Tests call it with no driver for `self`."""
        data = migrate_data_obj.LibvirtLiveMigrateData(
            filename="fake",
            image_type=CONF.libvirt.images_type,
            graphics_listen_addr_vnc=CONF.vnc.server_listen,
            graphics_listen_addr_spice=CONF.spice.server_listen,
            serial_listen_addr=None,
            disk_available_mb=100000,
            is_shared_block_storage=True,
            is_shared_instance_path=True,
        )
        for name, wanted in (("block_migration", block_migration), ("disk_over_commit", disk_over_commit)):
            if wanted is not None:
                setattr(data, name, wanted)
        return data

    def check_can_live_migrate_source(
        self, context: Any, instance: Any, dest_check_data: Any, block_device_info: Any = None
    ) -> Any:
        """Agree to whatever the destination offers: tests ask for block migration between hosts that share disks."""
        return dest_check_data

    def poll_rebooting_instances(self, timeout: int, instances: Iterable[Any]) -> None:
        """Leave them alone: tests hand over instances that do not reboot."""

    def resume(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        share_info: Any = None,
    ) -> None:
        """Bring the guest back from disk; one that runs goes on running."""
        if self._guest(instance, "resume.find").state is not State.RUNNING:
            super().resume(context, instance, network_info, block_device_info, share_info)

    def unrescue(self, context: Any, instance: Any) -> None:
        """Boot the guest from its own disk again; one that is not rescued runs from it already."""
        if self._guest(instance, "unrescue.find").rescued:
            super().unrescue(context, instance)

    def live_migration_force_complete(self, instance: Any) -> None:
        """Switch over at once; without a migration there is nothing to do."""
        migration = self._hypervisor.migrations.get(instance.uuid)
        if migration is not None:
            migration.force(bandwidth_mb_s=AT_ONCE_MB_S)

    def live_migration_abort(self, instance: Any) -> None:
        """End the live migration; without one there is nothing to do."""
        if instance.uuid in self._hypervisor.migrations:
            super().live_migration_abort(instance)

    @property
    def instances(self) -> Mapping[str, Guest]:
        """The guests by UUID."""
        return self._hypervisor.guests

    @property
    def _interfaces(self) -> dict[str, Any]:
        """The VIFs of all guests by id."""
        return {vif_id: nic.info for guest in self.instances.values() for vif_id, nic in guest.nics.items()}

    def _test_remove_vm(self, instance_uuid: str) -> None:
        """Lose a guest, as if somebody had removed it behind nova's back."""
        self._hypervisor.destroy(instance_uuid)


def _sentinel(nodename: str) -> str:
    return str(getattr(uuidsentinel, f"node_{nodename}"))


class SmallFakeDriver(FakeDriver):
    """The host of nova's API samples."""

    vcpus, memory_mb, local_gb = 2, 8192, 1028


class MediumFakeDriver(FakeDriver):
    """A host for more than one instance that tests can fill."""

    vcpus, memory_mb, local_gb = 10, 8192, 1028


class SameHostColdMigrateDriver(MediumFakeDriver):
    """Cold-migrates to the host on which the guest is."""

    capabilities = {**FakeDriver.capabilities, "supports_migrate_to_same_host": True}


class RescueBFVDriver(MediumFakeDriver):
    """Rescues guests that boot from a volume."""

    capabilities = {**FakeDriver.capabilities, "supports_bfv_rescue": True}


class EphEncryptionDriver(MediumFakeDriver):
    """Encrypts local disks."""

    capabilities = {**FakeDriver.capabilities, "supports_ephemeral_encryption": True}


class EphEncryptionDriverLUKS(EphEncryptionDriver):
    """Encrypts local disks by LUKS."""

    capabilities = {**EphEncryptionDriver.capabilities, "supports_ephemeral_encryption_luks": True}


class EphEncryptionDriverPLAIN(EphEncryptionDriver):
    """Encrypts local disks by plain dm-crypt."""

    capabilities = {**EphEncryptionDriver.capabilities, "supports_ephemeral_encryption_plain": True}


class PowerUpdateFakeDriver(SmallFakeDriver):
    """Takes power updates from outside as Ironic's driver does."""

    def __init__(self, virtapi: Any) -> None:
        super().__init__(virtapi=None)
        self.driver = ironic.IronicDriver(virtapi=virtapi)

    def power_update_event(self, instance: Any, target_power_state: str) -> None:
        """Write the power state that was reported into nova's database."""
        self.driver.power_update_event(instance, target_power_state)


class MediumFakeDriverWithNestedCustomResources(MediumFakeDriver):
    """Has ten of CUSTOM_MAGIC on a resource provider below the host's."""

    @classmethod
    def _inventory(cls, host: str) -> Inventory:
        child = Provider("child", {"CUSTOM_MAGIC": 10}, frozenset({os_traits.OWNER_NOVA}))
        return replace(super()._inventory(host), providers=(child,))


class FakeFinishMigrationFailDriver(FakeDriver):
    """Cannot make the instance that is moved or resized to it."""

    fault_rules = (FaultRule("finish_migration", error=exception.VirtualInterfaceCreateException),)


class PredictableNodeUUIDDriver(SmallFakeDriver):
    """Has nodes whose identity follows from their name, as Ironic's driver has."""

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the node has."""
        return super().get_available_resource(nodename) | {"uuid": str(uuid5(NAMESPACE_DNS, nodename))}


class FakeRescheduleDriver(FakeDriver):
    """Refuses each instance once, wherever it comes first: nova tries another host."""

    # The drivers of all hosts together refuse an instance once, so what they remember is one.
    refusals: ClassVar[Faults] = Faults(SystemClock())
    refusals.add(
        FaultRule(
            "spawn",
            times_per_guest=1,
            error=lambda uuid: exception.ComputeResourcesUnavailable(reason="FakeRescheduleDriver"),
        )
    )

    def _new_faults(self) -> Faults:
        return self.refusals


class FakeRescheduleDriverWithNestedCustomResources(FakeRescheduleDriver, MediumFakeDriverWithNestedCustomResources):
    """Both in one."""


class FakeBuildAbortDriver(FakeDriver):
    """Refuses every instance for good: nova tries no other host."""

    fault_rules = (
        FaultRule(
            "spawn",
            error=lambda uuid: exception.BuildAbortException(instance_uuid=uuid, reason="FakeBuildAbortDriver"),
        ),
    )


class FakeBuildAbortDriverWithNestedCustomResources(FakeBuildAbortDriver, MediumFakeDriverWithNestedCustomResources):
    """Both in one."""


class FakeUnshelveSpawnFailDriver(FakeDriver):
    """Cannot make the interfaces of an instance that is unshelved."""

    fault_rules = (
        FaultRule(
            "unshelve", error=lambda uuid: exception.VirtualInterfaceCreateException("FakeUnshelveSpawnFailDriver")
        ),
    )


class FakeUnshelveSpawnFailDriverWithNestedCustomResources(
    FakeUnshelveSpawnFailDriver, MediumFakeDriverWithNestedCustomResources
):
    """Both in one."""


class FakeLiveMigrateDriver(FakeDriver):
    """Takes seconds for a live migration, which tests force or abort meanwhile."""

    migration_bandwidth_mb_s = 100.0


class FakeLiveMigrateDriverWithNestedCustomResources(FakeLiveMigrateDriver, MediumFakeDriverWithNestedCustomResources):
    """Both in one."""


class FakeDriverWithPciResources(SmallFakeDriver):
    """Has three network cards, each with a virtual function; every host has them at the same addresses."""

    PCI_ADDR_PF1 = "0000:01:00.0"
    PCI_ADDR_PF1_VF1 = "0000:01:00.1"
    PCI_ADDR_PF2 = "0000:02:00.0"
    PCI_ADDR_PF2_VF1 = "0000:02:00.1"
    PCI_ADDR_PF3 = "0000:03:00.0"
    PCI_ADDR_PF3_VF1 = "0000:03:00.1"

    class FakeDriverWithPciResourcesConfigFixture(fixtures.Fixture):  # type: ignore[misc]
        """Configures nova for these devices: the first card on physnet1, the others on physnet2."""

        def setUp(self) -> None:
            """Set [pci]device_spec; answer what nova would read in the host's sysfs."""
            super().setUp()
            specs = [
                {
                    "address": {"domain": "0000", "bus": bus, "slot": "00", "function": ".*"},
                    "physical_network": network,
                }
                for bus, network in (("01", "physnet1"), ("02", "physnet2"), ("03", "physnet2"))
            ]
            CONF.set_override("device_spec", [json.dumps(spec) for spec in specs], group="pci")
            for function, answer in (("get_mac_by_pci_address", "52:54:00:1e:59:c6"), ("get_vf_num_by_pci_address", 1)):
                self.useFixture(fixtures.MockPatch(f"nova.pci.utils.{function}", return_value=answer))

    @classmethod
    def _inventory(cls, host: str) -> Inventory:
        cards = (
            (cls.PCI_ADDR_PF1, cls.PCI_ADDR_PF1_VF1),
            (cls.PCI_ADDR_PF2, cls.PCI_ADDR_PF2_VF1),
            (cls.PCI_ADDR_PF3, cls.PCI_ADDR_PF3_VF1),
        )
        return replace(super()._inventory(host), pci=tuple(_functions(host, cards)))


def _functions(host: str, cards: Iterable[tuple[str, str]]) -> Iterator[PciDevice]:
    same = {"vendor_id": "fake-vendor_id", "product_id": "fake-product_id", "numa_node": 0, "label": "fake-label"}
    for number, (physical, virtual) in enumerate(cards, 1):
        yield PciDevice(physical, kind="type-PF", **same)  # type: ignore[arg-type]
        interface = f"{host}-ens{number}"
        yield PciDevice(virtual, kind="type-VF", parent=physical, parent_interface=interface, **same)  # type: ignore[arg-type]


class FakeLiveMigrateDriverWithPciResources(FakeLiveMigrateDriver, FakeDriverWithPciResources):
    """Both in one."""


class FakeDriverWithCaching(FakeDriver):
    """Caches images when asked to, without asking the image service for them."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self.cached_images: set[str] = set()

    def cache_image(self, context: Any, image_id: str) -> bool:
        """Put an image into the cache; tell whether it was not there yet."""
        known = image_id in self.cached_images
        self.cached_images.add(image_id)
        return not known


class FakeDriverWithoutFakeNodes(FakeDriver):
    """Has one node with the machine's own identity, as a real driver has."""

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        """Return what the node has."""
        return super().get_available_resource(nodename) | {"uuid": nova.virt.node.get_local_node_uuid()}

    def get_nodenames_by_uuid(self, refresh: bool = False) -> dict[str, str]:
        """Return the node's name by the machine's identity."""
        return {nova.virt.node.get_local_node_uuid(): self.get_available_nodes()[0]}
