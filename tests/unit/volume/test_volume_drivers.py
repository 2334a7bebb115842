"""The drivers of 2011: commands that are logged whole, do something, and print what callers parse."""

import pytest

from nova_fakes.exceptions import NotFound
from nova_fakes.volume.commands import CommandFailed
from nova_fakes.volume.drivers import FakeAOEDriver, FakeISCSIDriver, LoggingVolumeDriver

VOLUME = {"id": 1, "name": "volume-00000001", "size": 2}
SNAPSHOT = {"id": 1, "name": "snapshot-1", "volume_name": VOLUME["name"], "volume_size": 2}


@pytest.fixture(params=[FakeAOEDriver, FakeISCSIDriver])
def driver(request):
    driver = request.param()
    driver.check_for_setup_error()
    driver.create_volume(VOLUME)
    return driver


def test_commands_are_logged_whole(driver):
    assert driver.log == [
        "sudo vgs --noheadings -o name",
        "sudo lvcreate -L 2G -n volume-00000001 nova-volumes",
    ]


def test_export_is_made_found_and_taken_away(driver):
    with pytest.raises(NotFound):
        driver.check_for_export(None, 1)
    driver.ensure_export(None, VOLUME)
    if isinstance(driver, FakeAOEDriver):
        driver.create_export(None, VOLUME)
    driver.check_for_export(None, 1)
    paths = {
        FakeAOEDriver: "/dev/etherd/e0.0",
        FakeISCSIDriver: "/dev/disk/by-path/ip-127.0.0.1:3260-iscsi-iqn.2010-10.org.openstack:volume-00000001-lun-0",
    }
    assert driver.discover_volume(None, VOLUME) == paths[type(driver)]
    driver.undiscover_volume(VOLUME)
    driver.remove_export(None, VOLUME)
    with pytest.raises(NotFound):
        driver.check_for_export(None, 1)
    driver.delete_volume(VOLUME)
    assert not driver.store.volumes


def test_copy_of_a_snapshot_has_its_bytes(driver):
    (volume,) = driver.store.volumes.values()
    volume.disk.write(1 << 30, b"far in")
    driver.create_snapshot(SNAPSHOT)
    volume.disk.write(1 << 30, b"later!")
    driver.create_volume_from_snapshot({"id": 2, "name": "copy", "size": 3}, SNAPSHOT)
    copy = next(one for one in driver.store.volumes.values() if one.name == "copy")
    assert copy.disk.read(1 << 30, 6) == b"far in"
    with pytest.raises(CommandFailed, match="snapshots"):
        driver.delete_volume(VOLUME)
    driver.delete_snapshot(SNAPSHOT)
    driver.delete_snapshot(SNAPSHOT)
    driver.delete_volume(VOLUME)
    driver.delete_volume(VOLUME)
    assert [one.name for one in driver.store.volumes.values()] == ["copy"]


def test_output_is_what_callers_parse():
    driver = FakeAOEDriver()
    for number in (1, 2):
        driver.create_volume({"id": number, "name": f"v{number}", "size": 1})
        driver.create_export(None, {"id": number, "name": f"v{number}", "size": 1})
    out, err = driver.fake_execute("sudo vblade-persist ls --no-header")
    assert [line.split(" ") for line in out.splitlines()] == [
        ["0", "0", "eth0", "/dev/nova-volumes/v1", "auto", "run"],
        ["0", "1", "eth0", "/dev/nova-volumes/v2", "auto", "run"],
    ]
    assert err == ""
    out, _err = driver.fake_execute("sudo", "lvs")
    assert out.split() == ["nova-volumes", "v1", "1.00g", "nova-volumes", "v2", "1.00g"]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("rm -rf /", 127, "command not found"),
        ("", 127, "command not found"),
        ("sudo lvremove -f nova-volumes/none", 5, "Failed to find"),
        ("sudo lvcreate -L 1G -n volume-00000001 nova-volumes", 5, "already"),
        ("sudo lvcreate -n x nova-volumes", 3, "arguments"),
        ("sudo lvcreate -L 1G -n x other", 5, "no pool other"),
        ("sudo lvcreate --wrong", 3, "unknown option"),
        ("sudo ietadm --op show --tid=9", 5, "No such file"),
        ("sudo iscsiadm -m node -T iqn.x -p 127.0.0.1 --login", 5, "no records"),
        ("sudo vblade-persist stop 5 5", 3, "arguments"),
        ("sudo dd if=/dev/zero of=/dev/nothing count=1 bs=1M", 5, "Failed to find"),
    ],
)
def test_command_that_would_fail_fails(driver, command, code, message):
    with pytest.raises(CommandFailed, match=message) as caught:
        driver.fake_execute(command)
    assert caught.value.exit_code == code
    assert len(driver.store.volumes) == 1


def test_attached_volume_is_not_removed(driver):
    (volume,) = driver.store.volumes.values()
    driver.store.attach(volume.id, "server")
    with pytest.raises(CommandFailed, match="detach it first"):
        driver.fake_execute("sudo lvremove -f nova-volumes/volume-00000001")


def test_missing_volume_group_is_an_error():
    driver = FakeISCSIDriver()
    driver.volume_group = "other"
    with pytest.raises(NotFound, match="other doesn't exist"):
        driver.check_for_setup_error()


def test_logging_driver_logs_what_was_asked_for():
    driver, other = LoggingVolumeDriver(), LoggingVolumeDriver()
    driver.create_volume(VOLUME)
    driver.create_export(None, VOLUME)
    driver.check_for_export(None, 1)
    driver.create_volume({"id": 2, "name": "second", "size": 1})
    assert [entry["action"] for entry in driver.all_logs()] == [
        "create_volume",
        "create_export",
        "check_for_export",
        "create_volume",
    ]
    assert driver.logs_like("create_volume", id=1) == [{**VOLUME, "action": "create_volume"}]
    assert len(driver.logs_like("create_volume")) == 2
    assert driver.logs_like("check_for_export", volume_id=1)
    assert driver.logs_like("create_volume", id=None) == []
    assert other.all_logs() == []
    driver.clear_logs()
    assert driver.all_logs() == []
