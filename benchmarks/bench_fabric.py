"""A fabric with many instances: a thousand answer, three hundred go at once, one moves while it is talked to.

Beside most figures stands their target. The thousand are pinged from their gateway, all at once, with the kernel's own
settings: once the gateway has to ask for everybody's MAC, which the bridge hands to a thousand ports each time; once
it has permanent neighbours, as Neutron gives them to its distributed routers. Whom an echo does not reach gets another
after a quarter of a second. What goes at once is unplugged by one caller after the other, and it is over when the
kernel has removed the last interface. The instance that moves between two hosts is pinged every millisecond; the gap is
the longest time between two replies less the usual millisecond, beside that of a while in which nothing moves. A TCP
connection into it carries bytes after each move. Needs root; prints a JSON list of objects with name, unit, ours,
other, other_is and ratio (ours / other).
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from nova_fakes.virt.vif import namespaces, netlink, rtnetlink
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ping import Pinger, ping_all
from nova_fakes.virt.vif.plan import gateway_mac

QUICK = "--quick" in sys.argv[1:]
CROWD = 200 if QUICK else 1000
GOING = 100 if QUICK else 300
MOVES = 3 if QUICK else 20
RUNS = 1 if QUICK else 3
NETWORK, GATEWAY = str(uuid.UUID(int=7)), "10.0.255.254"
PING_INTERVAL_S = 0.001
#: Milliseconds between two echoes, as they are when nothing moves.
USUAL_MS = PING_INTERVAL_S * 1000
DEADLINE_S = 30.0


def vif(number):
    """VIF number n, or the gateway's where it is 0."""
    address = f"10.0.{number >> 8}.{number & 255}" if number else GATEWAY
    mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}" if number else gateway_mac(NETWORK, GATEWAY)
    subnet = {"cidr": "10.0.0.0/16", "gateway": {"address": GATEWAY}, "ips": [{"address": address}]}
    return VIF.from_network_info(
        {
            "id": str(uuid.UUID(int=number + 1)),
            "address": mac,
            "devname": f"tap{number}",
            "type": "bridge",
            "network": {"id": NETWORK, "meta": {"mtu": 1450}, "subnets": [subnet]},
        }
    )


@contextmanager
def hosts(count=1):
    state = Path(tempfile.mkdtemp(prefix="nova-fakes-bench-", dir="/run"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", state], check=True)
    try:
        ledger = Ledger(state / "ledger")
        with ledger, Fabric(ledger, directory=state / "netns", namespace="fabric") as fabric:
            yield fabric, [BridgeRealizer(f"compute-{number}", fabric) for number in range(count)]
    finally:
        subprocess.run(["umount", "-l", state], check=True)
        shutil.rmtree(state)


def crowd():
    """Seconds until everybody has answered: asked for their MACs, and known."""
    with hosts() as (fabric, (host,)):
        fabric.together([lambda n=n: host.plug(f"i{n}", [vif(n)]) for n in range(1, CROWD + 1)])
        return tuple(answers(host, known) for known in (False, True))


def answers(host, known):
    host.plug("gateway", [vif(0)])
    path = host.namespace("gateway")
    addresses = {vif(number).subnets[0].addresses[0]: vif(number).address for number in range(1, CROWD + 1)}
    ping_all(path, ["10.0.0.1"], rounds=10)  # the gateway's link is there
    began = time.perf_counter()
    if known:
        namespaces.in_namespace(path, lambda: introduce(addresses))
    results = ping_all(path, list(addresses), rounds=5, timeout_s=0.25)
    took = time.perf_counter() - began
    silent = [address for address, result in results.items() if not result.received]
    assert silent == [], f"{len(silent)} of {CROWD} do not answer"
    host.unplug("gateway")
    host.settle()
    return took


def introduce(addresses):
    """Tell the namespace everybody's MAC."""
    with netlink.Socket() as sock:
        sock.send(
            [
                rtnetlink.NEIGHBOUR4.fill(
                    index=2, address=socket.inet_aton(one), mac=bytes.fromhex(mac.replace(":", ""))
                )
                for one, mac in addresses.items()
            ]
        )


def going():
    """Milliseconds an instance until all are gone, and the longest that a caller waited."""
    with hosts() as (fabric, (host,)):
        host.plug("stays", [vif(0)])
        fabric.together([lambda n=n: host.plug(f"i{n}", [vif(n)]) for n in range(1, GOING + 1)])
        longest = 0.0
        began = time.perf_counter()
        for number in range(1, GOING + 1):
            called = time.perf_counter()
            host.unplug(f"i{number}")
            longest = max(longest, time.perf_counter() - called)
        waited = time.perf_counter() - began
        assert fabric.settle()
        return (time.perf_counter() - began) / GOING * 1000, waited / GOING * 1000, longest * 1000


class Connection:
    """A TCP connection between two namespaces, over which a byte goes there and back."""

    def __init__(self, client, server, address):
        listening = namespaces.in_namespace(server, lambda: socket.create_server((address, 5000)))
        with listening:
            self.near = namespaces.in_namespace(client, lambda: socket.create_connection((address, 5000), DEADLINE_S))
            self.far, _ = listening.accept()

    def carries(self):
        echo = threading.Thread(target=lambda: self.far.sendall(self.far.recv(1)))
        echo.start()
        self.near.sendall(b"x")
        echo.join(DEADLINE_S)
        return self.near.recv(1) == b"x"

    def close(self):
        self.near.close()
        self.far.close()


def moving():
    """For each move: echoes lost, the gap in milliseconds, and the gap of a while without one."""
    with hosts(2) as (_fabric, pair):
        one = vif(2)
        pair[0].plug("watcher", [vif(1)])
        pair[0].plug("guest", [one])
        path, address = pair[0].namespace("watcher"), one.subnets[0].addresses[0]
        connection = Connection(path, pair[0].namespace("guest"), address)
        lost, gaps, quiet = [], [], []
        with Watcher(path, address) as watcher:
            for number in range(MOVES):
                source, destination = pair if number % 2 == 0 else pair[::-1]
                destination.prepare_migration("guest", [one])
                quiet.append(watcher.during(lambda: None)[1])
                missed, gap = watcher.during(lambda s=source, d=destination: d.migrate("guest", [one], s))
                lost.append(missed)
                gaps.append(gap)
                assert connection.carries()
        connection.close()
    return lost, gaps, quiet


class Watcher:
    """A process that pings; in ours the pinger would wait for the interpreter that the move is using."""

    def __init__(self, path, address):
        argv = [sys.executable, __file__, "--watch", path, address]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._process.communicate(timeout=DEADLINE_S)

    def during(self, call):
        """Make a call in the midst of echoes: how many were lost, and the gap in milliseconds."""
        self._tell()
        assert self._process.stdout.readline() == "answered\n"
        time.sleep(0.05)
        call()
        time.sleep(0.05)
        self._tell()
        return json.loads(self._process.stdout.readline())

    def _tell(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()


def watch(path, address):
    """Ping from each odd line that comes in to the next; what `Watcher` starts. Other processes do not hold it up."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    while sys.stdin.readline():
        with Pinger(path, address, interval_s=PING_INTERVAL_S) as pinger:
            assert pinger.wait_for_reply(DEADLINE_S)
            print("answered", flush=True)
            sys.stdin.readline()
            result = pinger.stop()
        print(json.dumps([result.lost, max(result.gaps_s) * 1000 - USUAL_MS]), flush=True)


def figure(name, unit, value, other, other_is="the target"):
    return {
        "name": name,
        "unit": unit,
        "ours": round(value, 4),
        "other": round(other, 4),
        "other_is": other_is,
        "ratio": round(value / other, 4),
    }


def main():
    if os.geteuid() != 0:
        sys.exit("bench_fabric: needs root")
    asked, known = zip(*(crowd() for _ in range(RUNS)), strict=True)
    settled, waited, longest = zip(*(going() for _ in range(RUNS)), strict=True)
    moves = [moving() for _ in range(RUNS)]
    lost, gaps, quiet = (list(chain.from_iterable(one)) for one in zip(*moves, strict=True))
    everybody = f"ping of all {CROWD:,}, from one"
    gap_name = "live migration, gap, median of the moves"
    figures = [
        figure(f"{everybody} that knows them", "s", statistics.median(known), 1.0),
        figure(f"{everybody} that asks for each", "s", statistics.median(asked), 1.0),
        figure(f"unplug {GOING}, until all are gone, wall an instance", "ms", statistics.median(settled), 1.5),
        figure(f"unplug {GOING}, a caller waits", "ms", statistics.median(waited), 1.0),
        figure(f"unplug {GOING}, the longest that one waits", "ms", statistics.median(longest), 1.0),
        figure("live migration, echoes lost of one a ms, mean of the moves", "", statistics.mean(lost), 1.0),
        figure(gap_name, "ms", statistics.median(gaps), 2.0),
        figure(gap_name, "ms", statistics.median(gaps), statistics.median(quiet), "the same pings while nothing moves"),
    ]
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        watch(*sys.argv[2:])
    else:
        main()
