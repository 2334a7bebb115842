"""What Open vSwitch adds to a plan: ports with the external_ids that Neutron's agents look for, and the hybrid plug.

Names and external_ids are os-vif's (``vif_plug_ovs``, 4.x), which nova uses for its other drivers, so that an agent
finds our ports as it finds theirs.
"""

from collections.abc import Sequence

from nova_fakes.virt.vif import plan
from nova_fakes.virt.vif.base import VIF

__all__ = ["DEFAULT_BRIDGE", "bridge_of", "hybrid", "hybrid_names", "plug_operations", "switch_ports"]

DEFAULT_BRIDGE = "br-int"
#: Of the port's id in a device's name, as nova has it: three letters and this make 14 characters.
_ID_CHARACTERS = 11


def bridge_of(vif: VIF) -> str:
    """Return the switch's bridge that the VIF names, nova's default where it names none."""
    return vif.bridge or str(vif.details.get("bridge_name") or DEFAULT_BRIDGE)


def hybrid(vif: VIF) -> bool:
    """Tell whether a Linux bridge has to stand between the instance and the switch, for Neutron's iptables."""
    return vif.type == "ovs" and bool(vif.details.get("ovs_hybrid_plug"))


def hybrid_names(suffix: str) -> tuple[str, str, str]:
    """Return the names of the Linux bridge and of both ends of its pair to the switch."""
    end = suffix[:_ID_CHARACTERS]
    return f"qbr{end}", f"qvb{end}", f"qvo{end}"


def switch_ports(instance: str, planned: Sequence[plan.Interface]) -> tuple[plan.SwitchPort, ...]:
    """Plan the switch's ports of these interfaces."""
    return tuple(
        plan.SwitchPort(
            devname=hybrid_names(one.vif.id)[2] if hybrid(one.vif) else one.vif.devname,
            bridge=bridge_of(one.vif),
            network_id=one.vif.network_id,
            iface_id=one.vif.id,
            attached_mac=one.vif.address,
            vm_uuid=instance,
            mtu_request=one.vif.mtu,
        )
        for one in planned
    )


def plug_operations(
    instance: str, host: str, planned: Sequence[plan.Interface], *, up: bool, new: bool, userspace: Sequence[str]
) -> tuple[plan.Operation, ...]:
    """Order the steps that plug these interfaces.

    :param new: the instance has no namespace yet
    :param userspace: which of the VIFs' bridges have a datapath in userspace
    """
    names = dict.fromkeys(bridge_of(one.vif) for one in planned)
    operations: list[plan.Operation] = [plan.MakeSwitchBridge(name) for name in names]
    leases = plan.lease_operations(instance, planned)
    ordinary = plan.plug_operations(instance, host, planned, up=up, new=new)
    operations += ordinary[: len(ordinary) - len(leases)]
    if filtered := tuple(one for one in planned if hybrid(one.vif)):
        operations.append(plan.MakeFilterBridges(instance, host, filtered))
    if computing := tuple(one for one in planned if bridge_of(one.vif) in userspace):
        operations.append(plan.StopChecksumOffload(instance, computing))
    if planned:
        operations.append(plan.AddPorts(instance, host, switch_ports(instance, planned)))
    return (*operations, *leases)
