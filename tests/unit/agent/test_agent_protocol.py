"""The schema: what one end says the other understands, and nothing else gets through."""

import dataclasses
import json
import re
import uuid

import pytest
from agent_requests import JSON, REQUESTS, port
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.agent import calls, failures, protocol, vifs
from nova_fakes.exceptions import (
    AgentBusy,
    AgentUnreachable,
    DeadlineExceeded,
    HostDown,
    InvalidInput,
    KernelRefused,
    NamespacesUnavailable,
    RealizerError,
)
from nova_fakes.virt.vif.base import VIF, InterfaceCounters, RealizerDescription

INSTANCE = str(uuid.UUID(int=5))
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@given(REQUESTS, st.floats(0.001, 600))
def test_what_is_said_is_understood(request, deadline_s):
    call = calls.Call("1f", deadline_s, request)
    again = calls.decode_call(request.verb, calls.encode_call(call))
    assert again == call
    for name in ("vifs", "some_vifs"):  # details do not count when VIFs are compared
        for vif, other in zip(
            getattr(request, name, None) or (), getattr(again.request, name, None) or (), strict=True
        ):
            assert vif.details == other.details


def leaves(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(REQUESTS, JSON, st.data())
def test_anything_anywhere_is_refused_or_harmless(request, new, data):
    body = {"id": "1f", "deadline_s": 1.0, "arguments": protocol.encode_arguments(request)}
    changed = replaced(body, data.draw(st.sampled_from(list(leaves(body)))), new)
    try:
        call = calls.decode_call(request.verb, json.dumps(changed).encode())
    except InvalidInput:
        return
    assert_harmless(call.request)


def assert_harmless(request):
    for item in dataclasses.fields(request):
        value = getattr(request, item.name)
        if item.name in ("host", "instance", "source"):
            assert SAFE.fullmatch(value)
        for vif in value if isinstance(value, tuple) else ():
            assert all(SAFE.fullmatch(name) for name in (vif.id, vif.devname, vif.network_id, vif.type, vif.vnic_type))
            assert len(vif.devname) <= 15
            assert vif.bridge is None or SAFE.fullmatch(vif.bridge)


@given(st.binary(max_size=200))
def test_bytes_are_refused(body):
    with pytest.raises(InvalidInput):
        calls.decode_call("plug", body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"NaN", b"-Infinity", b"9" * 10_000, b"\xff"])
def test_json_that_hurts_is_refused(body):
    with pytest.raises(InvalidInput, match="body"):
        calls.decode_call("plug", body)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("host",), "../etc"),
        (("host",), "-h"),
        (("instance",), "../../etc/passwd"),
        (("instance",), INSTANCE + "\n"),
        (("instance",), INSTANCE.upper().replace("0", "A")),
        (("up",), 1),
        (("vifs",), {}),
        (("vifs",), [{}] * 2000),
        (("vifs", 0, "devname"), "eth%d"),
        (("vifs", 0, "devname"), "x" * 16),
        (("vifs", 0, "devname"), "--help"),
        (("vifs", 0, "devname"), "a b"),
        (("vifs", 0, "devname"), ""),
        (("vifs", 0, "address"), "ff:ff:ff:ff:ff:ff"),
        (("vifs", 0, "address"), "fa:16:3e:00:00"),
        (("vifs", 0, "mtu"), True),
        (("vifs", 0, "mtu"), 1 << 40),
        (("vifs", 0, "mtu"), 67),
        (("vifs", 0, "bridge"), "br;reboot"),
        (("vifs", 0, "bridge"), ["br"]),
        (("vifs", 0, "type"), "unbound"),
        (("vifs", 0, "type"), "$(id)"),
        (("vifs", 0, "active"), None),
        (("vifs", 0, "subnets", 0, "cidr"), "10.0.0.0/33"),
        (("vifs", 0, "subnets", 0, "gateway"), "fe80::1%eth0"),
        (("vifs", 0, "subnets", 0, "addresses"), ["10.9.0.1"]),
        (("vifs", 0, "subnets", 0, "addresses"), "10.0.0.1"),
        (("vifs", 0, "subnets", 0, "dns"), ["ns.example"]),
        (("vifs", 0, "subnets", 0, "routes"), [{"destination": "0/0", "nexthop": "10.0.0.1"}]),
        (("vifs", 0, "subnets", 0, "routes"), [{"destination": "10.1.0.0/16"}]),
        (("vifs", 0, "details"), []),
        (("vifs", 0, "details"), {"bridge_name": "br int"}),
        (("vifs", 0, "details"), {"datapath_type": "dpdk"}),
        (("vifs", 0, "details"), {"ovs_hybrid_plug": "yes"}),
        (("vifs", 0, "details"), {"vhostuser_socket": "/var/../etc/shadow"}),
        (("vifs", 0, "details"), {"vhostuser_socket": "relative"}),
        (("vifs", 0, "details"), {"note": "line\nbreak"}),
        (("vifs", 0, "details"), {"deep": [[[[[[[[[[[[]]]]]]]]]]]]}),
    ],
    ids=str,
)  # fmt: skip
def test_what_could_do_harm_is_refused(where, value):
    arguments = protocol.encode_arguments(protocol.Plug("h1", INSTANCE, (port(5),), True))
    with pytest.raises(InvalidInput):
        protocol.decode_arguments("plug", replaced(arguments, where, value))


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "deadline_s": 1},
        {"id": "1", "deadline_s": 1, "arguments": {}, "more": 1},
        {"id": "1", "deadline_s": 0, "arguments": {}},
        {"id": "1", "deadline_s": True, "arguments": {}},
        {"id": "1", "deadline_s": "1", "arguments": {}},
        {"id": "1", "deadline_s": 601, "arguments": {}},
        {"id": "1;", "deadline_s": 1, "arguments": {}},
        {"id": "1", "deadline_s": 1, "arguments": {"host": "h"}},
        [],
    ],
    ids=str,
)
def test_a_wrong_envelope_is_refused(body):
    with pytest.raises(InvalidInput):
        calls.decode_call("health", json.dumps(body).encode())


def test_no_such_verb():
    with pytest.raises(InvalidInput, match="plug, unplug"):
        protocol.decode_arguments("perform", {})


def test_the_client_refuses_what_the_agent_would():
    vif = port(5)
    for change in ({"devname": "tap%d"}, {"id": "port"}, {"bridge": "br/0"}, {"details": {"bridge_name": "-x"}}):
        with pytest.raises(InvalidInput):
            protocol.Plug("h1", INSTANCE, (dataclasses.replace(vif, **change),), True)
    with pytest.raises(InvalidInput):
        protocol.Namespace("h1", "fake")


def test_results_arrive_as_they_were():
    counters = {INSTANCE: InterfaceCounters(*range(8))}
    request = protocol.Counters("h1", INSTANCE)
    assert request.decode_result(json.loads(json.dumps(request.encode_result(counters)))) == counters
    description = RealizerDescription("x", frozenset({"ovs"}), frozenset({"normal"}), True, True, False, True, "it")
    describe = protocol.Describe("h1")
    assert describe.decode_result(json.loads(json.dumps(describe.encode_result(description)))) == description
    report = protocol.HealthReport("ok", 1, "0.1", "null", 5, 1.5, 0, 0.0)
    assert protocol.Health().decode_result(protocol.Health().encode_result(report)) == report


@pytest.mark.parametrize("value", ["netns/fake", "/run/netns/../../etc/shadow", "/run/netns/x\n", 5])
def test_a_namespace_that_leads_elsewhere_is_refused(value):
    with pytest.raises(InvalidInput):
        protocol.Namespace("h1", INSTANCE).decode_result(value)


@pytest.mark.parametrize("value", [None, [], {"x": {}}, {"x": {"rx_bytes": 1}}])
def test_results_that_are_none_are_refused(value):
    with pytest.raises(InvalidInput):
        protocol.Counters("h1", INSTANCE).decode_result(value)


def test_results_with_words_for_numbers_are_refused():
    words = {item.name: "many" for item in dataclasses.fields(InterfaceCounters)}
    with pytest.raises(InvalidInput):
        protocol.Counters("h1", INSTANCE).decode_result({"x": words})


@pytest.mark.parametrize(
    "error",
    [
        RealizerError("no"),
        NamespacesUnavailable("not here; become root"),
        AgentBusy("later"),
        DeadlineExceeded("too late"),
        InvalidInput("mtu", 5, "use more"),
        KernelRefused("make a bridge", 17, "File exists", (0, 3)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_arrive_as_they_were(error):
    if isinstance(error, RealizerError):
        error.operation = "MakeLinks"
    error.add_note("MakeBridge could not be undone")
    again = failures.decode(json.loads(json.dumps(failures.encode(error, "plug"))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_errors_that_the_other_end_does_not_know_are_still_errors():
    for error in (HostDown("gone"), ZeroDivisionError("division"), AgentUnreachable("no agent")):
        again = failures.decode(json.loads(json.dumps(failures.encode(error, "plug"))))
        assert type(again) is RealizerError
        assert str(error) in str(again)
    odd = failures.encode(InvalidInput("f", object(), "cure"), "plug")
    assert json.loads(json.dumps(odd))["value"].startswith("<object")


@given(JSON)
def test_an_error_report_never_hides_the_error(value):
    assert isinstance(failures.decode(value), Exception)
    for kind in ("InvalidInput", "KernelRefused", "AgentBusy"):
        assert isinstance(failures.decode({"kind": kind, "message": value, "notes": value}), Exception)


def test_the_wire_carries_every_field_of_a_vif():
    assert set(vifs.encode(port(5))) == {item.name for item in dataclasses.fields(VIF)}
