"""A broker by a clock that stands still, and clients of it in memory."""

from collections.abc import Callable

import pytest
from rabbit_kit import Client

from nova_fakes.clock import ManualClock
from nova_fakes.rabbit import Broker


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(clock: ManualClock) -> Broker:
    return Broker(clock=clock, seed=1)


@pytest.fixture
def connect(broker: Broker) -> Callable[..., Client]:
    return lambda **options: Client(broker, **options)


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    return connect()
