"""Our driver against what nova asks of every driver."""

import subprocess
import sys
import unittest
from pathlib import Path

from nova_fakes.fixtures.compliance import VirtDriverCompliance
from nova_fakes.virt.fake import FakeDriver
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor

SCRIPT = Path(__file__).parents[3] / "scripts" / "driver_gaps.py"


class OurDriverTest(VirtDriverCompliance, unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet()
        for host in self.hosts:
            self.fleet.add(Hypervisor(host))
        super().setUp()

    def make_driver(self, virtapi, host):
        with self.fleet.activate():
            return FakeDriver(virtapi)


def test_the_page_tells_what_novas_own_fake_leaves_undone():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
