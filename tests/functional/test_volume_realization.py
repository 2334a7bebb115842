"""Volumes as files and as NBD exports, in the hands of other programs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nova_fakes.exceptions import InjectedFault, InvalidInput
from nova_fakes.faults import FaultRule
from nova_fakes.virt.vif.cleanup import cleanup
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.volume import errors
from nova_fakes.volume.disk import SparseDisk
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.local_files import LocalFiles
from nova_fakes.volume.nbd_server import NbdServer
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.store import VolumeStore

PROGRAMS = ("qemu-img", "qemu-io", "nbdinfo", "nbdcopy")
missing = [program for program in PROGRAMS if shutil.which(program) is None]
needs_programs = pytest.mark.skipif(bool(missing), reason=f"missing: {missing} (apt install qemu-utils libnbd-bin)")


def _run(*command):
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    return answer.stdout


@pytest.fixture
def exported(tmp_path):
    store = VolumeStore()
    volume = store.create_volume(GIB, volume_id="volume")
    device = store.open(store.attach(volume.id, "server").id)
    with NbdServer(tmp_path / "socket") as server:
        yield device, server.export(volume.id, device, description="a volume")


@needs_programs
def test_nbdinfo_and_qemu_img_see_the_export(exported):
    device, uri = exported
    device.write(5 << 20, b"x" * (2 << 20))
    (about,) = json.loads(_run("nbdinfo", "--json", uri))["exports"]
    assert (about["export-name"], about["export-size"], about["description"]) == ("volume", GIB, "a volume")
    assert all(about[f"can_{what}"] for what in ("trim", "zero", "flush", "fua", "df", "multi_conn", "cache"))
    extents = [
        (one["offset"], one["length"], one["type"]) for one in json.loads(_run("nbdinfo", "--map", "--json", uri))
    ]
    assert extents == [(0, 5 << 20, 3), (5 << 20, 2 << 20, 0), (7 << 20, GIB - (7 << 20), 3)]
    assert json.loads(_run("qemu-img", "info", "--output=json", uri))["virtual-size"] == GIB
    assert "volume" in _run("nbdinfo", "--list", uri)


@needs_programs
def test_odd_names_are_found_by_their_addresses(tmp_path):
    directory = tmp_path / "a directory & more#1"
    directory.mkdir()
    with NbdServer(directory / "socket") as server:
        for size, name in enumerate(("a b", "50%", "c#d?e&f", "g/h", "\u00e4"), 1):
            uri = server.export(name, SparseDisk(size * 512))
            (about,) = json.loads(_run("nbdinfo", "--json", uri))["exports"]
            assert (about["export-name"], about["export-size"]) == (name, size * 512)
            assert json.loads(_run("qemu-img", "info", "--output=json", uri))["virtual-size"] == size * 512


@needs_programs
def test_qemu_io_writes_and_the_device_has_it(exported):
    device, uri = exported
    commands = [
        "write -P 0xab 1M 3M",
        "write -z 2M 1M",
        "discard 3M 512k",
        "read -P 0xab 1M 1M",
        "read -P 0 2M 1M",
        "flush",
    ]
    answer = _run("qemu-io", "-f", "raw", *(word for one in commands for word in ("-c", one)), uri)
    assert "Pattern verification failed" not in answer
    assert device.read(1 << 20, 1 << 20) == b"\xab" * (1 << 20)
    assert device.read(2 << 20, (1 << 20) + (512 << 10)) == bytes((1 << 20) + (512 << 10))
    assert device.read((3 << 20) + (512 << 10), 512 << 10) == b"\xab" * (512 << 10)
    assert device.write_bytes >= 3 << 20


@needs_programs
def test_qemu_img_converts_to_an_export_and_back(exported, tmp_path):
    device, uri = exported
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.write(os.urandom(3 << 20))
        file.seek(700 << 20)
        file.write(b"far away")
        file.truncate(GIB)
    qcow2 = str(tmp_path / "image.qcow2")
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(image), qcow2)
    _run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", qcow2, uri)
    assert "identical" in _run("qemu-img", "compare", "-f", "raw", "-F", "raw", str(image), uri)
    assert sum(size for _offset, size in device.extents()) <= 8 << 20
    back = str(tmp_path / "back")
    _run("nbdcopy", uri, back)
    assert "identical" in _run("qemu-img", "compare", "-f", "raw", "-F", "raw", str(image), back)
    device.write(0, b"changed")
    different = subprocess.run(
        ["qemu-img", "compare", "-f", "raw", "-F", "raw", str(image), uri], capture_output=True, check=False
    )
    assert different.returncode == 1


def test_published_volume_is_its_file(tmp_path):
    store = VolumeStore()
    volume = store.create_volume(1 << 40, volume_id="volume")
    volume.disk.write(100, b"from the store")
    ledger = Ledger(tmp_path / "ledger")
    files = LocalFiles(store, tmp_path / "volumes", ledger)
    path = files.publish("volume")
    assert path == files.publish("volume") == files.path("volume")
    assert (path.stat().st_size, path.stat().st_blocks * 512 < 1 << 22) == (1 << 40, True)
    with FileDisk(path) as program:
        assert program.read(100, 14) == b"from the store"
        program.write(1 << 30, b"from a program")
    device = store.open(store.attach("volume", "server").id)
    assert device.read(1 << 30, 14) == b"from a program"
    snapshot = store.create_snapshot("volume")
    device.write(1 << 30, b"later")
    assert snapshot.disk.read(1 << 30, 14) == b"from a program"
    store.extend_volume("volume", (1 << 40) + 4096)
    assert path.stat().st_size == (1 << 40) + 4096
    with pytest.raises(errors.WrongState, match="in-use"):
        files.withdraw("volume")
    store.detach(store.attachments_of("volume")[0].id)
    with pytest.raises(errors.VolumeBusy, match="take it back"):
        store.delete_volume("volume", cascade=True)
    files.withdraw("volume")
    assert volume.disk.read(1 << 30, 5) == b"later"
    assert volume.disk.size_bytes == (1 << 40) + 4096
    assert not path.exists()
    assert ledger.entries() == ()
    ledger.close()


@pytest.mark.parametrize("recovers", [True, False])
def test_nothing_is_left_of_a_holder_that_was_killed(tmp_path, recovers):
    holder = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("nbd_holder.py"), tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "ready\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert (tmp_path / "socket").is_socket()
    assert len(os.listdir(tmp_path / "volumes")) == 2

    store = VolumeStore(path=tmp_path / "store")
    with Ledger(tmp_path / "ledger") as ledger:
        if recovers:
            assert sorted(LocalFiles(store, tmp_path / "volumes", ledger).recover()) == ["second", "volume"]
        assert not cleanup(ledger).kept
        assert ledger.entries() == ()
    content = store.volume("volume").disk.read(0, 20)
    assert content == (b"written by a program" if recovers else bytes(20))
    store.close()
    assert not (tmp_path / "socket").exists()
    assert os.listdir(tmp_path / "volumes") == []


def test_attached_volume_stays_in_its_file_when_the_holder_is_killed(tmp_path):
    store = VolumeStore(path=tmp_path / "store")
    store.create_volume(GIB, volume_id="volume")
    ledger = Ledger(tmp_path / "ledger")
    path = LocalFiles(store, tmp_path / "volumes", ledger).publish("volume")
    attachment = store.attach("volume", "server")
    store.open(attachment.id).write(0, b"before")
    # What a process that is killed leaves: the files as they are, and nothing closed.
    store.close()
    ledger.close()

    again = VolumeStore(path=tmp_path / "store")
    with Ledger(tmp_path / "ledger") as ledger:
        files = LocalFiles(again, tmp_path / "volumes", ledger)
        assert files.recover() == ["volume"]
        assert files.path("volume") == path
        again.open(attachment.id).write(6, b" and after")
        assert path.open("rb").read(16) == b"before and after"
        again.detach(attachment.id)
        files.withdraw("volume")
        assert not ledger.entries()
    assert again.volume("volume").disk.read(0, 16) == b"before and after"
    again.close()


def test_file_that_a_program_cuts_ends_where_it_does(tmp_path, monkeypatch):
    path = tmp_path / "file"
    make_sparse(path, 8192)
    pread = os.pread

    def cutting(fd, length, offset):
        os.truncate(path, 4096)
        return pread(fd, length, offset)

    with FileDisk(path) as disk:
        monkeypatch.setattr(os, "pread", cutting)
        with pytest.raises(InvalidInput, match="range"):
            disk.read(2048, 4096)
        assert disk.read(0, 4096) == bytes(4096)


def test_volume_grows_while_its_file_is_made(tmp_path):
    store = VolumeStore()
    volume = store.create_volume(4096, volume_id="volume")
    path = tmp_path / "file"
    make_sparse(path, 4096)
    store.extend_volume("volume", 8192)
    volume.disk.write(8000, b"x")
    store.put_in_file("volume", path)
    assert (path.stat().st_size, volume.disk.read(8000, 1)) == (8192, b"x")
    store.take_from_file("volume")


def test_copy_that_fails_midway_leaves_the_volume_where_it_is(tmp_path):
    store, ledger = VolumeStore(), Ledger(tmp_path / "ledger")
    volume = store.create_volume(GIB, volume_id="volume")
    files = LocalFiles(store, tmp_path / "volumes", ledger)
    for chunk in range(4):
        volume.disk.write(chunk << 20, b"bytes")
    store.faults.add(FaultRule("volume.copy", after=2, times=1))
    with pytest.raises(InjectedFault):
        files.publish("volume")
    assert (files.path("volume"), list(files.directory.iterdir()), ledger.entries()) == (None, [], ())
    path = files.publish("volume")
    store.faults.clear()
    store.faults.add(FaultRule("volume.copy", after=2, times=1))
    with pytest.raises(InjectedFault):
        files.withdraw("volume")
    assert (files.path("volume"), volume.status, volume.disk.read(3 << 20, 5)) == (path, "available", b"bytes")
    files.withdraw("volume")
    assert (volume.disk.read(3 << 20, 5), ledger.entries()) == (b"bytes", ())
    ledger.close()


def test_close_takes_back_what_has_lost_its_snapshot(tmp_path):
    store, ledger = VolumeStore(), Ledger(tmp_path / "ledger")
    volume = store.create_volume(4096)
    files = LocalFiles(store, tmp_path / "volumes", ledger)
    snapshot = store.create_snapshot(volume.id)
    files.publish_snapshot(snapshot.id)
    files.publish(volume.id)
    store.delete_snapshot(snapshot.id)
    files.close()
    assert (list(files.directory.iterdir()), ledger.entries()) == ([], ())
    ledger.close()


@pytest.mark.parametrize("volume_id", ["..", ".", "a/b", "/etc/passwd"])
def test_names_that_are_no_files_are_refused(tmp_path, volume_id):
    store = VolumeStore()
    store.create_volume(4096, volume_id=volume_id)
    with pytest.raises(InvalidInput, match="name of a file"):
        LocalFiles(store, tmp_path).publish(volume_id)
