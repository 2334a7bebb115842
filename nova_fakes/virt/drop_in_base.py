"""The driver that nova's own tests expect of ``nova.virt.fake``: constants where the tests assert constants.

Its variants are in :mod:`nova_fakes.virt.drop_in`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import nova.conf
import nova.virt
import nova.virt.node
from nova.console import type as console_type
from nova.objects import diagnostics as diagnostics_obj
from nova.objects import migrate_data as migrate_data_obj
from oslo_utils.fixture import uuidsentinel

from nova_fakes.faults import FaultRule, Faults
from nova_fakes.virt import fake
from nova_fakes.virt.driver.reading import nics_from
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.guest import Guest, State
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.nic import Nic

__all__ = ["AT_ONCE_MB_S", "FakeDriver"]

CONF = nova.conf.CONF

#: MiB a second: whatever is migrated is there at once.
AT_ONCE_MB_S = 1e12


class Constants(fake.FakeDriver):
    """Figures and addresses that never change, as the tests of nova's API samples expect them."""

    def get_host_ip_addr(self) -> str:
        """Return an address of nobody."""
        return "192.168.0.1"

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        """Return the power state; of a guest that stands still or is on disk, that it runs."""
        found = super().get_info(instance, use_cache)
        if found.state in (State.PAUSED, State.SUSPENDED):
            found.state = int(State.RUNNING)
        return found

    def get_host_uptime(self) -> str:
        """Refuse to tell, as the old fake does.

        :raises NotImplementedError: always
        """
        raise NotImplementedError

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
        return {"ip": self.options.my_block_storage_ip, "initiator": "fake", "host": self._hypervisor.name}


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
            hypervisor_version=1_000,
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

    @staticmethod
    def _report_progress(instance: Any, migration: Any, migrate_data: Any, save: bool = True) -> None:
        """Tell of no progress: samples show none."""

    def trigger_crash_dump(self, instance: Any) -> None:
        """Leave the guest running: nova would stop one that has crashed, and tell of it."""

    def soft_delete(self, instance: Any) -> None:
        """Leave the guest running: samples show it so."""

    def restore(self, instance: Any) -> None:
        """Leave the guest running."""

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
        """Leave the guest shut down, as nova did before it asked: samples show it so."""
        super().rescue(context, instance, network_info, image_meta, rescue_password, block_device_info, share_info)
        self._hypervisor.change(instance.uuid, "power_off")

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
