"""Usage of volumes: what nova's periodic task takes from the driver, keeps, and tells a broker."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import oslo_messaging
from oslo_config import cfg
from running import wait_for

from nova_fakes.fixtures import BrokerFixture, NovaFixture

#: More than the guest's own workload writes in minutes.
WRITTEN = 32 << 20
TOPICS = ("notifications", "versioned_notifications")


class Heard:
    """What was told of usage, in both of nova's formats: (volume, reads, writes, bytes read, bytes written)."""

    def __init__(self) -> None:
        self.legacy: list[tuple[Any, ...]] = []
        self.versioned: list[tuple[Any, ...]] = []

    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: dict[str, Any], metadata: Any) -> None:
        if event_type != "volume.usage":
            return
        versioned = "nova_object.data" in payload
        said = payload["nova_object.data"] if versioned else payload
        counters = tuple(said[name] for name in ("reads", "writes", "read_bytes", "write_bytes"))
        (self.versioned if versioned else self.legacy).append((said["volume_id"], *counters))


@contextmanager
def listening(transport_url: str) -> Iterator[Heard]:
    heard = Heard()
    transport = oslo_messaging.get_notification_transport(cfg.ConfigOpts(), url=transport_url)
    targets = [oslo_messaging.Target(topic=topic, exchange="nova") for topic in TOPICS]
    listener = oslo_messaging.get_notification_listener(transport, targets, [heard], executor="threading")
    listener.start()
    try:
        yield heard
    finally:
        listener.stop()
        listener.wait()
        transport.cleanup()


def test_periodic_task_tells_what_passes_through_a_volume() -> None:
    with BrokerFixture() as broker, listening(broker.transport_url) as heard:
        options = {
            "DEFAULT/volume_usage_poll_interval": "1",
            "notifications/notification_format": "both",
            "oslo_messaging_notifications/driver": "messagingv2",
            "oslo_messaging_notifications/transport_url": broker.transport_url,
        }
        with NovaFixture(("alone",), options=options) as nova:
            _use(nova, heard)


def _use(nova: NovaFixture, heard: Heard) -> None:
    cloud = nova.connect()
    disk = cloud.block_storage.create_volume(size=1)
    cloud.block_storage.wait_for_status(disk, "available", interval=1)
    wanted = {"flavor_id": cloud.compute.find_flavor("m1.nano").id, "image_id": cloud.image.find_image("nova-fakes").id}
    server = cloud.compute.wait_for_server(cloud.compute.create_server(name="s", networks="none", **wanted), wait=300)
    device = cloud.compute.create_volume_attachment(server, volume_id=disk.id).device.removeprefix("/dev/")
    cloud.block_storage.wait_for_status(disk, "in-use", interval=1)
    before = wait_for("the volume's usage", lambda: list(heard.legacy))[-1]
    assert before[0] == disk.id

    nova.client.write_disk(server.id, device, 0, bytes(WRITTEN))
    nova.client.read_disk(server.id, device, 0, 4096)

    def passed(told: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
        return next((one for one in told if one[4] >= before[4] + WRITTEN and one[3] >= before[3] + 4096), None)

    after = wait_for("what was written", lambda: passed(heard.legacy))
    assert (after[0], after[1] > before[1], after[2] > before[2]) == (disk.id, True, True)
    wait_for("the newer format", lambda: passed(heard.versioned))

    cloud.compute.delete_volume_attachment(server, disk)
    cloud.block_storage.wait_for_status(disk, "available", interval=1)
    # nova adds what the next attachment counts, from nought, to what it kept of this one.
    told, totals = len(heard.legacy), heard.legacy[-1]
    cloud.compute.create_volume_attachment(server, volume_id=disk.id)
    again = wait_for("usage of the second attachment", lambda: heard.legacy[told:])[0]
    assert all(old <= new for old, new in zip(totals[1:], again[1:], strict=True))
    assert again[4] < totals[4] + WRITTEN
