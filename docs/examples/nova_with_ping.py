"""A nova of two hosts, a server on each, and packets between them."""

import unittest

import fixtures

from nova_fakes.fixtures import NovaFixture


class TestTwoHosts(fixtures.TestWithFixtures):
    def test_servers_on_two_hosts_reach_each_other(self):
        nova = self.useFixture(NovaFixture(hosts=2, realizer="bridge"))
        cloud = nova.connect()
        wanted = {"image_id": cloud.image.find_image("nova-fakes").id}
        wanted |= {"flavor_id": cloud.compute.find_flavor("m1.tiny").id}
        wanted |= {"networks": [{"uuid": cloud.network.find_network("private").id}]}
        hosts = ("compute-1", "compute-2")
        servers = [cloud.compute.create_server(name=host, host=host, **wanted) for host in hosts]
        first, second = (cloud.compute.wait_for_server(server, wait=300) for server in servers)
        for port in second.addresses["private"]:
            nova.run(first.id, "ping", "-c1", port["addr"])


if __name__ == "__main__":
    unittest.main()
