"""What nova's metadata service learns of tagged devices."""

from types import SimpleNamespace

import pytest
from driver_kit import block_devices, make_vif, make_volume
from nova import objects

from nova_fakes.virt.driver.device_metadata import device_metadata
from nova_fakes.virt.nic import Nic


class Known:
    """What nova's database has of one instance."""

    def __init__(self):
        self.vifs, self.bdms, self.shares = [], [], []


@pytest.fixture
def known(monkeypatch):
    known = Known()
    for cls, name in (
        ("VirtualInterfaceList", "vifs"),
        ("BlockDeviceMappingList", "bdms"),
        ("ShareMappingList", "shares"),
    ):
        answer = lambda context, uuid, name=name: getattr(known, name)  # noqa: E731
        monkeypatch.setattr(getattr(objects, cls), "get_by_instance_uuid", answer)
    return known


def tagged_vif(nic, tag):
    return objects.VirtualInterface(uuid=nic.id, address=nic.address, tag=tag)


def tagged_disk(device, tag, bus="virtio", volume_id=None):
    return SimpleNamespace(device_name=f"/dev/{device}", tag=tag, disk_bus=bus, volume_id=volume_id)


def instance():
    return objects.Instance(uuid="00000000-0000-0000-0000-000000000001")


def read(nics=(), disks=(), **more):
    return device_metadata(None, instance(), nics, disks, **more)


def test_devices_without_tags_are_not_told_of(known):
    nic = Nic(make_vif(1))
    known.vifs = [tagged_vif(nic, None)]
    known.bdms = [tagged_disk("vda", None)]
    assert read([nic], ["vda"]) is None


def test_interfaces_are_told_by_tag_and_place(known):
    nics = [Nic(make_vif(number)) for number in (1, 2)]
    known.vifs = [tagged_vif(nics[1], "management")]
    (device,) = read(nics).devices
    assert (device.mac, device.tags, device.bus.address) == ("fa:16:3e:00:00:02", ["management"], "0000:00:04.0")
    assert device.vf_trusted is False


def test_a_vlan_is_told_of_interfaces_that_are_devices(known):
    direct = Nic(
        make_vif(1)
        | {
            "vnic_type": "direct",
            "profile": {"pci_slot": "0000:81:00.1", "trusted": "true"},
            "details": {"vlan": "101"},
        }
    )
    (device,) = read([direct, Nic(make_vif(2) | {"details": {"vlan": "7"}})]).devices
    assert (device.vlan, device.vf_trusted) == (101, True)


@pytest.mark.parametrize(
    ("device", "bus", "cls", "address"),
    [
        ("vda", "virtio", "PCIDeviceBus", "0000:00:10.0"),
        ("vdb", None, "PCIDeviceBus", "0000:00:11.0"),
        ("vdaa", "virtio", "PCIDeviceBus", "0000:01:0a.0"),
        ("sdb", "scsi", "SCSIDeviceBus", "0:0:0:1"),
        ("hdc", "ide", "IDEDeviceBus", "1:0"),
        ("sda", "usb", "USBDeviceBus", "0:1"),
    ],
)
def test_disks_are_told_by_their_bus(known, device, bus, cls, address):
    known.bdms = [tagged_disk(device, "database", bus, "v1"), tagged_disk("vdz", "elsewhere")]
    (found,) = read(disks=[device]).devices
    assert (found.tags, found.serial) == (["database"], "v1")
    assert isinstance(found.bus, getattr(objects, cls))
    assert found.bus.address == address


def test_shares_are_told_where_some_are_mounted(known):
    known.shares = [SimpleNamespace(share_id="s1", tag="home")]
    assert read() is None
    (found,) = read(has_shares=True).devices
    assert (found.share_id, found.tag) == ("s1", "home")


def test_boot_and_attachments_tell_nova(driver, known, monkeypatch):
    saved = []
    monkeypatch.setattr(objects.Instance, "save", lambda self, *a, **k: saved.append(len(self.device_metadata.devices)))
    booted = instance()
    booted.flavor = objects.Flavor(
        name="small", vcpus=1, memory_mb=512, root_gb=1, ephemeral_gb=0, swap=0, extra_specs={}
    )
    booted.image_ref, booted.id, booted.vm_state, booted.metadata = "", 1, "building", {}
    for name in ("display_name", "project_id", "hostname", "key_name", "config_drive", "os_type"):
        setattr(booted, name, None)
    booted.system_metadata = {}
    vif, volume = make_vif(1), make_volume("/dev/vda", "v1")
    known.vifs = [tagged_vif(Nic(vif), "first")]
    known.bdms = [tagged_disk("vda", "root", volume_id="v1"), tagged_disk("vdb", "data", volume_id="v2")]
    driver.spawn(None, booted, None, None, None, None, [vif], block_devices(volume))
    assert [device.tags for device in booted.device_metadata.devices] == [["first"], ["root"]]
    driver.attach_volume(None, {"serial": "v2"}, booted, "/dev/vdb")
    second = make_vif(2)
    known.vifs.append(tagged_vif(Nic(second), "second"))
    driver.attach_interface(None, booted, None, second)
    assert [device.tags[0] for device in booted.device_metadata.devices] == ["first", "second", "root", "data"]
    assert saved == [3, 4]
