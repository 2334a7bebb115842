"""A DHCP client's life against a server that is a few lines of this test, by a clock of numbers."""

from ipaddress import IPv4Address
from itertools import pairwise
from random import Random

import pytest

from nova_fakes.virt.vif.dhcp_client import Client, Probe, State
from nova_fakes.virt.vif.dhcp_message import ANY, BROADCAST, Kind, Message, Option

MAC = bytes.fromhex("fa163e000001")
SERVER, OTHER = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 3))
ADDRESS = IPv4Address("10.0.0.5").packed


def answer(kind, to, *, lease_s=3600, server=SERVER, address=ADDRESS, xid=None, mac=MAC):
    options = {Option.SERVER: server, Option.NETMASK: b"\xff\xff\xff\0", Option.LEASE_TIME: lease_s.to_bytes(4)}
    if kind is Kind.NAK:
        options, address = {Option.SERVER: server}, ANY
    return Message(kind, to.xid if xid is None else xid, mac, yours=address, options=options).encode()


def only(sends):
    (send,) = sends
    return send


@pytest.fixture
def client():
    return Client(MAC, Random(1), 0.0)


@pytest.fixture
def bound(client):
    """A client that has had its lease of an hour since the second 0."""
    discover = only(client.wake(0.0)).message
    request = only(client.receive(answer(Kind.OFFER, discover), 0.0)).message
    assert client.receive(answer(Kind.ACK, request), 0.1) == []
    return client


def test_discover_offer_request_ack(client):
    send = only(client.wake(0.0))
    assert (send.message.kind, send.source, send.destination) == (Kind.DISCOVER, ANY, BROADCAST)
    assert send.message.options[Option.CLIENT] == b"\x01" + MAC
    assert set(send.message.options[Option.PARAMETERS]) >= {1, 3, 26, 121}
    request = only(client.receive(answer(Kind.OFFER, send.message), 0.2))
    assert (request.message.kind, request.source, request.destination) == (Kind.REQUEST, ANY, BROADCAST)
    assert request.message.xid == send.message.xid
    assert request.message.options[Option.REQUESTED_ADDRESS] == ADDRESS
    assert request.message.options[Option.SERVER] == SERVER
    assert client.lease is None
    client.receive(answer(Kind.ACK, request.message), 0.3)
    assert (client.state, client.lease.address, client.due) == (State.BOUND, ADDRESS, 0.2 + 1800)
    assert client.wake(100.0) == []


def test_without_a_server_it_asks_ever_more_seldom(client):
    moments = []
    for _ in range(12):
        assert only(client.wake(client.due)).message.kind is Kind.DISCOVER
        moments.append(client.due)
    pauses = [after - before for before, after in pairwise(moments)]
    assert all(0.75 * 2**n <= pause <= 1.25 * 2**n for n, pause in enumerate(pauses[:5], start=1))
    assert all(48 <= pause <= 80 for pause in pauses[6:])


def test_an_offer_that_is_not_kept_begins_anew(client):
    discover = only(client.wake(0.0)).message
    request = only(client.receive(answer(Kind.OFFER, discover), 0.0)).message
    kinds = [only(client.wake(client.due)).message.kind for _ in range(4)]
    assert kinds == [Kind.REQUEST] * 3 + [Kind.DISCOVER]
    assert client.receive(answer(Kind.ACK, request), client.due) == []
    assert client.lease is None, "an answer to what was asked before is none"


@pytest.mark.parametrize(
    "changes", [{"xid": 7}, {"mac": bytes.fromhex("fa163e000002")}], ids=["transaction", "interface"]
)
def test_what_is_for_others_is_passed_over(client, changes):
    discover = only(client.wake(0.0)).message
    assert client.receive(answer(Kind.OFFER, discover, **changes), 0.0) == []
    assert client.receive(b"nonsense", 0.0) == []
    assert client.state is State.SELECTING


def test_a_refusal_begins_anew_after_a_pause(client):
    discover = only(client.wake(0.0)).message
    request = only(client.receive(answer(Kind.OFFER, discover), 0.0)).message
    client.receive(answer(Kind.NAK, request, server=OTHER), 0.0)
    assert client.state is State.REQUESTING, "another server refuses what it was not asked for"
    client.receive(answer(Kind.NAK, request), 0.0)
    assert client.wake(0.1) == []
    assert only(client.wake(client.due)).message.kind is Kind.DISCOVER


def test_renewal_goes_to_the_server_alone(bound):
    send = only(bound.wake(bound.due))
    assert (send.message.kind, send.source, send.destination) == (Kind.REQUEST, ADDRESS, SERVER)
    assert send.message.client == ADDRESS
    assert not {Option.SERVER, Option.REQUESTED_ADDRESS} & send.message.options.keys()
    bound.receive(answer(Kind.ACK, send.message), 1801.0)
    assert (bound.state, bound.due) == (State.BOUND, 3600.0)


def test_a_lease_that_nobody_renews_runs_out(bound):
    seen = []
    while bound.lease is not None:
        now = bound.due
        for send in bound.wake(now):
            seen.append((now, bound.state, send.destination))
    renewing = [now for now, state, _to in seen if state is State.RENEWING]
    rebinding = [now for now, state, _to in seen if state is State.REBINDING]
    assert renewing[0] == 1800.0
    assert rebinding[0] == 3150.0
    assert all(after - before >= 60 for before, after in pairwise(renewing))
    assert {to for _now, state, to in seen if state is State.REBINDING} == {BROADCAST}
    assert (seen[-1][0], seen[-1][1:]) == (3600.0, (State.SELECTING, BROADCAST))


def test_another_server_may_take_the_lease_over(bound):
    while bound.state is not State.REBINDING:
        send = only(bound.wake(bound.due))
    bound.receive(answer(Kind.ACK, send.message, server=OTHER), 3200.0)
    assert (bound.state, bound.lease.server) == (State.BOUND, OTHER)


def test_a_renewal_that_is_refused_takes_the_address(bound):
    send = only(bound.wake(bound.due))
    bound.receive(answer(Kind.NAK, send.message), 1800.0)
    assert bound.lease is None
    assert only(bound.wake(bound.due)).message.kind is Kind.DISCOVER


def test_an_eternal_lease_is_never_renewed(client):
    discover = only(client.wake(0.0)).message
    request = only(client.receive(answer(Kind.OFFER, discover), 0.0)).message
    client.receive(answer(Kind.ACK, request, lease_s=0xFFFFFFFF), 0.0)
    assert client.due == float("inf")
    assert client.wake(1e9) == []


def test_with_its_link_back_it_asks_for_the_same(bound):
    bound.reboot(100.0)
    request = only(bound.wake(100.0)).message
    assert (request.kind, request.options[Option.REQUESTED_ADDRESS]) == (Kind.REQUEST, ADDRESS)
    assert Option.SERVER not in request.options
    assert bound.lease is not None, "it keeps the address meanwhile"
    bound.receive(answer(Kind.ACK, request), 100.1)
    assert (bound.state, bound.due) == (State.BOUND, 100.0 + 1800)


def test_with_its_link_back_and_no_server_it_goes_on_with_its_lease(bound):
    bound.reboot(100.0)
    while bound.state is not State.BOUND:
        bound.wake(bound.due)
    assert (bound.lease.address, bound.due) == (ADDRESS, 1800.0)


def test_one_that_knows_an_address_asks_for_it_and_else_begins_anew():
    client = Client(MAC, Random(1), 0.0, known=ADDRESS)
    request = only(client.wake(0.0)).message
    assert (request.kind, request.options[Option.REQUESTED_ADDRESS]) == (Kind.REQUEST, ADDRESS)
    assert client.looks_for_known
    client.receive(answer(Kind.NAK, request), 0.0)
    assert not client.looks_for_known
    assert only(client.wake(client.due)).message.kind is Kind.DISCOVER
    client = Client(MAC, Random(1), 0.0, known=ADDRESS)
    kinds = [only(client.wake(client.due)).message.kind for _ in range(5)]
    assert kinds == [Kind.REQUEST] * 4 + [Kind.DISCOVER]


def test_a_lease_is_given_back_once(bound):
    send = bound.release()
    assert (send.message.kind, send.source, send.destination) == (Kind.RELEASE, ADDRESS, SERVER)
    assert (send.message.client, send.message.options[Option.SERVER]) == (ADDRESS, SERVER)
    assert bound.release() is None
    assert bound.wake(1e9) == []


@pytest.fixture
def probing():
    """A client that has been granted an address at the second 0, and probes it."""
    client = Client(MAC, Random(1), 0.0, probing=True)
    discover = only(client.wake(0.0)).message
    request = only(client.receive(answer(Kind.OFFER, discover), 0.0)).message
    assert client.receive(answer(Kind.ACK, request), 0.0) == [Probe(ADDRESS)]
    return client


def test_an_address_that_nobody_claims_is_used(probing):
    said = []
    while probing.state is State.PROBING:
        assert probing.lease is None
        said += probing.wake(probing.due)
    assert said == [Probe(ADDRESS)] * 2
    assert (probing.state, probing.lease.address, probing.due) == (State.BOUND, ADDRESS, 1800.0)


def test_one_that_another_has_is_declined_and_looked_for_anew_after_a_pause(probing):
    send = only(probing.decline(0.1))
    assert (send.message.kind, send.message.client, send.source, send.destination) == (
        Kind.DECLINE, ANY, ANY, BROADCAST,
    )  # fmt: skip
    assert send.message.options[Option.REQUESTED_ADDRESS] == ADDRESS
    assert send.message.options[Option.SERVER] == SERVER
    assert probing.lease is None
    assert probing.wake(10.0) == []
    assert only(probing.wake(10.1)).message.kind is Kind.DISCOVER


def test_what_is_in_use_is_not_declined(bound):
    assert bound.decline(1.0) == []
    assert bound.lease is not None


def test_an_address_that_is_still_probed_is_given_back_too(probing):
    assert probing.release().message.client == ADDRESS
    assert probing.release() is None


def test_an_address_from_before_is_not_probed():
    client = Client(MAC, Random(1), 0.0, ADDRESS, probing=True)
    request = only(client.wake(0.0)).message
    assert client.receive(answer(Kind.ACK, request), 0.1) == []
    assert client.state is State.BOUND
