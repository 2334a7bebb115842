"""A driver on a fleet of two hosts, with stand-ins for nova's objects and a realizer that remembers."""

import contextlib
from types import SimpleNamespace
from uuid import UUID

import nova.conf
import pytest
from nova import exception, objects
from oslo_config import cfg

from nova_fakes.clock import ManualClock
from nova_fakes.virt.fake import FakeDriver
from nova_fakes.virt.fleet import Fleet
from nova_fakes.virt.hypervisor import Hypervisor
from nova_fakes.virt.vif.base import InterfaceCounters

CONF = nova.conf.CONF


class RecordingVirtAPI:
    """Remembers what was waited for; `outcome` decides how waiting ends."""

    def __init__(self):
        self.waited = []
        self.outcome = None

    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, timeout=300, error_callback=None):
        self.waited.append((list(event_names), timeout))
        yield
        if self.outcome == "timeout":
            raise exception.InstanceEventTimeout()
        if self.outcome == "failed":
            error_callback("network-vif-plugged", instance)


class RecordingRealizer:
    name = "recording"

    def __init__(self):
        self.calls = []
        self.wired = {}
        self.links = {}
        self.fail = {}

    def _note(self, call, *details):
        self.calls.append((call, *details))
        if call in self.fail:
            raise self.fail.pop(call)

    def plug(self, instance, vifs, *, up=True):
        self._note("plug", instance, up)
        self.wired.setdefault(instance, {}).update({vif.id: vif for vif in vifs})
        self.links[instance] = up

    def unplug(self, instance, vifs=None):
        self._note("unplug", instance)
        if vifs is None:
            self.wired.pop(instance, None)
            self.links.pop(instance, None)
        else:
            for vif in vifs:
                self.wired.get(instance, {}).pop(vif.id, None)

    def set_link(self, instance, up):
        self._note("set_link", instance, up)
        self.links[instance] = up

    def counters(self, instance):
        return {vif_id: InterfaceCounters(1, 2, 3, 4, 5, 6, 7, 8) for vif_id in self.wired.get(instance, {})}

    def prepare_migration(self, instance, vifs):
        self._note("prepare_migration", instance)

    def migrate(self, instance, vifs, source):
        self._note("migrate", instance)
        self.wired[instance] = {vif.id: vif for vif in vifs}
        self.links[instance] = source.links.pop(instance)
        source.wired.pop(instance)

    def abort_migration(self, instance, vifs):
        self._note("abort_migration", instance)

    def namespace(self, instance):
        return None

    def close(self):
        self._note("close")


def make_flavor(vcpus=1, memory_mb=512, root_gb=1, ephemeral_gb=0, swap=0, name="m1.tiny"):
    return SimpleNamespace(
        vcpus=vcpus, memory_mb=memory_mb, root_gb=root_gb, ephemeral_gb=ephemeral_gb, swap=swap, name=name
    )


def make_instance(number=1, flavor=None):
    return SimpleNamespace(
        uuid=str(UUID(int=number)),
        name=f"instance-{number:08x}",
        display_name=f"server-{number}",
        flavor=flavor or make_flavor(),
        image_ref="11111111-0000-0000-0000-000000000000",
        image_meta=objects.ImageMeta.from_dict({"container_format": "bare"}),
        kernel_id="",
        ramdisk_id="",
        project_id="project",
        os_type="linux",
        hostname=f"host-{number}",
        key_name="key",
        config_drive="",
        power_state=1,
        progress=0,
        save=lambda: None,
    )


def make_vif(number=1, active=False):
    return {
        "id": str(UUID(int=(1 << 100) + number)),
        "address": f"fa:16:3e:00:00:{number:02x}",
        "devname": f"tap{number:011x}",
        "type": "ovs",
        "vnic_type": "normal",
        "active": active,
        "details": {},
        "network": {
            "id": str(UUID(int=7)),
            "bridge": "br-int",
            "meta": {"mtu": 1450},
            "subnets": [{"cidr": "10.0.0.0/24", "gateway": {"address": "10.0.0.1"}, "ips": [{"address": "10.0.0.9"}]}],
        },
    }


def make_volume(device="/dev/vdb", volume_id="v1"):
    return {"mount_device": device, "connection_info": {"serial": volume_id, "data": {"volume_id": volume_id}}}


def block_devices(*volumes):
    return {"root_device_name": "/dev/vda", "block_device_mapping": list(volumes)}


@contextlib.contextmanager
def configured(directory):
    if not CONF._args:
        # Another test of this process may have had nova register what only a cloud with cinder has to say.
        with contextlib.suppress(cfg.RequiredOptError):
            CONF([], default_config_files=[])
    objects.register_all()
    CONF.set_override("state_path", str(directory))
    CONF.set_override("host", "a")
    try:
        yield
    finally:
        CONF.reset()
        CONF.clear_override("state_path")
        CONF.clear_override("host")


@pytest.fixture(autouse=True)
def nova_conf(tmp_path):
    with configured(tmp_path):
        yield


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def fleet(clock):
    fleet = Fleet(clock)
    for name in ("a", "b"):
        fleet.add(Hypervisor(name, realizer=RecordingRealizer()))
    return fleet


@pytest.fixture
def virtapi():
    return RecordingVirtAPI()


@pytest.fixture
def driver(fleet, virtapi):
    return drive(fleet, "a", virtapi)


@pytest.fixture
def other(fleet, virtapi):
    return drive(fleet, "b", virtapi)


def drive(fleet, host, virtapi):
    with fleet.activate():
        driver = FakeDriver(virtapi)
    driver.init_host(host)
    return driver


def spawn(driver, instance, vifs=(), volumes=(), power_on=True):
    driver.spawn(
        None,
        instance,
        None,
        None,
        None,
        None,
        network_info=list(vifs),
        block_device_info=block_devices(*volumes),
        power_on=power_on,
    )
