"""The in-process RPC driver, through oslo.messaging's public face, as nova's services use it."""

import threading
from collections.abc import Iterator
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg

from nova_fakes.sandbox.transport import InProcessDriver

TOPIC = "compute"


class Endpoint:
    """Answers, fails, and remembers what it was sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[Any] = []
        self.spoken_to = threading.Event()

    def echo(self, ctxt: dict[str, Any], value: Any) -> list[Any]:
        return [self.name, ctxt.get("user"), value]

    def tell(self, ctxt: dict[str, Any], value: Any) -> None:
        self.heard.append(value)
        self.spoken_to.set()

    def fail(self, ctxt: dict[str, Any]) -> None:
        raise LookupError("no such thing")


@pytest.fixture
def bus() -> Iterator["Bus"]:
    bus = Bus("test")
    yield bus
    bus.stop()


class Bus:
    """One transport name, with servers on it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.servers: list[Any] = []
        self.transport = self.connect()

    def connect(self) -> Any:
        # oslo.messaging registers its tracing options with this one configuration alone.
        return oslo_messaging.get_rpc_transport(
            cfg.CONF, f"nova-fakes://{self.name}/", allowed_remote_exmods=["builtins"]
        )

    def serve(self, server: str) -> Endpoint:
        endpoint = Endpoint(server)
        target = oslo_messaging.Target(topic=TOPIC, server=server)
        started = oslo_messaging.get_rpc_server(self.transport, target, [endpoint], executor="threading")
        started.start()
        self.servers.append(started)
        return endpoint

    def client(self, **target: Any) -> Any:
        # From another transport of the same name, as nova's cells make them.
        return oslo_messaging.get_rpc_client(self.connect(), oslo_messaging.Target(topic=TOPIC, **target), timeout=5)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self.servers.clear()


def test_oslo_messaging_finds_the_driver_by_its_url(bus: Bus) -> None:
    assert isinstance(bus.transport._driver, InProcessDriver)


def test_call_reaches_the_server_that_it_names(bus: Bus) -> None:
    bus.serve("one")
    bus.serve("two")
    for server in ("one", "two"):
        assert bus.client(server=server).call({"user": "me"}, "echo", value=1) == [server, "me", 1]


def test_call_without_server_reaches_any_of_the_topic(bus: Bus) -> None:
    bus.serve("one")
    bus.serve("two")
    assert bus.client().call({}, "echo", value=None)[0] in {"one", "two"}


def test_what_goes_through_json_comes_out_as_json_does(bus: Bus) -> None:
    bus.serve("one")
    value = {"a": (1, 2)}
    assert bus.client(server="one").call({}, "echo", value=value)[2] == {"a": [1, 2]}


def test_receiver_gets_a_copy(bus: Bus) -> None:
    endpoint = bus.serve("one")
    value = {"list": []}
    bus.client(server="one").cast({}, "tell", value=value)
    assert endpoint.spoken_to.wait(5)
    endpoint.heard[0]["list"].append(1)
    assert value == {"list": []}


def test_message_that_no_broker_could_carry_is_refused(bus: Bus) -> None:
    endpoint = bus.serve("one")
    with pytest.raises(ValueError, match="object"):
        bus.client(server="one").cast({}, "tell", value=object())
    assert endpoint.heard == []


def test_exception_comes_back_as_itself(bus: Bus) -> None:
    bus.serve("one")
    with pytest.raises(LookupError, match="no such thing"):
        bus.client(server="one").call({}, "fail")


def test_fanout_reaches_every_server(bus: Bus) -> None:
    endpoints = [bus.serve(name) for name in ("one", "two", "three")]
    bus.client(fanout=True).cast({}, "tell", value="all")
    for endpoint in endpoints:
        assert endpoint.spoken_to.wait(5)
        assert endpoint.heard == ["all"]


def test_call_to_nobody_times_out(bus: Bus) -> None:
    bus.serve("one")
    with pytest.raises(oslo_messaging.MessagingTimeout, match="nobody"):
        bus.client(server="nobody").prepare(timeout=0.05).call({}, "echo", value=1)


def test_messages_wait_for_a_server_that_stopped(bus: Bus) -> None:
    bus.serve("one")
    bus.stop()
    client = bus.client(server="one")
    client.cast({}, "tell", value="later")
    again = bus.serve("one")
    assert again.spoken_to.wait(5)
    assert again.heard == ["later"]


def test_names_keep_apart(bus: Bus) -> None:
    bus.serve("one")
    other = Bus("another")
    with pytest.raises(oslo_messaging.MessagingTimeout):
        other.client(server="one").prepare(timeout=0.05).call({}, "echo", value=1)


def test_notification_listeners_are_refused(bus: Bus) -> None:
    with pytest.raises(NotImplementedError, match="broker"):
        bus.transport._driver.listen_for_notifications([], None, 1, None)
