"""A service of one's own, tested with fakes of the identity and the compute service."""

import unittest

import fixtures
import openstack

from nova_fakes.fixtures import ComputeFixture


def open_hosts(cloud):
    """Return the hosts that take servers: the service under test."""
    return sorted(one.host for one in cloud.compute.services(binary="nova-compute") if one.status == "enabled")


class TestOpenHosts(fixtures.TestWithFixtures):
    def test_a_host_that_is_disabled_takes_no_servers(self):
        fakes = self.useFixture(ComputeFixture(listen=True))
        said = {name.removeprefix("OS_").lower(): value for name, value in fakes.environment.items()}
        with openstack.connect(load_envvars=False, load_yaml_config=False, **said) as cloud:
            first, second = open_hosts(cloud)
            service = next(one for one in cloud.compute.services() if one.host == first)
            cloud.compute.disable_service(service)
            self.assertEqual(open_hosts(cloud), [second])


if __name__ == "__main__":
    unittest.main()
