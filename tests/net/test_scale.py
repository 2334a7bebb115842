"""Thousands of instances on one machine, with the settings that a machine comes with."""

import uuid

import pytest

from nova_fakes.virt.vif import plan
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.limits import capacities
from nova_fakes.virt.vif.ping import ping_all

pytestmark = pytest.mark.privileged

NETWORK = "network"


def vif(number):
    """VIF number n of a host's network: 10.0.0.0 and n; number 0 is the gateway itself, which everybody knows."""
    value = (10 << 24) + (number or 0xFFFE)
    address = ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
    gateway = "10.0.255.254"
    subnet = {"cidr": "10.0.0.0/16", "gateway": {"address": gateway}, "ips": [{"address": address}]}
    return VIF.from_network_info(
        {
            "id": str(uuid.UUID(int=number + 1)),
            "address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
            if number
            else plan.gateway_mac(NETWORK, gateway),
            "devname": f"tap{number}",
            "type": "bridge",
            "network": {"id": NETWORK, "meta": {"mtu": 1450}, "subnets": [subnet]},
        }
    )


class Chassis:
    """A host: a namespace of its own, with a gateway and instances on its bridge."""

    def __init__(self, directory, name):
        self.ledger = Ledger(directory / name / "ledger")
        self.fabric = Fabric(self.ledger, directory=directory / name / "netns", namespace="host")
        self.realizer = BridgeRealizer(name, self.fabric)

    def boot(self, count):
        vifs = {f"i{number}": vif(number) for number in range(1, count + 1)}
        self.fabric.together([lambda i=i, v=v: self.realizer.plug(i, [v]) for i, v in vifs.items()])
        return [one.subnets[0].addresses[0] for one in vifs.values()]

    def silent(self, addresses):
        """Ask all from the gateway, which comes for that and goes again.

        It learns everybody's MAC, the table of neighbours is the machine's, and what is fresh in it stays for half a
        minute: gateways that all stayed would fill it.
        """
        self.realizer.plug("gateway", [vif(0)])
        results = ping_all(self.realizer.namespace("gateway"), addresses, rounds=10)
        self.realizer.unplug("gateway")
        self.fabric.settle()
        return [address for address, result in results.items() if not result.received]

    def end(self):
        for instance in self.fabric.instances():
            self.realizer.unplug(instance)
        settled = self.fabric.settle()
        self.fabric.close()
        self.ledger.close()
        return settled


def populate(directory, hosts, count):
    """Boot, ping everybody and remove everything again."""
    fits = [one for one in capacities(hosts) if one.always and not one.allows(hosts * (count + 1))]
    if fits:
        pytest.skip(
            f"this machine has no room: {fits[0].name} is {fits[0].value} ({fits[0].cure(hosts * (count + 1))})"
        )
    chassis = [Chassis(directory, f"compute-{number}") for number in range(hosts)]
    try:
        addresses = [one.boot(count) for one in chassis]
        silent = {number: one.silent(addresses[number]) for number, one in enumerate(chassis)}
        assert {number: len(some) for number, some in silent.items() if some} == {}
    finally:
        settled = [one.end() for one in chassis]
    assert all(settled)


def test_a_hundred_on_each_of_two_hosts(tmp_path):
    populate(tmp_path, hosts=2, count=100)


@pytest.mark.slow
def test_a_thousand_on_one_host(tmp_path):
    populate(tmp_path, hosts=1, count=1000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_thousand_on_ten_hosts(tmp_path):
    populate(tmp_path, hosts=10, count=500)
