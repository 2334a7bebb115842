"""The ``[nova_fakes]`` section of nova.conf."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

__all__ = ["GROUP", "OPTIONS", "register"]

GROUP = cfg.OptGroup("nova_fakes", title="The hypervisor without hypervisor")

OPTIONS = [
    cfg.StrOpt(
        "vif_realizer",
        default="null",
        help="""
What makes instances' interfaces: the name of an entry point of the group nova_fakes.vif_realizers.

* null: nothing; interfaces exist in the model alone
* bridge: a network namespace for each instance, and Linux bridges
* ovs: the same, with ports of the machine's Open vSwitch on the bridges that Neutron names
* remote: what the privileged agent, `nova-fakes agent`, makes of it
""",
    ),
    cfg.DictOpt(
        "vif_realizer_options",
        default={},
        help="""
Further options of the VIF realizer, name:value pairs; for bridge and ovs: state_directory, persistent; for ovs:
socket; for remote: socket, deadline_s.
""",
    ),
    cfg.StrOpt(
        "vif_addressing",
        default="static",
        choices=[
            ("static", "the addresses that nova knows are set from outside"),
            ("dhcp", "from the network: DHCP and, by an IPv6 subnet's address mode, router advertisements and DHCPv6"),
        ],
        help="""
How instances' real interfaces get their addresses. A port whose binding:profile has nova_fakes_addressing decides
for itself.
""",
    ),
    cfg.BoolOpt(
        "vif_allow_substitute",
        default=False,
        help="""
Whether ports of types that the realizer cannot make (vhostuser, hw_veb and other SR-IOV, …) become plain ports, rather
than being refused.
""",
    ),
    cfg.StrOpt(
        "state_path",
        help="""
The SQLite file that keeps guests, volumes and interfaces over a restart. Several nova-computes may share it. Without
it, guests end with the process.
""",
    ),
    cfg.StrOpt(
        "fleet_file",
        help="""
A TOML file that describes the fleet: this host's entry, by its name, says what it is equipped with, and the file's
seed, bandwidth, storage, workloads and faults hold. The options below that say the same are not read then.
""",
    ),
    cfg.StrOpt(
        "fault_file",
        help="A TOML file of fault rules that are in force from the beginning, besides those of the fleet file.",
    ),
    cfg.IntOpt("seed", default=0, min=0, help="Of every counter and statistic: one seed gives one history."),
    cfg.IntOpt("vcpus", default=64, min=1, help="Processors of the host."),
    cfg.IntOpt("memory_mb", default=262_144, min=1, help="Memory of the host, MiB."),
    cfg.IntOpt("disk_gb", default=4_096, min=0, help="Local disk of the host, GiB."),
    cfg.FloatOpt(
        "vcpu_limit", min=0.01, help="Times that processors may be claimed before the host refuses; unset: never."
    ),
    cfg.FloatOpt(
        "memory_limit", min=0.01, help="Times that memory may be claimed before the host refuses; unset: never."
    ),
    cfg.FloatOpt("disk_limit", min=0.01, help="Times that disk may be claimed before the host refuses; unset: never."),
    cfg.FloatOpt(
        "migration_bandwidth_mb_s",
        default=10_000.0,
        min=0.001,
        help="Of live migration, MiB a second: with the instance's memory it decides how long one takes.",
    ),
    cfg.BoolOpt(
        "shared_storage",
        default=True,
        help="""
Whether all hosts see all disks, as with Ceph. A live migration then carries memory alone and refuses --block-migration;
an evacuated instance finds its disk again.
""",
    ),
]


def register(conf: Any) -> None:
    """Register the section with nova's CONF; again is no error."""
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)
