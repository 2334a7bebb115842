"""A broker on a socket for the length of a test: a `fixtures.Fixture`, and a fixture for pytest.

A test module takes the latter with ``pytest_plugins = ["nova_fakes.rabbit.fixture"]`` and the argument `rabbit`.
"""

from __future__ import annotations

import fixtures

from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.server import Server

__all__ = ["RabbitFixture"]


class RabbitFixture(fixtures.Fixture):  # type: ignore[misc]
    """Serves a broker on a free port of the loopback interface.

    :param broker: None: a new one
    """

    def __init__(self, broker: Broker | None = None) -> None:
        super().__init__()
        self.broker = broker or Broker()

    def _setUp(self) -> None:
        server = Server(self.broker)
        server.start()
        self.addCleanup(server.stop)
        #: Where it listens: amqp://127.0.0.1:PORT.
        self.url = server.urls[0]
        #: What oslo.messaging takes for `transport_url`.
        self.transport_url = f"rabbit://guest:guest@127.0.0.1:{server.port}/"


try:
    import pytest
except ImportError:  # whoever runs tests by other means needs none
    pass
else:
    from collections.abc import Iterator

    @pytest.fixture
    def rabbit() -> Iterator[RabbitFixture]:
        """Serve a broker during a test."""
        with RabbitFixture() as fixture:
            yield fixture
