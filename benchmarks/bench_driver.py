"""CPU per driver call at 1,000, 10,000 and 100,000 guests, beside nova's own fake driver with the same stand-ins.

Prints a JSON list of objects with name, unit, ours, other, other_is and ratio (ours / other).
"""

import contextlib
import gc
import json
import logging
import os
import sys
import tempfile
import time
from types import SimpleNamespace
from uuid import UUID

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import nova.conf  # noqa: E402
from nova import objects  # noqa: E402
from nova.virt import fake as nova_fake  # noqa: E402

from nova_fakes.virt.fake import FakeDriver  # noqa: E402

SIZES = (1_000, 10_000, 100_000)
CALLS = 1_000
OTHER = "nova.virt.fake.FakeDriver"
FLAVOR = SimpleNamespace(vcpus=1, memory_mb=512, root_gb=1, ephemeral_gb=0, swap=0)


class VirtAPI:
    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, timeout=300, error_callback=None):
        yield


class Sink(logging.Handler):
    def emit(self, record):
        self.format(record)


def instance(number):
    uuid = str(UUID(int=number + 1))
    return SimpleNamespace(uuid=uuid, name=f"instance-{number:08x}", flavor=FLAVOR, image_ref="image")


def vif(number):
    return {
        "id": str(UUID(int=(1 << 64) + number)),
        "address": f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}",
        "devname": f"tap{number:08x}",
        "active": True,
        "type": "ovs",
        "vnic_type": "normal",
        "network": {"id": str(UUID(int=7)), "bridge": "br-int", "meta": {"mtu": 1500}, "subnets": []},
    }


def spawn(driver, one, network_info=()):
    driver.spawn(None, one, None, None, None, None, network_info=network_info)


def destroy(driver, one):
    driver.destroy(None, one, None)


def cpu_us(call, arguments):
    """Return the least CPU per call of three runs over disjoint thirds, microseconds."""
    gc.collect()
    gc.disable()
    try:
        third = max(1, len(arguments) // 3)
        best = float("inf")
        for start in range(0, third * 3, third):
            part = arguments[start : start + third]
            before = time.process_time_ns()
            for argument in part:
                call(argument)
            best = min(best, (time.process_time_ns() - before) / len(part) / 1_000)
        return best
    finally:
        gc.enable()


def measure(driver, size):
    residents = [instance(number) for number in range(size)]
    for one in residents:
        spawn(driver, one)
    fresh = [instance(size + number) for number in range(CALLS)]
    sample = residents[:: max(1, size // CALLS)][:CALLS]
    return {
        "spawn": cpu_us(lambda one: spawn(driver, one), fresh),
        "get_info": cpu_us(driver.get_info, sample),
        "instance_exists": cpu_us(driver.instance_exists, sample if size <= 10_000 else sample[:99]),
        "get_diagnostics": cpu_us(driver.get_diagnostics, sample),
        "get_instance_diagnostics": cpu_us(driver.get_instance_diagnostics, sample),
        "pause": cpu_us(driver.pause, sample),
        "unpause": cpu_us(driver.unpause, sample),
        "power_off": cpu_us(driver.power_off, sample),
        "power_on": cpu_us(lambda one: driver.power_on(None, one, None), sample),
        "get_num_instances": cpu_us(lambda one: driver.get_num_instances(), sample[:99]),
        "get_available_resource": cpu_us(lambda one: driver.get_available_resource(node(driver)), sample[:99]),
        "destroy": cpu_us(lambda one: destroy(driver, one), fresh),
        "destroy of a missing one": cpu_us(lambda one: destroy(driver, one), fresh[:9]),
    }


def node(driver):
    return driver.get_available_nodes()[0]


def main():
    # Messages are formatted as in a service, and written nowhere.
    logging.getLogger().addHandler(Sink())
    logging.getLogger().setLevel(logging.WARNING)
    objects.register_all()
    conf = nova.conf.CONF
    conf([], default_config_files=[])
    with tempfile.TemporaryDirectory(prefix="bench-driver") as directory:
        conf.set_override("host", "bench")
        conf.set_override("state_path", directory)
        rows = []
        for size in SIZES:
            figures = {}
            for name, cls in (("ours", FakeDriver), ("other", nova_fake.FakeDriver)):
                driver = cls(VirtAPI())
                driver.init_host("bench")
                figures[name] = measure(driver, size)
                if name == "ours":
                    with_vif = [instance(size + number) for number in range(CALLS)]
                    pairs = [(one, [vif(number)]) for number, one in enumerate(with_vif)]
                    one_vif = cpu_us(lambda pair, to=driver: spawn(to, *pair), pairs)
                del driver
            for call, ours in figures["ours"].items():
                rows.append(row(f"{call} at {size:,} guests", ours, figures["other"][call]))
            rows.append(row(f"spawn with one VIF at {size:,} guests", one_vif, None))
    json.dump(rows, sys.stdout, indent=1)
    print()


def row(name, ours, other):
    return {
        "name": name,
        "unit": "us of CPU per call",
        "ours": round(ours, 2),
        "other": None if other is None else round(other, 2),
        "other_is": None if other is None else OTHER,
        "ratio": None if not other else round(ours / other, 3),
    }


if __name__ == "__main__":
    main()
