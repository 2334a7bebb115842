"""The way of an attachment, and what a server sees through it."""

import itertools
import json
import uuid

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nova_fakes.exceptions import InjectedFault
from nova_fakes.faults import FaultRule
from nova_fakes.volume import errors
from nova_fakes.volume.attachments import TRANSITIONS
from nova_fakes.volume.connections import Portal
from nova_fakes.volume.pool import GIB
from nova_fakes.volume.store import VolumeStore

CONNECTOR = {"host": "compute-1", "initiator": "iqn.1993-08.org.debian:01:abc", "ip": "192.0.2.1"}


def test_attachment_goes_its_way_and_the_volume_with_it(store):
    volume = store.create_volume(GIB)
    attachment = store.reserve(volume.id, "server")
    seen = [volume.status]
    store.connect(attachment.id, CONNECTOR, mountpoint="/dev/vdb")
    seen.append(volume.status)
    store.complete(attachment.id)
    seen.append(volume.status)
    store.begin_detaching(attachment.id)
    seen.append(volume.status)
    store.roll_detaching(attachment.id)
    seen.append(volume.status)
    store.detach(attachment.id)
    seen.append(volume.status)
    assert seen == ["reserved", "attaching", "in-use", "detaching", "in-use", "available"]
    assert (attachment.host, attachment.mountpoint) == ("compute-1", "/dev/vdb")


def test_attached_volume_is_not_deleted_migrated_or_reverted(store):
    volume = store.create_volume(GIB)
    snapshot = store.create_snapshot(volume.id)
    attachment = store.attach(volume.id, "server")
    with pytest.raises(errors.VolumeBusy, match="detach it first"):
        store.delete_volume(volume.id, cascade=True)
    for act in (lambda: store.migrate(volume.id, "slow"), lambda: store.revert(volume.id, snapshot.id)):
        with pytest.raises(errors.WrongState, match="in-use"):
            act()
    with pytest.raises(errors.WrongState):
        store.set_read_only(volume.id, True)
    store.create_snapshot(volume.id)
    store.extend_volume(volume.id, 2 * GIB)
    assert store.open(attachment.id).size_bytes == 2 * GIB
    assert volume.status == "in-use"


def test_second_attachment_needs_multiattach_or_the_same_server(store):
    volume = store.create_volume(GIB)
    store.attach(volume.id, "server-1")
    with pytest.raises(errors.VolumeBusy, match="several times"):
        store.attach(volume.id, "server-2")
    moved = store.attach(volume.id, "server-1", connector={"host": "compute-2"})
    assert len(store.attachments_of(volume.id)) == 2
    store.detach(moved.id)
    assert volume.status == "in-use"
    shared = store.create_volume(GIB, multiattach=True)
    first, second = store.attach(shared.id, "server-1"), store.attach(shared.id, "server-2")
    store.open(first.id).write(0, b"seen by both")
    assert store.open(second.id).read(0, 12) == b"seen by both"
    store.detach(first.id)
    assert shared.status == "in-use"
    store.detach(second.id)
    assert shared.status == "available"


def test_read_only_means_that_nothing_is_written(store):
    volume = store.create_volume(GIB)
    store.set_read_only(volume.id, True)
    with pytest.raises(errors.ReadOnly, match="attach it as ro"):
        store.attach(volume.id, "server", mode="rw")
    attachment = store.attach(volume.id, "server")
    device = store.open(attachment.id)
    assert attachment.connection_info["data"]["access_mode"] == "ro"
    for act in (lambda: device.write(0, b"x"), lambda: device.discard(0, 1)):
        with pytest.raises(errors.ReadOnly):
            act()
    assert device.read(0, 1) == b"\0"


def test_device_ends_with_its_attachment_and_the_next_one_finds_the_bytes(store):
    volume = store.create_volume(GIB)
    attachment = store.attach(volume.id, "server-1")
    device = store.open(attachment.id)
    device.write(4096, b"kept")
    device.flush()
    assert (device.write_requests, device.write_bytes, device.read_requests) == (1, 4, 0)
    store.detach(attachment.id)
    for act in (lambda: device.read(0, 1), lambda: device.write(0, b"x"), device.flush, device.extents):
        with pytest.raises(errors.DeviceGone):
            act()
    other = store.open(store.attach(volume.id, "server-2").id)
    assert other.read(4096, 4) == b"kept"


def test_device_is_to_be_had_only_of_what_is_attached(store):
    attachment = store.reserve(store.create_volume(GIB).id, "server")
    with pytest.raises(errors.WrongState, match="complete it first"):
        store.open(attachment.id)
    with pytest.raises(errors.WrongState, match="reserved"):
        store.complete(attachment.id)


def test_faults_strike_reads_and_writes(store):
    volume = store.create_volume(GIB, name="disk")
    device = store.open(store.attach(volume.id, "server").id)
    store.faults.add(FaultRule("volume.write", guest="disk", after=1, error=OSError(5, "Input/output error")))
    device.write(0, b"first")
    with pytest.raises(OSError, match="Input/output"):
        device.write(0, b"second")
    assert device.read(0, 6) == b"first\0"


def test_attach_that_fails_leaves_the_volume_available(store):
    volume = store.create_volume(GIB)
    store.faults.add(FaultRule("volume.connect", times=1))
    with pytest.raises(InjectedFault):
        store.attach(volume.id, "server")
    assert (volume.status, store.attachments) == ("available", {})
    with pytest.raises(errors.ConnectorRefused):
        store.attach(volume.id, "server", connector={"ip": "192.0.2.1"})
    assert (volume.status, store.attachments) == ("available", {})


@pytest.mark.parametrize("protocol", ["iscsi", "local", "nbd", "fake"])
def test_connection_info_survives_json(store, protocol):
    volume = store.create_volume(
        GIB,
        encryption={"provider": "luks", "cipher": "aes-xts-plain64", "key_size": 256, "key_id": "k"},
        qos={"consumer": "both", "specs": {"total_iops_sec": 500}},
    )
    portal = Portal(protocol=protocol, host="compute-1")
    info = store.attach(volume.id, "server", connector=CONNECTOR, portal=portal, place="/run/place").connection_info
    assert json.loads(json.dumps(info)) == info
    assert info["driver_volume_type"] == protocol
    assert info["data"]["volume_id"] == volume.id
    assert info["data"]["qos_specs"] == {"total_iops_sec": "500"}
    assert info["data"]["encrypted"] is True
    places = {"local": "device_path", "nbd": "socket"}
    if protocol in places:
        assert info["data"][places[protocol]] == "/run/place"


@pytest.mark.parametrize(
    ("protocol", "connector", "message"),
    [
        ("fake", {}, "host"),
        ("iscsi", {"host": "compute-1"}, "initiator"),
        ("iscsi", {"host": "compute-1", "initiator": "me"}, "iqn"),
        ("local", {"host": "compute-2"}, "on host compute-1"),
        ("nbd", {"host": "compute-2"}, "on host compute-1"),
    ],
)
def test_connector_that_does_not_say_enough_is_refused(store, protocol, connector, message):
    volume = store.create_volume(GIB)
    attachment = store.reserve(volume.id, "server")
    with pytest.raises(errors.ConnectorRefused, match=message):
        store.connect(attachment.id, connector, Portal(protocol=protocol, host="compute-1"))
    assert attachment.status == "reserved"


class AttachmentMachine(RuleBasedStateMachine):
    """Whatever is tried, the volume's status follows from its attachments, and nothing is left over."""

    def __init__(self):
        super().__init__()
        # The same in every run, since attachments are drawn from a list of them.
        numbers = itertools.count()
        self.store = VolumeStore(new_id=lambda: str(uuid.UUID(int=next(numbers))))
        self.plain = self.store.create_volume(GIB).id
        self.shared = self.store.create_volume(GIB, multiattach=True).id

    @rule(shared=st.booleans(), server=st.sampled_from(["a", "b", None]))
    def reserve(self, shared, server):
        volume = self.store.volume(self.shared if shared else self.plain)
        there = self.store.attachments_of(volume.id)
        mine = server is not None and any(one.instance_id == server for one in there)
        fits = volume.status == "available" or (volume.status != "detaching" and (shared or mine))
        try:
            self.store.reserve(volume.id, server)
        except (errors.VolumeBusy, errors.WrongState):
            assert not fits
        else:
            assert fits

    @rule(operation=st.sampled_from(sorted(TRANSITIONS)), data=st.data())
    def step(self, operation, data):
        if not self.store.attachments:
            return
        attachment = self.store.attachments[data.draw(st.sampled_from(sorted(self.store.attachments)))]
        allowed, after = TRANSITIONS[operation]
        before = attachment.status
        arguments = (CONNECTOR,) if operation == "connect" else ()
        try:
            getattr(self.store, operation)(attachment.id, *arguments)
        except errors.WrongState:
            assert before not in allowed
            assert attachment.status == before
        else:
            assert before in allowed
            assert attachment.status == after

    @rule(data=st.data())
    def detach(self, data):
        if self.store.attachments:
            self.store.detach(data.draw(st.sampled_from(sorted(self.store.attachments))))

    @invariant()
    def status_follows(self):
        for volume in self.store.volumes.values():
            statuses = {one.status for one in self.store.attachments_of(volume.id)}
            order = {"attached": "in-use", "attaching": "attaching", "detaching": "detaching", "reserved": "reserved"}
            assert volume.status == next((after for one, after in order.items() if one in statuses), "available")


AttachmentMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestAttachmentMachine = AttachmentMachine.TestCase
