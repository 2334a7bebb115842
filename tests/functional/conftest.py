"""Sandboxes that tests share: a start costs seconds, so there is one for all that leave it as they found it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import openstack
import pytest
from running import connect

from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.client import Client
from nova_fakes.sandbox.launcher import SandboxSpec
from nova_fakes.virt.vif import capabilities


@pytest.fixture(scope="session")
def realizer() -> str:
    """The realizer with real interfaces where this machine allows it."""
    return "bridge" if capabilities.can_realize_bridges(capabilities.probe()) else "null"


@pytest.fixture
def needs_packets(realizer: str) -> None:
    if realizer == "null":
        pytest.skip("this machine allows no network namespaces (see `nova-fakes doctor`)")


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty directory with a short path; whatever runs on it is stopped afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="nova-fakes-test-"))
    yield directory
    try:
        Client(directory).down()
    except Exception:
        launcher.cleanup(directory)
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def sandbox(realizer: str) -> Iterator[Client]:
    """A running sandbox of two hosts."""
    directory = Path(tempfile.mkdtemp(prefix="nova-fakes-test-"))
    client = launcher.up(SandboxSpec(state=directory, realizer=realizer))
    yield client
    client.down()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def cloud(sandbox: Client) -> openstack.connection.Connection:
    """An administrator's connection to the shared sandbox."""
    return connect(sandbox)
