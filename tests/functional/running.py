"""What tests do with a running sandbox: wait for a condition, connect by its clouds.yaml."""

import time
from collections.abc import Callable
from typing import Any

import openstack
import pytest

from nova_fakes.sandbox.client import Client

# Nothing waits for so long on a quiet machine; one that has much else to do takes ten times as long.
WAIT_S = 300.0


def wait_for(what: str, condition: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """Return what the condition returns as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.05)
    return found


def connect(client: Client, cloud: str = "nova-fakes") -> openstack.connection.Connection:
    """Return a connection to a sandbox by the clouds.yaml that it wrote."""
    config = openstack.config.OpenStackConfig(config_files=[str(client.state.clouds)], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(cloud=cloud))
