"""Ports of an Open vSwitch: the ovs realizer beside one `ovs-vsctl` for each port, on the same kind of switch.

A burst of callers wants an instance each, with one interface: namespace, veth pair, addresses, route, checksum offload
off, port with its external_ids. It is over when every caller has been told so; then every instance is pinged, which is
the proof that the ports are usable and no part of the figure. The peer makes the same by the commands that
nova_fake_driver gives: `ip` for each step and `ovs-vsctl add-port` for each port, one after the other. Each makes the
switch look at all of its ports again, so the peer's are samples, taken evenly while the switch is filled to the same
number of ports. Its ports alone, without the interfaces, are a figure of their own. Needs root, iproute2 and
openvswitch-switch; prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other).
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from nova_fakes.virt.vif import namespaces, ovs_service
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs import OVSRealizer
from nova_fakes.virt.vif.ovs_fabric import SwitchFabric
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.ping import ping
from nova_fakes.virt.vif.switch import Switch

QUICK = "--quick" in sys.argv[1:]
RUNS = 1 if QUICK else 3
PORTS = 100 if QUICK else 300
LEVELS = 4
SAMPLES = 3 if QUICK else 8
DEADLINE_S = 60.0


def vif(number):
    address = f"10.0.{number >> 8}.{number & 255}"
    subnet = {"cidr": "10.0.0.0/16", "gateway": {"address": "10.0.255.1"}, "ips": [{"address": address}]}
    return VIF.from_network_info(
        {
            "id": str(uuid.UUID(int=number << 80)),
            "address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
            "devname": f"tap{number}",
            "type": "ovs",
            "network": {"id": "bench", "bridge": "br-int", "meta": {"mtu": 1450}, "subnets": [subnet]},
        }
    )


def together(calls):
    """Run the calls in a thread each and return the seconds until the last has returned."""
    threads = [threading.Thread(target=call) for call in calls]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def ours(state):
    """One run of ours: milliseconds a port to plug and to unplug a burst."""
    ledger = Ledger(state / "ledger")
    options = {"directory": state / "netns", "namespace": "fabric", "switch_directory": state / "ovs"}
    with ledger, SwitchFabric(ledger, deadline_s=DEADLINE_S, **options) as fabric:
        realizer = OVSRealizer("host", fabric)
        realizer.plug("watcher", [vif(PORTS + 1)])  # the bridge
        vifs = {f"i{number}": vif(number) for number in range(1, PORTS + 1)}
        plug = together([lambda i=i, v=v: realizer.plug(i, [v]) for i, v in vifs.items()])
        watcher = realizer.namespace("watcher")
        silent = [i for i, v in vifs.items() if not ping(watcher, v.subnets[0].addresses[0]).received]
        assert silent == [], f"no answer from {silent}"
        unplug = together([lambda i=i: realizer.unplug(i) for i in vifs])
    return plug / PORTS * 1000, unplug / PORTS * 1000


def run(*argv):
    subprocess.run(argv, check=True)


def interfaces(number, name):
    one = vif(number)
    link = ("mtu", "1450", "type", "veth", "peer", "name", "eth0", "address", one.address, "mtu", "1450")
    run("ip", "netns", "add", name)
    run("ip", "link", "add", f"tap{number}", *link, "netns", name)
    run("ip", "link", "set", f"tap{number}", "addrgenmode", "none", "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "addr", "add", f"{one.subnets[0].addresses[0]}/16", "dev", "eth0")
    run("ip", "-n", name, "route", "add", "default", "via", "10.0.255.1", "dev", "eth0")


def port(socket, number):
    one = vif(number)
    ids = {"iface-id": one.id, "iface-status": "active", "attached-mac": one.address}
    columns = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
    add = ("add-port", "br-int", f"tap{number}", "--", "set", "Interface", f"tap{number}", *columns)
    run("ovs-vsctl", f"--db=unix:{socket}", *add, "mtu_request=1450")


def fill(socket, numbers):
    """Put ports on the peer's switch that count for nothing, all of them by one command."""
    words = []
    for number in numbers:
        run("ip", "link", "add", f"tap{number}", "up", "type", "veth", "peer", "name", f"fill{number}")
        words += ["--", "add-port", "br-int", f"tap{number}"]
    run("ovs-vsctl", f"--db=unix:{socket}", *words)


def by_commands(state):
    """One run of the peer: milliseconds a port for everything, and for the `ovs-vsctl` alone."""
    prefix = f"nova-fakes-bench-{os.getpid()}"
    ledger, home = Ledger(), str(state / "peer")
    namespaces.in_thread(lambda: namespaces.make(home))
    service = OpenVSwitch(ledger, state / "peer-ovs", home, deadline_s=DEADLINE_S)

    def timed():
        made = ports = 0.0
        for level in range(LEVELS):
            first = 1 + level * PORTS // LEVELS
            last = (level + 1) * PORTS // LEVELS
            for number in range(first, first + SAMPLES):
                began = time.perf_counter()
                interfaces(number, f"{prefix}-{number}")
                between = time.perf_counter()
                port(service.socket, number)
                ports += time.perf_counter() - between
                made += time.perf_counter() - began
            fill(service.socket, range(first + SAMPLES, last + 1))
        count = LEVELS * SAMPLES
        return made / count * 1000, ports / count * 1000

    try:
        service.start()
        Switch(service.socket, deadline_s=DEADLINE_S).make_bridges([("br-int", {})], [], "netdev")
        return namespaces.in_namespace(home, timed)
    finally:
        service.stop()
        for path in namespaces.RUN_NETNS.glob(f"{prefix}-*"):
            namespaces.remove(path)
        namespaces.remove(home)


def figure(name, mine, other=None, other_is="nothing"):
    mine, other = statistics.median(mine), None if other is None else statistics.median(other)
    return {
        "name": name,
        "unit": "ms",
        "ours": round(mine, 4),
        "other": None if other is None else round(other, 4),
        "other_is": other_is,
        "ratio": None if other is None else round(mine / other, 4),
    }


def main():
    if os.geteuid() != 0 or shutil.which("ip") is None or ovs_service.missing() is not None:
        sys.exit("bench_ovs: needs root, iproute2 and openvswitch-switch")
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-", dir="/run") as name:
        state = Path(name)
        runs = [(ours(state), by_commands(state)) for _ in range(RUNS)]
    mine, commands = zip(*runs, strict=True)
    plug, unplug = zip(*mine, strict=True)
    whole, ports = zip(*commands, strict=True)
    at = f"wall a port, a burst of {PORTS} until usable"
    figures = [
        figure(f"ovs plug, {at}", plug, whole, f"ip and ovs-vsctl for each port ({SAMPLES * LEVELS} sampled)"),
        figure(f"ovs plug, {at}", plug, ports, f"ovs-vsctl alone, for each port ({SAMPLES * LEVELS} sampled)"),
        figure(f"ovs unplug, wall a port, a burst of {PORTS}", unplug),
    ]
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
