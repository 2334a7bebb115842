"""What the benchmarks of the driver share: ours and nova's own fake, set up alike, and what nova would hand to them.

nova has to be patched before anything of it is imported: a benchmark imports this module first.
"""

import contextlib
import gc
import logging
import os
import tempfile
import time
from types import SimpleNamespace
from uuid import UUID

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import nova.conf  # noqa: E402
from nova import objects  # noqa: E402
from nova.network import model as network_model  # noqa: E402
from nova.virt import fake as nova_fake  # noqa: E402

from nova_fakes.virt.fake import FakeDriver  # noqa: E402

OURS, OTHER = FakeDriver, nova_fake.FakeDriver
OTHER_IS = "nova.virt.fake.FakeDriver"
HOST = "bench"
FLAVOR = SimpleNamespace(vcpus=1, memory_mb=512, root_gb=1, ephemeral_gb=0, swap=0)


class VirtAPI:
    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, timeout=300, error_callback=None):
        yield


class Sink(logging.Handler):
    def emit(self, record):
        self.format(record)


@contextlib.contextmanager
def configured():
    """Give nova a configuration, and a log whose messages are formatted as in a service and written nowhere."""
    logging.getLogger().addHandler(Sink())
    logging.getLogger().setLevel(logging.WARNING)
    objects.register_all()
    conf = nova.conf.CONF
    conf([], default_config_files=[])
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as directory:
        conf.set_override("host", HOST)
        conf.set_override("state_path", directory)
        yield


def make(cls, host=HOST):
    driver = cls(VirtAPI())
    driver.init_host(host)
    return driver


def instance(number):
    uuid = str(UUID(int=number + 1))
    return SimpleNamespace(uuid=uuid, name=f"instance-{number:08x}", flavor=FLAVOR, image_ref="image")


def vif(number):
    return network_model.VIF(
        id=str(UUID(int=(1 << 64) + number)),
        address=f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        network=network_model.Network(id=str(UUID(int=7)), bridge="br-int", subnets=[], mtu=1500),
        type="ovs",
        devname=f"tap{number:08x}",
        active=True,
    )


def spawn(driver, one, network_info=()):
    driver.spawn(None, one, None, None, None, None, network_info=network_info)


def destroy(driver, one):
    driver.destroy(None, one, None)


@contextlib.contextmanager
def uncollected():
    """Collect garbage now and not meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cpu_us(call, arguments):
    """Return the least CPU per call of three runs over disjoint thirds, microseconds."""
    with uncollected():
        third = max(1, len(arguments) // 3)
        best = float("inf")
        for start in range(0, third * 3, third):
            part = arguments[start : start + third]
            before = time.process_time_ns()
            for argument in part:
                call(argument)
            best = min(best, (time.process_time_ns() - before) / len(part) / 1_000)
        return best


def cpu_s(call, times=1):
    """Return the CPU of a call, seconds."""
    with uncollected():
        before = time.process_time_ns()
        for _ in range(times):
            call()
        return (time.process_time_ns() - before) / times / 1_000_000_000


def figure(name, unit, ours, other=None, other_is=OTHER_IS):
    return {
        "name": name,
        "unit": unit,
        "ours": _rounded(ours),
        "other": None if other is None else _rounded(other),
        "other_is": None if other is None else other_is,
        "ratio": None if not other else _rounded(ours / other),
    }


def _rounded(value):
    """Round to four digits, wherever the point is."""
    return float(f"{value:.4g}")
