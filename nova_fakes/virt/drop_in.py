"""What nova's own tests take from ``nova.virt.fake``, by the names that it has there.

Each driver is a few declarations: capacity, resources, capabilities, fault rules. What those tests assert of the old
fake's constants (diagnostics, consoles, the names and UUIDs of nodes) is in :mod:`nova_fakes.virt.drop_in_base`, apart
from the driver that everybody else uses, :class:`nova_fakes.virt.fake.FakeDriver`. Written against
``nova/virt/fake.py`` of nova 34.0.0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from nova.virt import virtapi
from nova.virt.ironic import driver as ironic

from nova_fakes.clock import SystemClock
from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt.drop_in_base import FakeDriver
from nova_fakes.virt.inventory import Inventory, PciDevice, Provider

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
    """Takes seconds for a live migration, whatever the flavor: tests force it, abort it or wait for its end."""

    LIVE_MIGRATION_S: ClassVar[float] = 5.0

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
        """Carry the guest over in that time."""
        flavor = instance.flavor
        disks_gb = flavor.root_gb + flavor.ephemeral_gb if self._carries_disks(block_migration, migrate_data) else 0
        self.fleet.migration_bandwidth_mb_s = (flavor.memory_mb + disks_gb * 1024) / self.LIVE_MIGRATION_S
        super().live_migration(context, instance, dest, post_method, recover_method, block_migration, migrate_data)


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
