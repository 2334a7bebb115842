"""Wiring instances: the bridge realizer beside C, beside `ip` commands and beside pyroute2, for the same topology.

Each instance is a namespace with one interface on a bridge, an IPv4 and an IPv6 address, a default route and a
permanent neighbour of each family. CPU is user and system time of the processes that do it; what the kernel does later
in its own threads is in nobody's figure. With the commands it is theirs and that of starting them, which whoever uses
commands pays; the commands' alone is a figure of its own. The C program makes the same system calls and netlink
messages, what goes to the ledger included; a bare loop in Python makes them with everything encoded ahead, which is as
fast as the interpreter gets. Instances are plugged one after the other, and, in figures of their own, in
one go. Runs alternate, and each figure is the median of its runs; a ratio is the median of the runs' ratios, because
what else runs on the machine changes from run to run. Everything is on a tmpfs, as ``/run`` is. Needs root and gcc;
prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other).
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
from functools import partial
from pathlib import Path

from nova_fakes.virt.vif import namespaces, netlink, plan, rtnetlink
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.interior import guest_messages
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.plan import gateway_mac

QUICK = "--quick" in sys.argv[1:]
INSTANCES = 100 if QUICK else 300
# Far slower, and as fast for the twentieth as for the three-hundredth.
IP_INSTANCES = 5 if QUICK else 20
RUNS = 1 if QUICK else 9
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
    """One run of ours: CPU and wall, milliseconds an instance, of each thing that is done to all of them."""
    ledger = Ledger(state / "ledger")
    with ledger, Fabric(ledger, directory=state / "netns", namespace="fabric") as fabric:
        realizer = BridgeRealizer("host", fabric)
        realizer.plug("warm", [vif(INSTANCES)])  # the bridge
        vifs = {f"i{number}": vif(number) for number in range(INSTANCES)}
        took = {}

        def timed(name, call):
            before = cpu_s(), time.perf_counter()
            call()
            took[name] = per_instance(before, (cpu_s(), time.perf_counter()), INSTANCES)

        def each(call):
            return [partial(call, instance, one) for instance, one in vifs.items()]

        def in_turn(call):
            for one in each(call):
                one()

        def counters(instance, one):
            assert len(realizer.counters(instance)) == 1

        def plug(instance, one):
            realizer.plug(instance, [one])

        def unplug(instance, one):
            realizer.unplug(instance)

        timed("plug", lambda: in_turn(plug))
        in_turn(counters)  # the first asks for a number for each namespace
        timed("counters", lambda: in_turn(counters))
        timed("unplug", lambda: in_turn(unplug))
        assert fabric.settle()
        timed("burst", lambda: fabric.together(each(plug)))
        assert len(fabric.instances()) == INSTANCES + 1
        fabric.together(each(unplug))
        assert fabric.settle()
        return took


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


def by_pyroute2():
    """One run of pyroute2 as its documentation shows it: CPU and wall, milliseconds an instance, to plug.

    See https://docs.pyroute2.org/netns.html: `netns.create`, a veth whose peer goes to the namespace by its name, and
    `NetNS` for what is inside.
    """
    from pyroute2 import IPRoute, NetNS, netns

    names = [f"nova-fakes-bench-{os.getpid()}-p{number}" for number in range(IP_INSTANCES)]

    def plug(host, bridge, number, name):
        one = vif(number)
        netns.create(name)
        peer = {"ifname": "eth0", "address": one.address, "mtu": one.mtu, "net_ns_fd": name}
        host.link("add", ifname=one.devname, kind="veth", mtu=one.mtu, peer=peer)
        (outer,) = host.link_lookup(ifname=one.devname)
        host.link("set", index=outer, master=bridge, state="up")
        with NetNS(name) as guest:
            guest.link("set", index=guest.link_lookup(ifname="lo")[0], state="up")
            (inner,) = guest.link_lookup(ifname="eth0")
            guest.link("set", index=inner, state="up")
            for subnet, gateway in zip(one.subnets, GATEWAYS, strict=True):
                length = int(subnet.cidr.partition("/")[2])
                guest.addr("add", index=inner, address=subnet.addresses[0], prefixlen=length)
                guest.route("add", dst="default", gateway=gateway, oif=inner)
                mac = gateway_mac(NETWORK, gateway)
                guest.neigh("add", dst=gateway, lladdr=mac, ifindex=inner, state="permanent")

    def run():
        namespaces.unshare_network()
        with IPRoute() as host:
            host.link("add", ifname="bench", kind="bridge")
            (bridge,) = host.link_lookup(ifname="bench")
            host.link("set", index=bridge, state="up")
            before = cpu_s(), cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
            for number, name in enumerate(names):
                plug(host, bridge, number, name)
            after = cpu_s(), cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
        own, children, wall = per_instance(before, after, IP_INSTANCES)
        return own + children, wall

    try:
        return namespaces.in_thread(run)
    finally:
        for name in names:
            namespaces.remove(namespaces.RUN_NETNS / name)


def floor(program, directory):
    done = subprocess.run([program, directory, str(INSTANCES)], capture_output=True, text=True, check=True)
    return [float(word) / INSTANCES * 1000 for word in done.stdout.split()]


def bare(directory):
    """One run of a loop that makes the same system calls and nothing else: CPU and wall, milliseconds an instance."""

    def run():
        namespaces.unshare_network()
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        ledger = os.open(directory / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with netlink.Socket() as host:
            host.send([rtnetlink.BRIDGE.fill(devname=b"bench", mac=b"\x02bench", mtu=1450, flags=rtnetlink.UP)])
            work = [prepared(number, host.link("bench").index) for number in range(INSTANCES)]
            before = cpu_s(), time.perf_counter()
            for number, (values, inside) in enumerate(work):
                path = f"{directory}/bare-{number}"
                os.path.lexists(path)
                os.write(ledger, b"x" * 250)
                namespaces.make(path)
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                with netlink.Socket() as guest:
                    os.fstat(fd)
                    os.write(ledger, b"x" * 430)
                    host.send([rtnetlink.VETH_INTO.fill(namespace=fd, **values)])
                    guest.send(inside)
                os.close(fd)
                namespaces.enter(home)
            after = cpu_s(), time.perf_counter()
        os.close(home)
        os.close(ledger)
        for number in range(INSTANCES):
            namespaces.remove(f"{directory}/bare-{number}")
        (directory / "ledger").unlink()
        return per_instance(before, after, INSTANCES)

    return namespaces.in_thread(run)


def prepared(number, bridge):
    """Encode what is sent for an instance: the values of its host end, and the messages for its inside."""
    interface = plan.interface(vif(number), 0)
    mac = b"\xfe" + interface.mac[1:]
    values = {
        "index": 0,
        "devname": b"tap%d" % number,
        "mac": mac,
        "mtu": 1450,
        "bridge": bridge,
        "flags": rtnetlink.UP,
    }
    values |= {"peer_index": 2, "peer_name": b"eth0", "peer_mac": interface.mac}
    return values, list(guest_messages(plan.ConfigureGuest("", (interface,), loopback=True)))


def figure(name, mine, other=None, other_is="nothing", unit="ms"):
    return {
        "name": name,
        "unit": unit,
        "ours": round(statistics.median(mine), 4),
        "other": None if other is None else round(statistics.median(other), 4),
        "other_is": other_is,
        "ratio": None
        if other is None
        else round(statistics.median(m / o for m, o in zip(mine, other, strict=True)), 4),
    }


def run(state, program, backwards):
    """Let everybody make instances once; now one, now the other finds the kernel's caches warm."""
    calls = {
        "ours": lambda: ours(state),
        "c": lambda: floor(program, state / "floor.d"),
        "bare": lambda: bare(state / "floor.d"),
        "ip": by_ip,
        "exec": lambda: by_ip(execute=True),
        "pyroute2": by_pyroute2,
    }
    order = reversed(calls) if backwards else calls
    return {who: calls[who]() for who in order}


def figures(runs):
    def mine(name, column):
        return [one["ours"][name][column] for one in runs]

    whole = f"ip commands ({IP_INSTANCES} instances, scaled)"
    executed = f"ip netns exec for each step ({IP_INSTANCES} instances, scaled)"
    raw, at = "the same system calls from C", f"an instance at N={INSTANCES}"
    for name, plugged in (("plug", "plug"), ("plug in one go", "burst")):
        for column, kind in enumerate(("CPU", "wall")):
            title = f"{name}, {kind} {at}"
            yield figure(title, mine(plugged, column), [one["c"][column] for one in runs], raw)
            yield figure(title, mine(plugged, column), [one["bare"][column] for one in runs], "a bare loop in Python")
    for name, plugged in (("plug", "plug"), ("plug in one go", "burst")):
        for column, kind in enumerate(("CPU", "wall")):
            plug = mine(plugged, column)
            title = f"{name}, {kind} {at}"
            yield figure(title, plug, [one["ip"][0][column + 1] for one in runs], whole)
            yield figure(title, plug, [one["exec"][0][column + 1] for one in runs], executed)
            yield figure(
                title, plug, [one["pyroute2"][column] for one in runs], "pyroute2 as its documentation shows it"
            )
    alone = "ip commands, without the cost of starting them"
    yield figure(f"plug, CPU {at}", mine("plug", 0), [one["ip"][0][0] for one in runs], alone)
    yield figure(f"unplug, CPU {at}", mine("unplug", 0), [one["ip"][1][1] for one in runs], whole)
    yield figure(f"unplug, wall {at}", mine("unplug", 1), [one["ip"][1][2] for one in runs], whole)
    yield figure("counters of an instance, CPU", [value * 1000 for value in mine("counters", 0)], unit="µs")


def main():
    if os.geteuid() != 0 or shutil.which("gcc") is None or shutil.which("ip") is None:
        sys.exit("bench_realizer: needs root, gcc and ip")
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-", dir="/run") as name:
        state = Path(name)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", state], check=True)
        try:
            program = state / "floor"
            subprocess.run(["gcc", "-O2", "-o", program, Path(__file__).with_name("realizer_floor.c")], check=True)
            (state / "floor.d").mkdir()
            runs = [run(state, program, number % 2) for number in range(RUNS)]
        finally:
            subprocess.run(["umount", "-l", state], check=True)
    print(json.dumps(list(figures(runs)), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
