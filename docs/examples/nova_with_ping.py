"""A nova of two hosts, a server on each, and packets between them."""

import subprocess
import unittest

import fixtures
import openstack

from nova_fakes.fixtures import NovaFixture


class TestTwoHosts(fixtures.TestWithFixtures):
    def test_servers_on_two_hosts_reach_each_other(self):
        nova = self.useFixture(NovaFixture(hosts=2, realizer="bridge"))
        clouds = [str(nova.client.state.clouds)]
        config = openstack.config.OpenStackConfig(config_files=clouds, load_envvars=False).get_one("nova-fakes")
        with openstack.connection.Connection(config=config) as cloud:
            wanted = {"image_id": cloud.image.find_image("nova-fakes").id}
            wanted |= {"flavor_id": cloud.compute.find_flavor("m1.tiny").id}
            wanted |= {"networks": [{"uuid": cloud.network.find_network("private").id}]}
            for host in ("compute-1", "compute-2"):
                server = cloud.compute.create_server(name=host, host=host, **wanted)
                server = cloud.compute.wait_for_server(server)
            (address, *_) = (one["addr"] for one in server.addresses["private"] if one["version"] == 4)
        (first,) = (one for one in nova.client.instances() if one["host"] == "compute-1")
        command = ["nova-fakes", "exec", "--state", str(nova.client.state.root), first["uuid"]]
        subprocess.run([*command, "ping", "-c1", address], check=True)


if __name__ == "__main__":
    unittest.main()
