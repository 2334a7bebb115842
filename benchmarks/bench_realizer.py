"""Wiring instances: the bridge realizer beside the `ip` commands for the same topology, and beside C.

Each instance is a namespace with one interface on a bridge, an IPv4 and an IPv6 address, a default route and a
permanent neighbour of each family. CPU is user and system time of the processes that do it; what the kernel does later
in its own threads is in nobody's figure. With the commands it is theirs and that of starting them, which whoever uses
commands pays; the commands' alone is a figure of its own. The C program makes the same system calls and netlink
messages. Runs alternate, and each figure is the median of its runs. Needs root and gcc; prints a JSON list of objects
with name, unit, ours, other, other_is and ratio (ours / other).
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.plan import gateway_mac

INSTANCES = 200
# Far slower, and as fast for the twentieth as for the two-hundredth.
IP_INSTANCES = 20
RUNS = 5
NETWORK = str(uuid.UUID(int=7))
GATEWAYS = ("10.0.255.254", "fd00::ffff")


def vif(number):
    host = number + 1
    addresses = (f"10.0.{host >> 8}.{host & 255}", f"fd00::1:{host:x}")
    subnets = [
        {"cidr": cidr, "gateway": {"address": gateway}, "ips": [{"address": address}]}
        for cidr, gateway, address in zip(("10.0.0.0/16", "fd00::/64"), GATEWAYS, addresses, strict=True)
    ]
    return VIF.from_network_info(
        {
            "id": str(uuid.UUID(int=number + 1)),
            "address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
            "devname": f"tap{number}",
            "type": "bridge",
            "network": {"id": NETWORK, "meta": {"mtu": 1450}, "subnets": subnets},
        }
    )


def cpu_s(who=resource.RUSAGE_SELF):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def per_instance(before, after, count):
    return [(b - a) / count * 1000 for a, b in zip(before, after, strict=True)]


def ours(state):
    """One run of ours: milliseconds an instance of CPU and wall to plug, to unplug and to read counters."""
    ledger = Ledger(state / "ledger")
    with ledger, Fabric(ledger, directory=state / "netns", namespace="fabric") as fabric:
        realizer = BridgeRealizer("host", fabric)
        realizer.plug("warm", [vif(INSTANCES)])  # the bridge
        vifs = [vif(number) for number in range(INSTANCES)]

        def timed(call):
            before = cpu_s(), time.perf_counter()
            for number, one in enumerate(vifs):
                call(f"i{number}", one)
            return per_instance(before, (cpu_s(), time.perf_counter()), INSTANCES)

        plug = timed(lambda instance, one: realizer.plug(instance, [one]))
        first = realizer.counters("i0")
        assert len(first) == 1
        counters = timed(lambda instance, one: realizer.counters(instance))
        counters = timed(lambda instance, one: realizer.counters(instance))
        return plug, timed(lambda instance, one: realizer.unplug(instance)), counters


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def by_ip(execute=False):
    """One run of `ip`: milliseconds an instance of the commands' CPU, of all CPU and of wall, to plug and to unplug.

    `execute` enters a namespace by ``ip netns exec NAME ip``, as nova_fake_driver and many scripts do, in place of the
    leaner ``ip -n NAME``.
    """
    names = [f"nova-fakes-bench-{os.getpid()}-{number}" for number in range(IP_INSTANCES)]

    def plug(number, name):
        address4, address6 = (address for subnet in vif(number).subnets for address in subnet.addresses)
        link = ("mtu", "1450", "type", "veth", "peer", "name", "eth0", "address", vif(number).address)
        ip("netns", "add", name)
        ip("link", "add", f"tap{number}", *link, "mtu", "1450", "netns", name)
        ip("link", "set", f"tap{number}", "master", "bench", "addrgenmode", "none", "up")
        inside = ("netns", "exec", name, "ip") if execute else ("-n", name)
        ip(*inside, "link", "set", "lo", "up")
        ip(*inside, "link", "set", "eth0", "addrgenmode", "none", "up")
        ip(*inside, "addr", "add", f"{address4}/16", "dev", "eth0")
        ip(*inside, "addr", "add", f"{address6}/64", "dev", "eth0", "nodad")
        for family, gateway in zip(("-4", "-6"), GATEWAYS, strict=True):
            ip(*inside, family, "route", "add", "default", "via", gateway, "dev", "eth0")
            mac = gateway_mac(NETWORK, gateway)
            ip(*inside, family, "neigh", "add", gateway, "lladdr", mac, "dev", "eth0", "nud", "permanent")

    def timed(call):
        before = spent()
        for number, name in enumerate(names):
            call(number, name)
        return per_instance(before, spent(), IP_INSTANCES)

    def spent():
        commands = cpu_s(resource.RUSAGE_CHILDREN)
        return commands, commands + cpu_s(), time.perf_counter()

    def run():
        namespaces.unshare_network()  # the bridge and the host ends go with this thread
        ip("link", "add", "bench", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        ip("link", "set", "bench", "up")
        try:
            return timed(plug), timed(lambda number, name: ip("netns", "delete", name))
        finally:
            for name in names:
                namespaces.remove(namespaces.RUN_NETNS / name)

    return namespaces.in_thread(run)


def floor(program, directory):
    done = subprocess.run([program, directory, str(INSTANCES)], capture_output=True, text=True, check=True)
    return [float(word) / INSTANCES * 1000 for word in done.stdout.split()]


def figure(name, mine, other, other_is, unit="ms"):
    mine, other = statistics.median(mine), None if other is None else statistics.median(other)
    ratio = None if other is None else round(mine / other, 4)
    rounded = None if other is None else round(other, 4)
    return {"name": name, "unit": unit, "ours": round(mine, 4), "other": rounded, "other_is": other_is, "ratio": ratio}


def main():
    if os.geteuid() != 0 or shutil.which("gcc") is None or shutil.which("ip") is None:
        sys.exit("bench_realizer: needs root, gcc and ip")
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-", dir="/run") as name:
        state = Path(name)
        program = state / "floor"
        subprocess.run(["gcc", "-O2", "-o", program, Path(__file__).with_name("realizer_floor.c")], check=True)
        (state / "floor.d").mkdir()
        runs = [(ours(state), by_ip(), by_ip(execute=True), floor(program, state / "floor.d")) for _ in range(RUNS)]
    mine, commands, executed, c = zip(*runs, strict=True)
    alone = f"ip commands, without the cost of starting them ({IP_INSTANCES} instances, scaled)"
    whole = f"ip commands ({IP_INSTANCES} instances, scaled)"
    raw = "raw netlink in C"
    at = f"an instance at N={INSTANCES}"
    figures = [
        figure(f"plug, CPU {at}", [m[0][0] for m in mine], [o[0][1] for o in commands], whole),
        figure(f"plug, CPU {at}", [m[0][0] for m in mine], [o[0][0] for o in commands], alone),
        figure(f"plug, CPU {at}", [m[0][0] for m in mine], [o[0][1] for o in executed], f"{whole}, by ip netns exec"),
        figure(f"plug, CPU {at}", [m[0][0] for m in mine], [f[0] for f in c], raw),
        figure(f"plug, wall {at}", [m[0][1] for m in mine], [o[0][2] for o in commands], whole),
        figure(f"plug, wall {at}", [m[0][1] for m in mine], [f[1] for f in c], raw),
        figure(f"unplug, CPU {at}", [m[1][0] for m in mine], [o[1][1] for o in commands], whole),
        figure(f"unplug, wall {at}", [m[1][1] for m in mine], [o[1][2] for o in commands], whole),
        figure("counters of an instance, CPU", [m[2][0] * 1000 for m in mine], None, "nothing", unit="µs"),
    ]
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
