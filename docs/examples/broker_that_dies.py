"""Calls of oslo.messaging over a broker that dies, and comes back."""

import unittest

import fixtures
import oslo_messaging
from oslo_config import cfg

from nova_fakes.fixtures import BrokerFixture


class Endpoint:
    def double(self, context, number):
        return 2 * number


class TestCalls(fixtures.TestWithFixtures):
    def test_calls_go_on_when_the_broker_is_back(self):
        broker = self.useFixture(BrokerFixture())
        cfg.CONF([], default_config_files=[])
        transport = oslo_messaging.get_rpc_transport(cfg.CONF, broker.transport_url)
        self.addCleanup(transport.cleanup)
        target = oslo_messaging.Target(topic="numbers", server="one")
        server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
        server.start()
        self.addCleanup(server.wait)
        self.addCleanup(server.stop)
        client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="numbers"), timeout=30)
        self.assertEqual(client.call({}, "double", number=1), 2)

        broker.broker.stop()
        broker.broker.start()
        # The server's queue is not durable: a call that is sent before the server is back goes nowhere, and times out.
        broker.broker.wait_for_consumers("numbers")
        self.assertEqual(client.call({}, "double", number=3), 6)


if __name__ == "__main__":
    unittest.main()
