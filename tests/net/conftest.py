"""Where the tests of namespaces run: as root here; for an ordinary user in a user namespace, all in one process."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest
from in_user_namespace import inside, outcomes

from nova_fakes.virt.vif import ovs_service
from nova_fakes.virt.vif.base import VIF
from nova_fakes.virt.vif.bridge import BridgeRealizer
from nova_fakes.virt.vif.capabilities import can_realize_bridges, probe
from nova_fakes.virt.vif.fabric import Fabric
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.ping import ping

HERE = Path(__file__).parent
OUTCOMES = pytest.StashKey[dict[str, tuple[str, str]]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """As root go on; as an ordinary user run every test of this directory in a user namespace, once, and skip setup."""
    if HERE not in item.path.parents:
        return
    if not can_realize_bridges(_findings(item.config)):
        reasons = "; ".join(f"{f.name}: {f.value} ({f.cure})" for f in _findings(item.config) if f.status == "missing")
        pytest.skip(f"this machine allows no namespaces: {reasons}")
    if os.geteuid() != 0:
        item.fixturenames.clear()  # what they make is made inside


def pytest_pyfunc_call(pyfuncitem):
    if HERE not in pyfuncitem.path.parents or os.geteuid() == 0:
        return None
    stash = pyfuncitem.config.stash
    if OUTCOMES not in stash:
        report = Path(pyfuncitem.config._tmp_path_factory.mktemp("inside")) / "report.xml"
        nodes = [i.nodeid for i in pyfuncitem.session.items if HERE in i.path.parents]
        done = inside(nodes, report)
        if not report.exists():
            pytest.fail(f"the run in a user namespace did not start:\n{done.stdout}\n{done.stderr}", pytrace=False)
        stash[OUTCOMES] = outcomes(report)
    kind, text = stash[OUTCOMES].get(pyfuncitem.name, ("error", "it did not run in the user namespace"))
    if kind == "skipped":
        pytest.skip(text)
    if kind != "passed":
        pytest.fail(f"in the user namespace:\n{text}", pytrace=False)
    return True


@pytest.fixture
def place():
    """A directory for an Open vSwitch of our own. Its path is short, because the switch's sockets lie in it."""
    lack = ovs_service.missing()
    if lack is not None:
        pytest.skip(f"no Open vSwitch here: {lack[0]} ({lack[1]})")
    path = Path(tempfile.mkdtemp(prefix="nova-fakes-ovs-"))
    yield path
    shutil.rmtree(path)


_FOUND = pytest.StashKey[list]()


def _findings(config):
    if _FOUND not in config.stash:
        config.stash[_FOUND] = probe()
    return config.stash[_FOUND]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        yield ledger


@pytest.fixture
def fabric(tmp_path, ledger):
    with Fabric(ledger, directory=tmp_path / "netns", namespace="fabric") as fabric:
        yield fabric
    assert ledger.entries() == ()
    assert list((tmp_path / "netns").iterdir()) == []


@pytest.fixture
def hosts(fabric):
    return [BridgeRealizer(f"compute-{number}", fabric) for number in range(3)]


@pytest.fixture
def make_vif():
    """Make VIF number n of a network, with 10.<network>.0.<n> and fd00:<network>::<n>."""

    def make(number, network=0, *, gateway=True, mtu=1450, **changes):
        subnets = [
            {
                "cidr": f"10.{network}.0.0/24",
                "gateway": {"address": f"10.{network}.0.1"} if gateway else None,
                "ips": [{"address": f"10.{network}.0.{number}"}],
            },
            {
                "cidr": f"fd00:{network}::/64",
                "gateway": {"address": f"fd00:{network}::1"} if gateway else None,
                "ips": [{"address": f"fd00:{network}::{number:x}"}],
            },
        ]
        port = str(uuid.uuid4())
        info = {
            "id": port,
            "address": f"fa:16:3e:00:{network:02x}:{number:02x}",
            "devname": f"tap{port[:11]}",
            "type": "bridge",
            "network": {"id": f"network-{network}", "meta": {"mtu": mtu}, "subnets": subnets},
        }
        return VIF.from_network_info({**info, **changes})

    return make


@pytest.fixture
def answers():
    """Tell whether an address answers from a namespace; `tries` echoes, one second each."""

    def answers(path, address, tries=5):
        return any(ping(path, address, timeout_s=1.0).received for _ in range(tries))

    return answers


@pytest.fixture
def uuids():
    return [str(uuid.uuid4()) for _ in range(6)]
