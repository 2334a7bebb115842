"""A realizer that another package brings: what docs/user/networking.md says of it is what is done here."""

import sys

import pytest

from nova_fakes.agent.hosts import Hosts
from nova_fakes.exceptions import InvalidInput, RealizerError, UnknownRealizer
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.base import Realizer
from nova_fakes.virt.vif.ledger import Ledger

MODULE = '''
from nova_fakes.virt.vif.null import NullRealizer


class LoudRealizer(NullRealizer):
    """Says what it is asked for."""

    name = "loud"

    def __init__(self, host="localhost", fabric=None, *, voice="plain"):
        super().__init__(host, fabric)
        self.said = []
        self.voice = voice

    @staticmethod
    def make_fabric(ledger, directory, namespace, voice="plain"):
        return Shared(voice)

    def plug(self, instance, vifs, *, up=True):
        self.said.append(("plug", instance))
        super().plug(instance, vifs, up=up)


class Shared:
    def __init__(self, voice):
        self.voice, self.closed = voice, None

    def together(self, calls):
        return [call() for call in calls]

    def close(self, *, keep=False):
        self.closed = keep
'''
ENTRY_POINTS = """[nova_fakes.vif_realizers]
loud = {module}:LoudRealizer
broken = {module}:Missing
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with an entry point, as pip would leave it."""
    module = "loud_realizer_for_tests"
    (tmp_path / f"{module}.py").write_text(MODULE)
    information = tmp_path / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS.format(module=module))
    monkeypatch.syspath_prepend(tmp_path)
    yield module
    sys.modules.pop(module, None)


@pytest.mark.usefixtures("package")
def test_it_is_found_by_its_name():
    assert {"loud", "bridge", "null"} <= set(registry.names())
    realizer = registry.load("loud", host="h1", voice="high")
    assert isinstance(realizer, Realizer)
    assert (realizer.host, realizer.voice) == ("h1", "high")


@pytest.mark.usefixtures("package")
def test_the_model_asks_it():
    realizer = registry.load("loud", host="h1")
    host = Hypervisor("h1", realizer=realizer)
    assert host._active_realizer is realizer, "only null is passed by"


@pytest.mark.usefixtures("package")
def test_an_option_that_it_does_not_take_is_refused_with_those_that_it_takes():
    with pytest.raises(InvalidInput, match="it takes voice"):
        registry.load("loud", host="h1", colour="red")


@pytest.mark.usefixtures("package")
def test_one_that_cannot_be_imported_names_its_package():
    with pytest.raises(RealizerError, match=r"broken.*loud_realizer_for_tests:Missing.*reinstall"):
        registry.load("broken")


@pytest.mark.usefixtures("package")
def test_an_agents_hosts_share_what_it_makes():
    hosts = Hosts("loud", Ledger(), options={"voice": "low"})
    one, two = hosts.realizer("h1"), hosts.realizer("h2")
    assert (one.fabric, one.fabric.voice, one.voice) == (two.fabric, "low", "low")
    hosts.close()
    assert one.fabric.closed is True, "the interfaces stay when the agent ends"


def test_without_its_package_it_is_unknown():
    with pytest.raises(UnknownRealizer, match="null"):
        registry.load("loud")
