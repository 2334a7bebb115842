"""A DHCP client without sockets: what to send, and when, as RFC 2131 §4.4 has it.

The one who drives it hands it packets and the time, sends what it returns, and asks it again when `due` has come. Time
is seconds of any monotonic clock; chance, which spreads the repetitions of many clients, is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random

from nova_fakes.virt.vif.dhcp_message import ANY, BROADCAST, Kind, Lease, Message, Option

__all__ = ["Client", "Probe", "Send", "State"]

#: Between two tries, seconds. RFC 2131 §4.1 proposes 4 for the first; a port often comes up just after its instance.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 64.0
#: How often an offered address is asked for before the search begins anew.
_REQUESTS = 4
#: How often, and how far apart, an address is probed before it is used: in a fifth of a second, not RFC 5227's six.
_PROBES, _PROBE_WAIT_S = 3, 0.07
#: Before the search begins anew after an address that was in use (RFC 2131 §3.1).
_DECLINED_PAUSE_S = 10.0
#: Between two tries to renew at least (RFC 2131 §4.4.5).
_SHORTEST_RENEWAL_WAIT_S = 60.0
_LARGEST_MESSAGE = 1472
_WANTED = bytes(
    (
        Option.NETMASK,
        Option.ROUTER,
        Option.DNS,
        Option.MTU,
        Option.RENEWAL_TIME,
        Option.REBINDING_TIME,
        Option.CLASSLESS_ROUTES,
    )
)


class State(Enum):
    """Where a client is (RFC 2131 §4.4, figure 5); before it is bound it probes."""

    INIT = "init"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    REBOOTING = "rebooting"
    PROBING = "probing"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"


@dataclass(frozen=True, slots=True)
class Send:
    """A message to be sent, from which address and to which; a broadcast to all that hear it."""

    message: Message
    source: bytes = ANY
    destination: bytes = BROADCAST


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to all on the link, who has an address (RFC 5227 §2.1.1)."""

    address: bytes


class Client:
    """Gets and keeps a lease for one interface.

    :param mac: the interface's, six bytes
    :param chance: for transaction numbers and the spread of repetitions
    :param now: the time, seconds
    :param known: an address that it had before, and asks for again
    :param probing: probe a new address before it is used
    """

    def __init__(
        self, mac: bytes, chance: Random, now: float, known: bytes | None = None, *, probing: bool = False
    ) -> None:
        self._mac = mac
        self._chance = chance
        self._known = known
        self._probing = probing
        self._xid = 0
        self._began = now
        self._asked = now
        self._tries = 0
        self._offer: Lease | None = None
        self._renewal = self._rebinding = self._end = float("inf")
        self.state = State.INIT
        #: What it holds; None where it holds nothing.
        self.lease: Lease | None = None
        #: When `wake` is to be called, seconds.
        self.due = now

    def wake(self, now: float) -> Sequence[Send | Probe]:
        """Do what is due."""
        if now < self.due:
            return []
        if self.lease is not None and now >= self._end:
            self._lose(now)
        match self.state:
            case State.INIT:
                return self._begin(now)
            case State.SELECTING:
                return self._discover(now)
            case State.REQUESTING | State.REBOOTING:
                return self._ask_again(now)
            case State.PROBING:
                return self._probe(now)
            case State.BOUND | State.RENEWING | State.REBINDING:
                return self._renew(now)

    def receive(self, payload: bytes, now: float) -> Sequence[Send | Probe]:
        """Take a message in; what is not for this client, or does not fit its state, is passed over."""
        message = Message.decode(payload)
        if message is None or message.xid != self._xid or message.mac != self._mac:
            return []
        if message.kind is Kind.OFFER and self.state is State.SELECTING:
            return self._take_offer(message, now)
        if self.state in (State.REQUESTING, State.REBOOTING, State.RENEWING, State.REBINDING):
            if message.kind is Kind.ACK:
                return self._take_lease(message, now)
            if message.kind is Kind.NAK and self._is_from_ours(message):
                self._lose(now + self._spread(_FIRST_WAIT_S))
        return []

    def reboot(self, now: float) -> None:
        """Ask for the same address again, as a guest does that has started or has its link back."""
        if self.lease is not None:
            self._known = self.lease.address
        self.state = State.INIT
        self.due = now

    def decline(self, now: float) -> Sequence[Send]:
        """Refuse the address that it probes, since another uses it; later another is looked for."""
        refused = self._offer
        if self.state is not State.PROBING or refused is None:
            return []
        options: dict[int, bytes] = {
            Option.REQUESTED_ADDRESS: refused.address,
            Option.SERVER: refused.server,
            Option.CLIENT: self._identity,
        }
        self._lose(now + _DECLINED_PAUSE_S)
        return [Send(Message(Kind.DECLINE, self._new_xid(), self._mac, options=options))]

    def release(self) -> Send | None:
        """Give the lease back; returns what tells the server, None where there is nothing to give back."""
        lease, self.lease = self._offer if self.state is State.PROBING else self.lease, None
        self.state, self.due = State.INIT, float("inf")
        if lease is None:
            return None
        options: dict[int, bytes] = {Option.SERVER: lease.server, Option.CLIENT: self._identity}
        message = Message(Kind.RELEASE, self._new_xid(), self._mac, client=lease.address, options=options)
        return Send(message, lease.address, lease.server)

    @property
    def looks_for_known(self) -> bool:
        """Whether it may yet get the address that it had before, which stays where it is until that is known."""
        return self._known is not None and self.lease is None

    @property
    def _identity(self) -> bytes:
        return b"\x01" + self._mac

    def _new_xid(self) -> int:
        self._xid = self._chance.getrandbits(32)
        return self._xid

    def _begin(self, now: float) -> Sequence[Send]:
        self._began, self._tries = now, 0
        self._new_xid()
        if self._known is not None:
            self.state = State.REBOOTING
            return self._request(now)
        self.state = State.SELECTING
        return self._discover(now)

    def _discover(self, now: float) -> Sequence[Send]:
        self._back_off(now)
        return [Send(self._message(Kind.DISCOVER, now))]

    def _take_offer(self, message: Message, now: float) -> Sequence[Send]:
        offer = Lease.from_message(message)
        if offer is None:
            return []
        self._offer, self._tries = offer, 0
        self.state = State.REQUESTING
        return self._request(now)

    def _request(self, now: float) -> Sequence[Send]:
        self._back_off(now)
        if self.state is State.REBOOTING:
            return [Send(self._message(Kind.REQUEST, now, {Option.REQUESTED_ADDRESS: self._known or ANY}))]
        assert self._offer is not None
        wanted: dict[int, bytes] = {Option.REQUESTED_ADDRESS: self._offer.address, Option.SERVER: self._offer.server}
        return [Send(self._message(Kind.REQUEST, now, wanted))]

    def _ask_again(self, now: float) -> Sequence[Send | Probe]:
        if self._tries < _REQUESTS:
            return self._request(now)
        # A rebooted client may go on with a lease that holds still (RFC 2131 §3.2); the others begin anew.
        if self.state is State.REBOOTING and self.lease is not None:
            self.state = State.BOUND
            self.due = min(self._renewal, self._end)
            return self.wake(now)
        self._known = None
        self.state = State.INIT
        return self._begin(now)

    def _take_lease(self, message: Message, now: float) -> Sequence[Probe]:
        lease = Lease.from_message(message)
        if lease is None:
            return []
        if self._probing and self.state is State.REQUESTING:
            self.state, self._offer, self._tries = State.PROBING, lease, 0
            return self._probe(now)
        self._hold(lease)
        return []

    def _probe(self, now: float) -> Sequence[Probe]:
        assert self._offer is not None
        if self._tries == _PROBES:
            self._hold(self._offer)
            return []
        self._tries += 1
        self.due = now + _PROBE_WAIT_S
        return [Probe(self._offer.address)]

    def _hold(self, lease: Lease) -> None:
        # The lease counts from when it was asked for, which is the safe side (RFC 2131 §4.4.1).
        self.lease, self._known = lease, lease.address
        if lease.lease_s is None or lease.renewal_s is None or lease.rebinding_s is None:
            self._renewal = self._rebinding = self._end = float("inf")
        else:
            self._renewal = self._asked + lease.renewal_s
            self._rebinding = self._asked + lease.rebinding_s
            self._end = self._asked + lease.lease_s
        self.state, self.due = State.BOUND, self._renewal

    def _renew(self, now: float) -> Sequence[Send]:
        lease = self.lease
        assert lease is not None
        if self.state is State.BOUND:
            self._began = now
            self._new_xid()
        self._asked = now
        message = self._message(Kind.REQUEST, now, client=lease.address)
        if now >= self._rebinding:
            self.state = State.REBINDING
            self.due = _between(now, self._end)
            return [Send(message, lease.address)]
        self.state = State.RENEWING
        self.due = _between(now, self._rebinding)
        return [Send(message, lease.address, lease.server)]

    def _is_from_ours(self, message: Message) -> bool:
        """Tell whether a refusal is that of the server which was asked; another's says nothing of its lease."""
        if self.state is not State.REQUESTING or self._offer is None:
            return True
        return message.options.get(Option.SERVER, self._offer.server) == self._offer.server

    def _lose(self, begin: float) -> None:
        self.lease = self._known = self._offer = None
        self.state, self.due = State.INIT, begin

    def _message(
        self, kind: Kind, now: float, options: Mapping[int, bytes] | None = None, client: bytes = ANY
    ) -> Message:
        every: dict[int, bytes] = {
            **(options or {}),
            Option.CLIENT: self._identity,
            Option.PARAMETERS: _WANTED,
            Option.LARGEST_MESSAGE: _LARGEST_MESSAGE.to_bytes(2),
        }
        return Message(kind, self._xid, self._mac, client=client, secs=int(now - self._began), options=every)

    def _back_off(self, now: float) -> None:
        self._asked = now
        self.due = now + self._spread(min(_FIRST_WAIT_S * 2**self._tries, _LONGEST_WAIT_S))
        self._tries += 1

    def _spread(self, wait_s: float) -> float:
        return wait_s * self._chance.uniform(0.75, 1.25)


def _between(now: float, limit: float) -> float:
    """Return the moment of the next try: half of the time that is left, but not within a minute, nor after the end."""
    return min(limit, now + max(_SHORTEST_RENEWAL_WAIT_S, (limit - now) / 2))
