"""dnsmasq for tests: Neutron's DHCP agent uses it too."""

import os
import shutil
import socket
import struct
import subprocess
import time

import pytest

from nova_fakes.virt.vif import namespaces

__all__ = ["RELEASE", "RELEASE6", "SERVER", "Capture", "Server", "eventually", "known"]

DEADLINE_S = 30.0
SERVER = "10.0.0.2"
RANGES = ("--dhcp-range=10.0.0.0,static,255.255.255.0,120",)
#: How a message that gives a lease back looks, by EtherType, UDP port of the server, and what it contains.
RELEASE = (0x0800, 67, b"\x63\x82\x53\x63\x35\x01\x07")
RELEASE6 = (0x86DD, 547, b"\x08")
PROGRAM = shutil.which("dnsmasq", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)
    return found


class Server:
    """dnsmasq inside an instance that has the DHCP port's address.

    :param ranges: what it serves, as options
    :param ready: what it says when it has come up
    """

    def __init__(self, directory, namespace, *options, ranges=RANGES, ready="DHCP, static leases only"):
        if PROGRAM is None:
            pytest.skip("no dnsmasq here: apt-get install dnsmasq-base")
        directory.mkdir(exist_ok=True)
        self.log, self.database = directory / "log", directory / "leases"
        argv = [PROGRAM, "--no-daemon", "--port=0", "--user=root", "--group=root", "--conf-file=/dev/null"]
        argv += ["--interface=eth0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--log-dhcp"]
        argv += [f"--dhcp-leasefile={self.database}", f"--pid-file={directory / 'pid'}", *ranges, *options]

        def start():
            with self.log.open("w") as log:
                return subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

        self.process = namespaces.in_namespace(namespace, start)
        eventually(lambda: ready in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def said(self):
        return self.log.read_text()

    def said_since(self, before):
        return self.said().removeprefix(before)

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE_S)


class Capture:
    """What arrives in a namespace from now on; it stays readable when the interface it came by is gone.

    A server is told too late for its answer to be seen where its own interface goes next.
    """

    def __init__(self, namespace):
        self.packets = []
        every = socket.htons(0x0003)
        self.socket = namespaces.in_namespace(
            namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, every)
        )

    def close(self):
        self.socket.close()

    def heard(self, kind):
        """Tell whether a message of that kind has come: `RELEASE`, `RELEASE6`."""
        while True:
            try:
                packet, sender = self.socket.recvfrom(65536)
            except BlockingIOError:
                break
            self.packets.append((sender[1], packet))
        ethertype, port, contents = kind
        for protocol, packet in self.packets:
            header = 20 if protocol == 0x0800 else 40
            if protocol == ethertype and struct.unpack_from("!H", packet, header + 2) == (port,):
                payload = packet[header + 8 :]
                if contents in payload if protocol == 0x0800 else payload.startswith(contents):
                    return True
        return False


def known(number, address=None):
    """The line by which a server knows the port of that number."""
    return f"--dhcp-host=fa:16:3e:00:00:{number:02x},{address or f'10.0.0.{number}'}"
