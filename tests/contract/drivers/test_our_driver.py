"""Our driver against what nova asks of every driver."""

import ast
import subprocess
import sys
import unittest
from pathlib import Path

from nova.virt.driver import ComputeDriver

from nova_fakes.fixtures import compliance
from nova_fakes.fixtures.compliance import HookTests, VirtDriverCompliance
from nova_fakes.virt.fake import FakeDriver
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor

SCRIPT = Path(__file__).parents[3] / "scripts" / "driver_gaps.py"


def called_by_the_suite():
    """Return the names of the methods of drivers that the suite's tests mention."""
    found = set()
    for path in Path(compliance.__file__).parent.glob("*.py"):
        if path.stem != "left_out":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return found


def test_every_method_of_a_driver_is_called_or_left_out_with_a_reason():
    public = {name for name in vars(ComputeDriver) if not name.startswith("_")}
    assert public - called_by_the_suite() == set(compliance.LEFT_OUT)


class OnAFleet:
    kind = FakeDriver

    def setUp(self):
        self.fleet = Fleet()
        for host in self.hosts:
            self.fleet.add(Hypervisor(host))
        super().setUp()

    def make_driver(self, virtapi, host):
        with self.fleet.activate():
            return self.kind(virtapi)


class OurDriverTest(OnAFleet, VirtDriverCompliance, unittest.TestCase):
    pass


class SoftDeletingDriver(FakeDriver):
    """Does what ours leaves to nova."""

    def soft_delete(self, instance):
        self.power_off(instance)

    def restore(self, instance):
        self.power_on(None, instance, None)

    def default_root_device_name(self, instance, image_meta, root_bdm):
        return "/dev/vda"


class WhatOursLeavesTest(OnAFleet, HookTests, unittest.TestCase):
    kind = SoftDeletingDriver


def test_the_page_tells_what_novas_own_fake_leaves_undone():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
