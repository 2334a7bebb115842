"""A fleet and its host made from nova.conf's ``[nova_fakes]``."""

from __future__ import annotations

from pathlib import Path

import nova.conf

from nova_fakes import conf as nova_fakes_conf
from nova_fakes.virt import fault_file, fleet_file
from nova_fakes.virt.fault_file import FaultPlan
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.inventory import Inventory
from nova_fakes.virt.journal import Journal
from nova_fakes.virt.vif import registry

__all__ = ["fleet_from_conf", "hypervisor_from_conf"]

CONF = nova.conf.CONF

nova_fakes_conf.register(CONF)


def fleet_from_conf() -> Fleet:
    """Make the fleet of one host that a driver owns."""
    section = CONF.nova_fakes
    # Files are read before the journal is opened: a wrong one leaves nothing open.
    plan = FaultPlan() if not section.fault_file else fault_file.load(Path(section.fault_file))
    if section.fleet_file:
        fleet = fleet_file.load(Path(section.fleet_file)).make_fleet(journal=Journal(section.state_path))
    else:
        fleet = Fleet(
            journal=Journal(section.state_path),
            seed=section.seed,
            migration_bandwidth_mb_s=section.migration_bandwidth_mb_s,
            shared_storage=section.shared_storage,
        )
    plan.put_in_force(fleet.faults)
    return fleet


def hypervisor_from_conf(host: str) -> Hypervisor:
    """Make the host, with the realizer that the configuration names."""
    section = CONF.nova_fakes
    if section.fleet_file:
        inventory = fleet_file.load(Path(section.fleet_file)).inventory(host)
    else:
        inventory = Inventory(
            vcpus=section.vcpus,
            memory_mb=section.memory_mb,
            disk_gb=section.disk_gb,
            vcpu_limit=section.vcpu_limit,
            memory_limit=section.memory_limit,
            disk_limit=section.disk_limit,
            vif_addressing=section.vif_addressing,
        )
    options: dict[str, object] = {**section.vif_realizer_options}
    # Only where they were asked for: somebody else's realizer need not know them.
    if inventory.vif_addressing != "static":
        options["addressing"] = inventory.vif_addressing
    if section.vif_allow_substitute:
        options["allow_substitute"] = True
    return Hypervisor(host, inventory, registry.load(section.vif_realizer, host=host, **options))
