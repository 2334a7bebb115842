"""A store of two pools on a clock that stands still."""

import pytest

from nova_fakes.clock import ManualClock
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def store(clock):
    pools = [Pool(name="fast", total_bytes=10 * GIB, max_over_subscription_ratio=2.0), Pool(name="slow")]
    return VolumeStore(pools, clock=clock)
