"""The realizers in a process whose standard library eventlet has patched, as a stock nova-compute's may be."""

import json
import sys

import pytest

from nova_fakes.virt.vif import namespaces
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ovs_service import OpenVSwitch
from nova_fakes.virt.vif.switch import Switch

pytestmark = pytest.mark.privileged

PROGRAM = """
import eventlet
eventlet.monkey_patch()
import json, sys, uuid
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.ovs import OVSRealizer
state, socket = sys.argv[1:]
network = {"id": "n", "bridge": "br-int", "subnets": [{"cidr": "10.0.0.0/16", "ips": [{"address": "10.0.0.1"}]}]}
vif = VIF.from_network_info({"id": str(uuid.UUID(int=1)), "address": "fa:16:3e:00:00:01", "devname": "tap1",
                             "type": "ovs", "network": network})
kind, options = (OVSRealizer, {"socket": socket}) if socket else (BridgeRealizer, {})
realizer = kind("h", state_directory=state, **options)
realizer.plug("eventlet-test", [vif])
counted = len(realizer.counters("eventlet-test"))
realizer.unplug("eventlet-test")
realizer.close()
print(json.dumps(counted))
"""
DEADLINE_S = 60


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    namespaces.in_thread(lambda: namespaces.make(path))
    yield str(path)
    namespaces.remove(path)


def counted(home, tmp_path, socket=""):
    """Plug and unplug in such a process; returns how many interfaces were counted in between."""
    argv = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "state"), str(socket)]
    done = namespaces.run_in(home, argv, timeout_s=DEADLINE_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_bridge(home, tmp_path):
    assert counted(home, tmp_path) == 1


def test_ovs(home, place, tmp_path):
    service = OpenVSwitch(Ledger(), place / "ovs", home)
    service.start()
    try:
        switch = Switch(service.socket)
        switch.make_bridges([("br-int", {})], [], "netdev")
        assert counted(home, tmp_path, service.socket) == 1
        assert set(switch.ports()) == {"br-int"}
    finally:
        service.stop()
