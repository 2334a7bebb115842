"""A DHCPv6 client's life against a server that is a few lines of this test, by a clock of numbers."""

import struct
from itertools import pairwise
from random import Random

import pytest

from nova_fakes.virt.vif.dhcp6_client import Client6, State6
from nova_fakes.virt.vif.dhcp6_message import Kind6, Message6, Option6, Status, duid_of

MAC = bytes.fromhex("fa163e000001")
IAID = MAC[2:]
ADDRESS, ANOTHER = (bytes.fromhex("fd00") + bytes(13) + bytes([n]) for n in (5, 6))
SERVER, OTHER = b"server-1", b"server-2"


def answer(kind, to, *, address=ADDRESS, server=SERVER, preferred=1000, valid=2000, **more):
    """What a server says to a message; `status` and `preference` besides, `address` None for no association."""
    options = {Option6.CLIENT: more.get("client", duid_of(MAC)), Option6.SERVER: server}
    if "status" in more:
        options[Option6.STATUS] = more["status"].to_bytes(2)
    if "preference" in more:
        options[Option6.PREFERENCE] = bytes([more["preference"]])
    if address is not None:
        inner = struct.pack("!HH", Option6.ADDRESS, 24) + address + struct.pack("!II", preferred, valid)
        options[Option6.ASSOCIATION] = IAID + bytes(8) + inner
    options.update(more.get("options", {}))
    return Message6(kind, more.get("xid", to.xid), options).encode()


def only(messages):
    (message,) = messages
    return message


def asked_for(message):
    """The address that a message names."""
    return message.options[Option6.ASSOCIATION][16:32]


@pytest.fixture
def client():
    return Client6(MAC, Random(1), 0.0)


@pytest.fixture
def bound(client):
    """A client that has had its lease since the second 0: renewal at 500, rebinding at 800, end at 2000."""
    solicit = only(client.wake(0.0))
    request = only(client.receive(answer(Kind6.ADVERTISE, solicit, preference=255), 0.0))
    assert client.receive(answer(Kind6.REPLY, request), 0.1) == []
    assert (client.state, client.due) == (State6.BOUND, 500.0)
    return client


def test_solicit_advertise_request_reply(client):
    solicit = only(client.wake(0.0))
    assert solicit.kind is Kind6.SOLICIT
    assert solicit.options[Option6.CLIENT] == duid_of(MAC)
    assert solicit.options[Option6.ASSOCIATION] == IAID + bytes(8)
    assert solicit.options[Option6.ELAPSED_TIME] == bytes(2)
    assert Option6.SERVER not in solicit.options
    assert client.receive(answer(Kind6.ADVERTISE, solicit), 0.2) == []
    assert 1.0 <= client.due <= 1.1, "other servers are waited for"
    request = only(client.wake(client.due))
    assert (request.kind, request.options[Option6.SERVER], asked_for(request)) == (Kind6.REQUEST, SERVER, ADDRESS)
    assert request.xid != solicit.xid
    at = client.due - 0.5
    assert client.lease is None
    client.receive(answer(Kind6.REPLY, request), at)
    assert (client.state, client.lease.address) == (State6.BOUND, ADDRESS)
    assert client.wake(100.0) == []


def test_the_best_of_several_offers_is_taken(client):
    solicit = only(client.wake(0.0))
    client.receive(answer(Kind6.ADVERTISE, solicit, preference=1), 0.1)
    client.receive(answer(Kind6.ADVERTISE, solicit, server=OTHER, address=ANOTHER, preference=7), 0.2)
    client.receive(answer(Kind6.ADVERTISE, solicit, preference=7), 0.3)
    request = only(client.wake(client.due))
    assert (request.options[Option6.SERVER], asked_for(request)) == (OTHER, ANOTHER)


def test_after_the_first_wait_any_offer_is_taken(client):
    client.wake(0.0)
    solicit = only(client.wake(client.due))
    assert int.from_bytes(solicit.options[Option6.ELAPSED_TIME]) >= 100
    assert only(client.receive(answer(Kind6.ADVERTISE, solicit), 1.5)).kind is Kind6.REQUEST


def test_offers_of_nothing_are_passed_over(client):
    solicit = only(client.wake(0.0))
    for more in ({"address": None}, {"status": Status.NO_ADDRESSES}, {"valid": 0, "preferred": 0}):
        assert client.receive(answer(Kind6.ADVERTISE, solicit, preference=255, **more), 0.1) == []
    assert only(client.wake(client.due)).kind is Kind6.SOLICIT


@pytest.mark.parametrize("more", [{"xid": 7}, {"client": b"else"}, {"server": None}])
def test_what_is_for_others_is_passed_over(client, more):
    solicit = only(client.wake(0.0))
    data = answer(Kind6.ADVERTISE, solicit, preference=255, **more) if "server" not in more else None
    if data is None:
        data = Message6(Kind6.ADVERTISE, solicit.xid, {Option6.CLIENT: duid_of(MAC)}).encode()
    assert client.receive(data, 0.1) == []
    assert client.state is State6.SOLICITING


def test_without_a_server_it_asks_ever_more_seldom(client):
    moments = []
    for _ in range(16):
        assert only(client.wake(client.due)).kind is Kind6.SOLICIT
        moments.append(client.due)
    pauses = [after - before for before, after in pairwise(moments)]
    assert all(1.9 <= after / before <= 2.1 for before, after in pairwise(pauses[:10]))
    assert all(3240 <= pause <= 3960 for pause in pauses[12:])


def test_a_server_may_choose_the_longest_wait(client):
    solicit = only(client.wake(0.0))
    options = {Option6.LONGEST_SOLICIT_WAIT: (60).to_bytes(4)}
    client.receive(answer(Kind6.ADVERTISE, solicit, status=Status.NO_ADDRESSES, options=options), 0.1)
    before = 0.0
    for _ in range(12):
        before = client.due
        client.wake(client.due)
    assert client.due - before <= 66.0


def test_an_offer_that_is_not_kept_begins_anew(client):
    solicit = only(client.wake(0.0))
    request = only(client.receive(answer(Kind6.ADVERTISE, solicit, preference=255), 0.0))
    kinds = [only(client.wake(client.due)).kind for _ in range(10)]
    assert kinds == [Kind6.REQUEST] * 9 + [Kind6.SOLICIT]
    assert client.receive(answer(Kind6.REPLY, request), client.due) == []
    assert client.lease is None, "an answer to what was asked before is none"


def test_a_refused_request_begins_anew_after_a_breath(client):
    solicit = only(client.wake(0.0))
    request = only(client.receive(answer(Kind6.ADVERTISE, solicit, preference=255), 0.0))
    client.receive(answer(Kind6.REPLY, request, status=Status.NOT_ON_LINK), 0.1)
    assert client.wake(0.5) == []
    assert only(client.wake(1.2)).kind is Kind6.SOLICIT


def test_a_lease_is_renewed_by_its_server(bound):
    renew = only(bound.wake(500.0))
    assert (renew.kind, renew.options[Option6.SERVER], asked_for(renew)) == (Kind6.RENEW, SERVER, ADDRESS)
    bound.receive(answer(Kind6.REPLY, renew, preferred=2000, valid=4000), 500.5)
    assert (bound.state, bound.due, bound.lease.valid_s) == (State6.BOUND, 1500.0, 4000)


def test_then_by_any_and_then_it_is_lost(bound):
    seen = []
    while bound.lease is not None:
        for message in bound.wake(bound.due):
            seen.append((message.kind, Option6.SERVER in message.options, bound.due))
    kinds = [kind for kind, _server, _due in seen]
    assert kinds == [*sorted(kinds[:-1]), Kind6.SOLICIT]
    assert {kind: server for kind, server, _due in seen} == {
        Kind6.RENEW: True, Kind6.REBIND: False, Kind6.SOLICIT: False,
    }  # fmt: skip
    assert all(due <= 2000.0 for _kind, _server, due in seen[:-1])


def test_rebound_by_another_server(bound):
    bound.wake(500.0)
    rebind = None
    while rebind is None:
        rebind = next((one for one in bound.wake(bound.due) if one.kind is Kind6.REBIND), None)
    at = 800.0
    bound.receive(answer(Kind6.REPLY, rebind, server=OTHER), at)
    assert (bound.state, bound.lease.server) == (State6.BOUND, OTHER)
    assert only(bound.wake(bound.due)).options[Option6.SERVER] == OTHER


def test_a_server_that_has_forgotten_is_asked_to_give_it_again(bound):
    renew = only(bound.wake(500.0))
    bound.receive(answer(Kind6.REPLY, renew, address=None, status=Status.NO_BINDING, server=OTHER), 500.1)
    assert bound.lease.address == ADDRESS, "it holds until it is refused"
    request = only(bound.wake(500.1))
    assert (request.kind, request.options[Option6.SERVER], asked_for(request)) == (Kind6.REQUEST, OTHER, ADDRESS)
    bound.receive(answer(Kind6.REPLY, request, status=Status.NO_BINDING), 500.2)
    assert bound.lease is None
    assert only(bound.wake(502.0)).kind is Kind6.SOLICIT


def test_a_server_takes_it_back(bound):
    renew = only(bound.wake(500.0))
    bound.receive(answer(Kind6.REPLY, renew, preferred=0, valid=0), 500.1)
    assert bound.lease is None


@pytest.mark.parametrize("more", [{"address": None}, {"status": Status.UNSPECIFIED_FAILURE}])
def test_a_reply_that_says_nothing_of_it_changes_nothing(bound, more):
    renew = only(bound.wake(500.0))
    bound.receive(answer(Kind6.REPLY, renew, **more), 500.1)
    assert (bound.state, bound.lease.address) == (State6.RENEWING, ADDRESS)
    assert only(bound.wake(bound.due)).kind is Kind6.RENEW


def test_an_endless_lease_is_never_renewed(client):
    solicit = only(client.wake(0.0))
    request = only(client.receive(answer(Kind6.ADVERTISE, solicit, preference=255), 0.0))
    client.receive(answer(Kind6.REPLY, request, preferred=0xFFFFFFFF, valid=0xFFFFFFFF), 0.1)
    assert client.due == float("inf")


def test_with_the_link_back_it_is_confirmed(bound):
    bound.reboot(100.0)
    confirm = only(bound.wake(100.0))
    assert (confirm.kind, asked_for(confirm), Option6.SERVER in confirm.options) == (Kind6.CONFIRM, ADDRESS, False)
    bound.receive(answer(Kind6.REPLY, confirm, address=None, status=Status.SUCCESS), 100.1)
    assert (bound.state, bound.due, bound.lease.address) == (State6.BOUND, 500.0, ADDRESS)


def test_on_another_link_it_is_lost(bound):
    bound.reboot(100.0)
    confirm = only(bound.wake(100.0))
    bound.receive(answer(Kind6.REPLY, confirm, address=None, status=Status.NOT_ON_LINK), 100.1)
    assert bound.lease is None
    assert only(bound.wake(100.1)).kind is Kind6.SOLICIT


def test_where_nobody_confirms_it_goes_on(bound):
    bound.reboot(100.0)
    said = []
    while bound.state is not State6.BOUND:
        said += bound.wake(bound.due)
    assert {one.kind for one in said} == {Kind6.CONFIRM}
    assert (bound.due, bound.lease.address) == (500.0, ADDRESS)


def test_an_address_from_before_a_restart_is_extended():
    client = Client6(MAC, Random(1), 0.0, ADDRESS)
    rebind = only(client.wake(0.0))
    assert (rebind.kind, asked_for(rebind), client.looks_for_known) == (Kind6.REBIND, ADDRESS, True)
    client.receive(answer(Kind6.REPLY, rebind), 0.1)
    assert (client.state, client.lease.address) == (State6.BOUND, ADDRESS)


def test_or_given_up_where_nobody_knows_it():
    client = Client6(MAC, Random(1), 0.0, ADDRESS)
    kinds = []
    while client.looks_for_known:
        kinds += [one.kind for one in client.wake(client.due)]
    assert kinds[:-1] == [Kind6.REBIND] * (len(kinds) - 1)
    assert (kinds[-1], client.due < 12.5) == (Kind6.SOLICIT, True)


def test_the_lease_is_given_back_once(bound):
    release = bound.release()
    assert (release.kind, release.options[Option6.SERVER], asked_for(release)) == (Kind6.RELEASE, SERVER, ADDRESS)
    assert (bound.lease, bound.due, bound.release()) == (None, float("inf"), None)


def test_information_alone_is_asked_for_again_in_its_time():
    client = Client6(MAC, Random(1), 0.0, information=True)
    asked = only(client.wake(0.0))
    assert (asked.kind, Option6.ASSOCIATION in asked.options) == (Kind6.INFORMATION_REQUEST, False)
    assert Option6.REFRESH_TIME.to_bytes(2) in asked.options[Option6.WANTED]
    told = {Option6.DNS: ADDRESS, Option6.REFRESH_TIME: (1000).to_bytes(4)}
    client.receive(answer(Kind6.REPLY, asked, address=None, options=told), 0.1)
    assert (client.lease.dns, client.due) == ((ADDRESS,), 1000.0)
    assert only(client.wake(1000.0)).kind is Kind6.INFORMATION_REQUEST
    assert client.lease is not None
    client.reboot(1001.0)
    assert only(client.wake(1001.0)).kind is Kind6.INFORMATION_REQUEST
    assert client.release() is None


def test_an_address_that_another_has_is_declined_and_looked_for_anew(bound):
    bound.decline(2.0)
    assert bound.lease is None
    decline = only(bound.wake(2.0))
    assert (decline.kind, decline.options[Option6.SERVER], asked_for(decline)) == (Kind6.DECLINE, SERVER, ADDRESS)
    assert Option6.WANTED not in decline.options
    assert bound.receive(answer(Kind6.REPLY, decline, address=None, status=Status.UNSPECIFIED_FAILURE), 2.5) == []
    assert bound.wake(12.0) == []
    solicit = only(bound.wake(12.5))
    assert (solicit.kind, solicit.options[Option6.ASSOCIATION]) == (Kind6.SOLICIT, IAID + bytes(8))


def test_a_server_that_does_not_hear_of_it_is_told_four_times(bound):
    bound.decline(2.0)
    said = []
    while bound.state is State6.DECLINING:
        said += [(one.kind, one.xid) for one in bound.wake(bound.due)]
    assert [kind for kind, _xid in said] == [Kind6.DECLINE] * 4
    assert len(set(said)) == 1
    assert only(bound.wake(bound.due)).kind is Kind6.SOLICIT


def test_without_an_address_there_is_nothing_to_decline(client):
    client.decline(0.0)
    assert only(client.wake(0.0)).kind is Kind6.SOLICIT
