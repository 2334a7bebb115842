"""A whole Cinder over the driver, in the hands of the stock client, down to the bytes."""

import base64
import contextlib
import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import requests
from keystoneauth1 import service_token, session
from keystoneauth1.identity import v3
from running import wait_for

from nova_fakes.api.auth import Token
from nova_fakes.api.volume import VolumeService
from nova_fakes.api.volume.backup_exports import DRIVER
from nova_fakes.volume.file_disk import FileDisk
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

MISSING = "is missing: uv sync --group contract"
cinder_client = pytest.importorskip("cinderclient.client", reason=f"cinderclient {MISSING}")
exceptions = pytest.importorskip("cinderclient.exceptions", reason=f"cinderclient {MISSING}")
glance_client = pytest.importorskip("glanceclient", reason=f"glanceclient {MISSING}")
if importlib.util.find_spec("cinder") is None:
    pytest.skip(f"cinder {MISSING}", allow_module_level=True)

CONNECTOR = {"host": "compute-1", "initiator": "iqn.1993-08.org.debian:01:1", "ip": "192.0.2.1", "multipath": False}


class Cloud:
    """Sessions of an administrator and of nova's service user, and clients of theirs."""

    def __init__(self, state, url, password):
        self.state = state
        self.url = url
        self.admin = self._auth("admin", "admin", password)
        self.nova = self._auth("nova", "service", password)
        self.cinder = self.client(self.admin)
        both = service_token.ServiceTokenAuthWrapper(user_auth=self.admin, service_auth=self.nova)
        self.as_service = self.client(both)
        self.glance = glance_client.Client("2", session=session.Session(auth=self.admin))

    def _auth(self, user, project, password):
        return v3.Password(
            auth_url=f"{self.url}/identity/v3",
            username=user,
            password=password,
            project_name=project,
            user_domain_id="default",
            project_domain_id="default",
        )

    def client(self, auth):
        return cinder_client.Client("3.70", session=session.Session(auth=auth))

    def settled(self, thing, status="available"):
        """Wait until a volume, snapshot or group has left its way, and require where it has come to."""

        def fresh():
            found = thing.manager.get(thing.id)
            return None if found.status.endswith("ing") else found

        found = wait_for(f"{thing.id} to settle", fresh, 30)
        assert found.status == status, found.to_dict()
        return found

    def gone(self, manager, identifier):
        def absent():
            try:
                manager.get(identifier)
            except exceptions.NotFound:
                return True
            return False

        wait_for(f"{identifier} to be gone", absent, 30)

    def volume(self, size=1, **values):
        return self.settled(self.cinder.volumes.create(size, **values))

    def attach(self, volume, host="compute-1"):
        """Attach a volume to a server as nova does; return the attachment and the medium at its device."""
        server = str(uuid.uuid4())
        made = self.as_service.attachments.create(volume.id, CONNECTOR | {"host": host}, server)
        made = made if isinstance(made, dict) else made.to_dict()
        self.as_service.attachments.complete(made["id"])
        requests.post(
            f"{self.url}/compute/hold",
            json={"server": server, "volume": volume.id, "attachment": made["id"]},
            timeout=10,
        ).raise_for_status()
        return made["id"], FileDisk(made["connection_info"]["device_path"])

    def write(self, volume, offset, data):
        attachment, device = self.attach(volume)
        with device:
            device.write(offset, data)
        self.as_service.attachments.delete(attachment)
        self.settled(volume)

    def read(self, volume, offset, length):
        attachment, device = self.attach(volume)
        with device:
            data = device.read(offset, length)
        self.as_service.attachments.delete(attachment)
        self.settled(volume)
        return data


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    state = tmp_path_factory.mktemp("cinder")
    log = (state / "log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("cinder_process.py"), state / "state"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    line = process.stdout.readline()
    assert line, (state / "log").read_text()[-4000:]
    yield Cloud(state / "state", **json.loads(line))
    process.stdin.close()
    process.wait(30)
    process.stdout.close()
    log.close()


def test_bytes_move_with_the_volume_from_one_server_to_another(cloud):
    volume = cloud.volume(2, name="data")
    attachment, device = cloud.attach(volume)
    with device:
        device.write(1 << 30, b"written on compute-1")
    cloud.settled(volume, "in-use")
    with pytest.raises(exceptions.BadRequest):
        cloud.cinder.volumes.delete(volume)
    cloud.as_service.attachments.delete(attachment)
    cloud.settled(volume)
    other, device = cloud.attach(volume, "compute-2")
    with device:
        assert device.read(1 << 30, 20) == b"written on compute-1"
    cloud.as_service.attachments.delete(other)
    cloud.settled(volume)
    cloud.cinder.volumes.delete(volume)
    cloud.gone(cloud.cinder.volumes, volume.id)


def test_user_does_not_detach_what_nova_holds(cloud):
    volume = cloud.volume()
    attachment, device = cloud.attach(volume)
    device.close()
    with pytest.raises(exceptions.ClientException) as caught:
        cloud.cinder.attachments.delete(attachment)
    assert caught.value.code == 409
    cloud.as_service.attachments.delete(attachment)
    cloud.settled(volume)


def test_snapshots_copies_and_reverts_have_their_bytes(cloud):
    volume = cloud.volume()
    cloud.write(volume, 5, b"first")
    snapshot = cloud.settled(cloud.cinder.volume_snapshots.create(volume.id))
    cloud.write(volume, 5, b"other")
    copy = cloud.volume(2, snapshot_id=snapshot.id)
    clone = cloud.volume(1, source_volid=volume.id)
    assert (cloud.read(copy, 5, 5), cloud.read(clone, 5, 5)) == (b"first", b"other")
    cloud.cinder.volumes.revert_to_snapshot(volume, snapshot)
    cloud.settled(volume)
    assert cloud.read(volume, 5, 5) == b"first"
    cloud.cinder.volume_snapshots.delete(snapshot)
    cloud.gone(cloud.cinder.volume_snapshots, snapshot.id)
    assert cloud.read(copy, 5, 5) == b"first"


def test_volume_grows_and_never_shrinks(cloud):
    volume = cloud.volume()
    cloud.write(volume, 0, b"kept")
    cloud.cinder.volumes.extend(volume, 3)
    cloud.settled(volume)
    assert cloud.read(volume, (3 << 30) - 1, 1) == b"\0"
    assert cloud.read(volume, 0, 4) == b"kept"
    with pytest.raises(exceptions.BadRequest):
        cloud.cinder.volumes.extend(volume, 2)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is missing: apt install qemu-utils")
@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_image_becomes_a_volume_and_a_volume_an_image(cloud, tmp_path, image_format):
    content = hashlib.sha256(b"seed").digest() * 70_000
    (tmp_path / "raw").write_bytes(content)
    command = ["qemu-img", "convert", "-f", "raw", "-O", image_format, "raw", "image"]
    subprocess.run(command, check=True, cwd=tmp_path)
    image = cloud.glance.images.create(name="image", disk_format=image_format, container_format="bare")
    cloud.glance.images.upload(image.id, (tmp_path / "image").open("rb"))
    volume = cloud.volume(1, imageRef=image.id)
    assert volume.bootable == "true"
    assert cloud.read(volume, 0, len(content)) == content
    _answer, uploaded = cloud.cinder.volumes.upload_to_image(volume, False, "back", "bare", "qcow2", "private", False)
    made = uploaded["os-volume_upload_image"]["image_id"]
    wait_for("what was asked for", lambda: cloud.glance.images.get(made).status == "active", 30)
    again = cloud.volume(1, imageRef=made)
    assert cloud.read(again, 0, len(content)) == content


def test_image_that_is_none_leaves_the_volume_in_error(cloud):
    image = cloud.glance.images.create(name="broken", disk_format="qcow2", container_format="bare")
    cloud.glance.images.upload(image.id, io.BytesIO(b"this is no qcow2"))
    volume = cloud.settled(cloud.cinder.volumes.create(1, imageRef=image.id), "error")
    cloud.cinder.volumes.delete(volume)
    cloud.gone(cloud.cinder.volumes, volume.id)


def test_volume_moves_to_another_pool_with_its_bytes(cloud):
    volume = cloud.volume(1, volume_type=_on(cloud, "first").id)
    cloud.write(volume, 9, b"moves")
    host = getattr(volume, "os-vol-host-attr:host")
    target = {"fast": "volumes@first#slow", "slow": "volumes@first#fast"}.get(
        host.rpartition("#")[2], "volumes@first#slow"
    )
    if not host.startswith("volumes@first"):
        pytest.skip("the scheduler chose the backend of one pool")
    cloud.cinder.volumes.migrate_volume(volume, target, False, False)
    wait_for("what was asked for", lambda: volume.get() or volume.migration_status == "success", 30)
    assert getattr(volume, "os-vol-host-attr:host") == target
    assert cloud.read(volume, 9, 5) == b"moves"


def test_volume_moves_to_another_backend_with_its_bytes(cloud):
    volume = cloud.volume(1, volume_type=_on(cloud, "first").id)
    cloud.write(volume, 1 << 20, b"moves on")
    other = _on(cloud, "second")
    cloud.cinder.volumes.retype(volume, other.id, "on-demand")
    wait_for("what was asked for", lambda: volume.get() or volume.volume_type == other.name, 60)
    assert getattr(cloud.settled(volume), "os-vol-host-attr:host") == "volumes@second#other"
    assert cloud.read(volume, 1 << 20, 8) == b"moves on"


@pytest.mark.slow
def test_backup_brings_bytes_back(cloud):
    volume = cloud.volume(1, volume_type=_on(cloud, "first").id)
    cloud.write(volume, 3 << 20, b"backed up")
    backup = cloud.settled(cloud.cinder.backups.create(volume.id))
    cloud.write(volume, 3 << 20, b"and lost!")
    assert cloud.read(_restored(cloud, backup, volume.id), 3 << 20, 9) == b"backed up"
    assert cloud.read(_restored(cloud, backup), 3 << 20, 9) == b"backed up"


@pytest.mark.slow
def test_backup_of_what_is_in_use_is_of_one_moment(cloud):
    volume = cloud.volume(1, volume_type=_on(cloud, "first").id)
    attachment, device = cloud.attach(volume)
    with device:
        device.write(0, b"while in use")
        cloud.cinder.backups.create(volume.id, incremental=False, force=True)
        backup = cloud.settled(cloud.cinder.backups.list(search_opts={"volume_id": volume.id})[0])
        device.write(0, b"later written")
    cloud.as_service.attachments.delete(attachment)
    cloud.settled(volume)
    assert cloud.read(_restored(cloud, backup), 0, 13) == b"while in use\0"


def test_records_of_backups_are_cinders(cloud):
    """What our volume service exports Cinder takes in, and the other way round."""
    ours = VolumeService()
    exports, admin = ours.backup_exports, Token("t", "u", "admin", "0" * 32, "admin", "default", ("admin",), 0.0, 1e12)
    volume = ours.volumes.create(admin, size_gb=1)
    made = ours.backups.create(admin, volume.id, name="ours", description="said", metadata={"k": "v"})
    exported = exports.export(admin, made.id)
    posix = "cinder.backup.drivers.posix.PosixBackupDriver"
    cloud.cinder.backups.import_record(posix, exported["backup_url"])
    taken = cloud.settled(cloud.cinder.backups.get(made.id)).to_dict()
    expected = {"name": "ours", "description": "said", "metadata": {"k": "v"}, "size": 1, "volume_id": volume.id}
    assert taken.items() >= expected.items()
    theirs = cloud.cinder.backups.export_record(made.id)
    assert (theirs["backup_service"], exported["backup_service"]) == (posix, DRIVER)
    said, again = (json.loads(base64.b64decode(one["backup_url"])) for one in (exported, theirs))
    assert said.keys() == again.keys()
    assert {name for name in said if type(said[name]) is not type(again[name])} <= {"fail_reason", "service_metadata"}

    other = VolumeService()
    other.backup_exports.take(admin, DRIVER, theirs["backup_url"])
    found = other.backups.get(admin, made.id)
    assert (found.status, found.name, found.metadata, found.volume_id) == ("available", "ours", {"k": "v"}, volume.id)


def _restored(cloud, backup, volume_id=None):
    """Bring a backup back, onto a volume or a new one; return the volume."""
    restoring = cloud.cinder.restores.restore(backup.id, volume_id)
    volume = cloud.cinder.volumes.get(restoring.volume_id)
    wait_for("the backup to be back", lambda: volume.get() or volume.status in ("available", "error"), 90)
    return cloud.settled(volume)


def test_volume_changes_hands(cloud):
    volume = cloud.volume(1, volume_type=_on(cloud, "first").id)
    cloud.write(volume, 0, b"handed over")
    transfer = cloud.cinder.transfers.create(volume.id)
    cloud.cinder.transfers.accept(transfer.id, transfer.auth_key)
    assert cloud.read(cloud.settled(volume), 0, 11) == b"handed over"


def _on(cloud, backend, **specs):
    """Make a volume type of one backend."""
    kind = cloud.cinder.volume_types.create(f"{backend}-{uuid.uuid4().hex[:6]}")
    kind.set_keys({"volume_backend_name": backend, **specs})
    return kind


def test_type_changes_with_quality_of_service(cloud):
    old, new = _on(cloud, "first"), _on(cloud, "first", **{"nova_fakes:colour": "blue"})
    specs = cloud.cinder.qos_specs.create("slow", {"consumer": "front-end", "total_iops_sec": "100"})
    cloud.cinder.qos_specs.associate(specs, new.id)
    volume = cloud.volume(1, volume_type=old.id)
    cloud.cinder.volumes.retype(volume, new.id, "never")
    wait_for("what was asked for", lambda: volume.get() or volume.volume_type == new.name, 30)
    cloud.settled(volume)


def test_driver_is_told_how_volumes_are_encrypted(cloud, tmp_path):
    kind = _on(cloud, "first")
    said = {"provider": "luks2", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 256}
    cloud.cinder.volume_encryption_types.create(kind, said)
    volume = cloud.volume(1, volume_type=kind.id)
    attachment, device = cloud.attach(volume)
    device.close()
    assert cloud.as_service.attachments.show(attachment).connection_info["encrypted"] is True
    # Cinder has the file to itself; nothing is written to it now.
    for path in cloud.state.glob("first.store*"):
        shutil.copy(path, tmp_path)
    with contextlib.closing(
        VolumeStore([Pool(name="fast"), Pool(name="slow")], path=tmp_path / "first.store")
    ) as store:
        kept = store.volume(volume.id).encryption
    assert kept == cloud.as_service.volumes.get_encryption_metadata(volume.id)
    assert kept.items() > said.items()


def test_pools_that_are_full_take_no_more(cloud):
    kind = _on(cloud, "second")
    cloud.settled(cloud.cinder.volumes.create(300, volume_type=kind.id), "error")
    pools = {pool.name: pool for pool in cloud.cinder.pools.list(detailed=True)}
    assert {"volumes@first#fast", "volumes@first#slow", "volumes@second#other"} <= pools.keys()
    assert pools["volumes@second#other"].total_capacity_gb == 10


def test_group_is_snapshotted_and_copied_as_one(cloud):
    kind = _on(cloud, "first")
    group_type = cloud.cinder.group_types.create(f"consistent-{uuid.uuid4().hex[:6]}")
    group_type.set_keys({"consistent_group_snapshot_enabled": "<is> True"})
    group = cloud.settled(cloud.cinder.groups.create(group_type.id, kind.id, name="pair"))
    volumes = [cloud.volume(1, volume_type=kind.id, group_id=group.id) for _ in range(2)]
    for number, volume in enumerate(volumes):
        cloud.write(volume, 0, b"before %d" % number)
    whole = cloud.settled(cloud.cinder.group_snapshots.create(group.id))
    for volume in volumes:
        cloud.write(volume, 0, b"after")
    made = cloud.cinder.groups.create_from_src(whole.id, None)
    copy = cloud.settled(cloud.cinder.groups.get(made["id"]))
    copies = [one for one in cloud.cinder.volumes.list() if one.group_id == copy.id]
    assert sorted(cloud.read(one, 0, 8) for one in copies) == [b"before 0", b"before 1"]
    cloud.cinder.group_snapshots.delete(whole)
    cloud.gone(cloud.cinder.group_snapshots, whole.id)
    cloud.cinder.groups.delete(copy, delete_volumes=True)
    cloud.gone(cloud.cinder.groups, copy.id)


def test_unmanaged_volume_is_listed_and_taken_over_with_its_bytes(cloud):
    kind = _on(cloud, "first")
    volume = cloud.volume(1, volume_type=kind.id)
    cloud.write(volume, 0, b"managed")
    host = getattr(volume, "os-vol-host-attr:host")
    cloud.cinder.volumes.unmanage(volume)
    cloud.gone(cloud.cinder.volumes, volume.id)
    listed = {one.reference["source-name"]: one for one in cloud.cinder.volumes.list_manageable(host)}
    assert listed[volume.id].safe_to_manage
    again = cloud.settled(cloud.cinder.volumes.manage(host, {"source-name": volume.id}, volume_type=kind.id))
    assert cloud.read(again, 0, 7) == b"managed"
    snapshot = cloud.settled(cloud.cinder.volume_snapshots.create(again.id))
    cloud.cinder.volume_snapshots.unmanage(snapshot)
    cloud.gone(cloud.cinder.volume_snapshots, snapshot.id)
    entries = {one.reference["source-name"]: one for one in cloud.cinder.volume_snapshots.list_manageable(host)}
    assert entries[snapshot.id].safe_to_manage
    taken = cloud.settled(cloud.cinder.volume_snapshots.manage(again.id, {"source-name": snapshot.id}))
    copy = cloud.volume(1, snapshot_id=taken.id)
    assert cloud.read(copy, 0, 7) == b"managed"


def test_other_site_serves_what_is_replicated(cloud):
    kind = _on(cloud, "first", replication_enabled="<is> True")
    replicated = cloud.volume(1, volume_type=kind.id)
    plain = cloud.volume(1, volume_type=_on(cloud, "first").id)
    cloud.write(replicated, 0, b"on both sites")
    cloud.cinder.services.failover_host("volumes@first", "elsewhere")
    wait_for("what was asked for", lambda: replicated.get() or replicated.replication_status == "failed-over", 30)
    assert cloud.read(replicated, 0, 13) == b"on both sites"
    wait_for("what was asked for", lambda: plain.get() or plain.status == "error", 30)
    cloud.cinder.services.freeze_host("volumes@first")
    cloud.cinder.services.failover_host("volumes@first", "default")
    wait_for("what was asked for", lambda: replicated.get() or replicated.replication_status == "enabled", 30)
    cloud.cinder.volumes.reset_state(plain, "available")
    assert cloud.read(plain, 0, 1) == b"\0"
    cloud.cinder.services.thaw_host("volumes@first")
