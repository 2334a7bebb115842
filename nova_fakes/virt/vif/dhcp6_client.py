"""A DHCPv6 client without sockets: what to send, and when, as RFC 8415 §18.2 has it.

Driven as `nova_fakes.virt.vif.dhcp_client` is: whoever does it hands it messages and the time, sends what it returns to
all servers on the link, and asks it again when `due` has come.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from nova_fakes.virt.vif.dhcp6_message import (
    Kind6,
    Lease6,
    Message6,
    Option6,
    Status,
    duid_of,
    encode_association,
    status_of,
)

__all__ = ["Client6", "State6"]

_BEST_PREFERENCE = 255
#: What ends a search for an address, or a lease; whatever else goes wrong is asked again in its time.
_FINAL = (Status.NO_BINDING, Status.NOT_ON_LINK, Status.NO_ADDRESSES)
#: Before a search begins anew that a server has ended, seconds.
_BREATH_S = 1.0
#: Before it begins anew after an address that was in use, as RFC 2131 §3.1 has it: a server may give it again.
_DECLINED_PAUSE_S = 10.0
_WANTED = b"".join(
    code.to_bytes(2) for code in (Option6.DNS, Option6.LONGEST_SOLICIT_WAIT, Option6.LONGEST_INFORMATION_WAIT)
)
#: What a server may make of the longest wait (§21.24), seconds.
_LEAST_LONGEST_S, _MOST_LONGEST_S = 60, 86_400


class State6(Enum):
    """Where a client is; each but the last two has a message that it repeats."""

    SOLICITING = "soliciting"
    REQUESTING = "requesting"
    CONFIRMING = "confirming"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    DECLINING = "declining"
    INFORMING = "informing"
    BOUND = "bound"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class _Patience:
    """How a message is repeated (§7.6): first and longest wait, seconds; how often, and for how long, None for ever."""

    kind: Kind6
    first_s: float
    longest_s: float
    tries: int | None = None
    lasts_s: float | None = None


_PATIENCE: Mapping[State6, _Patience] = {
    State6.SOLICITING: _Patience(Kind6.SOLICIT, 1.0, 3600.0),
    State6.REQUESTING: _Patience(Kind6.REQUEST, 1.0, 30.0, tries=10),
    State6.CONFIRMING: _Patience(Kind6.CONFIRM, 1.0, 4.0, lasts_s=10.0),
    State6.RENEWING: _Patience(Kind6.RENEW, 10.0, 600.0),
    State6.REBINDING: _Patience(Kind6.REBIND, 10.0, 600.0),
    State6.DECLINING: _Patience(Kind6.DECLINE, 1.0, math.inf, tries=4),
    State6.INFORMING: _Patience(Kind6.INFORMATION_REQUEST, 1.0, 3600.0),
}
#: How long an address from before a restart, of which no times are known, is asked for before the search begins anew.
_KNOWN_LASTS_S = 10.0
_KNOWN_FIRST_S = 1.0


class Client6:
    """Gets and keeps one address for one interface, or information alone.

    :param mac: the interface's, six bytes; the identity is made of it, so that it is the same after a restart
    :param chance: for transaction numbers and the spread of repetitions
    :param now: the time, seconds
    :param known: an address that it had before, and asks for again
    :param information: it needs no address: the network's routers say how to make one (RFC 4862)
    """

    def __init__(
        self, mac: bytes, chance: Random, now: float, known: bytes | None = None, *, information: bool = False
    ) -> None:
        self._duid = duid_of(mac)
        self._iaid = mac[2:]
        self._chance = chance
        self._information = information
        self._known = known
        self._xid = 0
        self._began = self._asked = now
        self._tries = 0
        self._wait_s = 0.0
        self._best: tuple[int, Lease6] | None = None
        self._longest: dict[State6, float] = {}
        self._renewal = self._rebinding = self._end = math.inf
        self._offer: Lease6 | None = None
        #: What it holds; None where it holds nothing.
        self.lease: Lease6 | None = None
        #: When `wake` is to be called, seconds.
        self.due = now
        self.state = State6.SOLICITING
        self._enter(self._first_state(), now)

    def wake(self, now: float) -> list[Message6]:
        """Do what is due."""
        if now < self.due:
            return []
        if self.lease is not None and now >= self._end:
            self._lose(now)
        if self.state is State6.BOUND:
            self._enter(State6.INFORMING if self._information else State6.RENEWING, now)
        if self.state is State6.RENEWING and now >= self._rebinding:
            self._enter(State6.REBINDING, now)
        if self.state is State6.SOLICITING and self._best is not None:
            return self._take_offer(now)
        if self._tries and self._is_over(now):
            self._give_up(now)
            if now < self.due:
                return []
        return self._say(now)

    def receive(self, payload: bytes, now: float) -> list[Message6]:
        """Take a message in; what is not for this client, or does not fit its state, is passed over."""
        message = Message6.decode(payload)
        if message is None or message.xid != self._xid or not self._tries:
            return []
        options = message.options
        if options.get(Option6.CLIENT) != self._duid or Option6.SERVER not in options:
            return []
        self._heed(message)
        if message.kind is Kind6.ADVERTISE and self.state is State6.SOLICITING:
            return self._weigh(message, now)
        if message.kind is Kind6.REPLY:
            self._take_reply(message, now)
        return []

    def reboot(self, now: float) -> None:
        """Ask whether the address is still right, as a guest does that has started or has its link back."""
        if self._information or self.lease is None:
            self._enter(self._first_state(), now)
        else:
            self._enter(State6.CONFIRMING, now)

    def decline(self, now: float) -> None:
        """Refuse the address that it holds, which another uses: its server is told, and then another is looked for."""
        if self.lease is None or self.lease.address is None:
            return
        self._offer, self.lease, self._known = self.lease, None, None
        self._enter(State6.DECLINING, now)

    def release(self) -> Message6 | None:
        """Give the lease back; returns what tells the server, None where there is nothing to give back.

        It is said once: the interface goes with the instance, and an answer would find nobody.
        """
        lease, self.lease = self.lease, None
        self.state, self.due = State6.ENDED, math.inf
        if lease is None or lease.address is None:
            return None
        self._xid = self._chance.getrandbits(24)
        return Message6(
            Kind6.RELEASE,
            self._xid,
            {
                Option6.CLIENT: self._duid,
                Option6.SERVER: lease.server,
                Option6.ASSOCIATION: encode_association(self._iaid, lease.address),
                Option6.ELAPSED_TIME: bytes(2),
            },
        )

    @property
    def looks_for_known(self) -> bool:
        """Whether it may yet get the address that it had before, which stays where it is until that is known."""
        return self._known is not None and self.lease is None

    def _first_state(self) -> State6:
        if self._information:
            return State6.INFORMING
        # Of an address from before a restart nothing else is known, its server included: any may extend it.
        return State6.SOLICITING if self._known is None else State6.REBINDING

    def _enter(self, state: State6, at: float) -> None:
        self.state = state
        self._xid = self._chance.getrandbits(24)
        self._began, self._tries, self._best = at, 0, None
        self.due = at

    def _is_over(self, now: float) -> bool:
        """Tell whether what was said in vain has been said often or long enough."""
        patience = _PATIENCE[self.state]
        lasts_s = _KNOWN_LASTS_S if self.looks_for_known else patience.lasts_s
        if lasts_s is not None and now >= self._began + lasts_s:
            return True
        return patience.tries is not None and self._tries >= patience.tries

    def _give_up(self, now: float) -> None:
        if self.state is State6.CONFIRMING and self.lease is not None:
            # Nobody contradicts: it goes on with what it has (§18.2.3).
            self._rest()
            return
        pause_s = _DECLINED_PAUSE_S if self.state is State6.DECLINING else 0.0
        self._known = self._offer = None
        self._enter(State6.SOLICITING, now + pause_s)

    def _say(self, now: float) -> list[Message6]:
        patience = _PATIENCE[self.state]
        first_s = _KNOWN_FIRST_S if self.looks_for_known else patience.first_s
        longest_s = self._longest.get(self.state, patience.longest_s)
        spread = self._chance.uniform(-0.1, 0.1)
        if not self._tries:
            # The first SOLICIT waits longer than its time, not shorter: all servers shall be heard (§18.2.1).
            self._wait_s = first_s * (1 + (abs(spread) if self.state is State6.SOLICITING else spread))
        else:
            self._wait_s = self._wait_s * (2 + spread)
        if self._wait_s > longest_s:
            self._wait_s = longest_s * (1 + spread)
        self._tries += 1
        self._asked = now
        self.due = min([now + self._wait_s, *self._limits()])
        return [Message6(patience.kind, self._xid, self._options(now))]

    def _limits(self) -> list[float]:
        """List the moments at which something else is to be done."""
        limits = [self._end] if self.lease is not None else []
        if self.state is State6.RENEWING:
            limits.append(self._rebinding)
        lasts_s = _KNOWN_LASTS_S if self.looks_for_known else _PATIENCE[self.state].lasts_s
        return limits if lasts_s is None else [*limits, self._began + lasts_s]

    def _options(self, now: float) -> Mapping[int, bytes]:
        hundredths = 0 if self._tries == 1 else min(0xFFFF, int((now - self._began) * 100))
        options: dict[int, bytes] = {Option6.CLIENT: self._duid}
        addressed = self._offer if self.state in (State6.REQUESTING, State6.DECLINING) else self.lease
        if self.state in (State6.REQUESTING, State6.RENEWING, State6.DECLINING) and addressed is not None:
            options[Option6.SERVER] = addressed.server
        if self.state is not State6.INFORMING:
            address = self._known if addressed is None else addressed.address
            options[Option6.ASSOCIATION] = encode_association(self._iaid, address)
        if self.state not in (State6.CONFIRMING, State6.DECLINING):
            options[Option6.WANTED] = _WANTED
            if self.state is State6.INFORMING:
                options[Option6.WANTED] += Option6.REFRESH_TIME.to_bytes(2)
        options[Option6.ELAPSED_TIME] = hundredths.to_bytes(2)
        return options

    def _heed(self, message: Message6) -> None:
        """Let a server choose the longest wait (§21.24, §21.25)."""
        for state, code in (
            (State6.SOLICITING, Option6.LONGEST_SOLICIT_WAIT),
            (State6.INFORMING, Option6.LONGEST_INFORMATION_WAIT),
        ):
            given = int.from_bytes(message.options.get(code, b""))
            if _LEAST_LONGEST_S <= given <= _MOST_LONGEST_S:
                self._longest[state] = float(given)

    def _weigh(self, message: Message6, now: float) -> list[Message6]:
        """Keep the best offer until the first wait is over; one that cannot be bettered is taken at once."""
        offer = Lease6.from_message(message, self._iaid)
        if offer is None or status_of(message) is not Status.SUCCESS:
            return []
        preference = int.from_bytes(message.options.get(Option6.PREFERENCE, b"")[:1])
        if self._best is None or preference > self._best[0]:
            self._best = (preference, offer)
        if preference == _BEST_PREFERENCE or self._tries > 1:
            return self._take_offer(now)
        return []

    def _take_offer(self, now: float) -> list[Message6]:
        assert self._best is not None
        self._offer = self._best[1]
        self._enter(State6.REQUESTING, now)
        return self._say(now)

    def _take_reply(self, message: Message6, now: float) -> None:
        if self.state is State6.INFORMING:
            self._hold(Lease6.of_information(message))
            return
        if self.state is State6.DECLINING:
            self._give_up(now)  # the server knows, whatever it says of it (§18.2.10.3)
            return
        status = status_of(message)
        if self.state is State6.CONFIRMING:
            if status is Status.SUCCESS:
                self._rest()
            else:
                self._lose(now)
            return
        if self.state not in (State6.REQUESTING, State6.RENEWING, State6.REBINDING):
            return
        lease = Lease6.from_message(message, self._iaid)
        if status is Status.SUCCESS and lease is not None:
            self._hold(lease)
        elif status is Status.NO_BINDING and self.lease is not None and self.state is not State6.REQUESTING:
            # The server has forgotten it, and may give it again (§18.2.10.1).
            self._offer = replace(self.lease, server=message.options[Option6.SERVER])
            self._enter(State6.REQUESTING, now)
        elif status in _FINAL or (status is Status.SUCCESS and Option6.ASSOCIATION in message.options):
            self._lose(now + _BREATH_S)

    def _hold(self, lease: Lease6) -> None:
        self.lease, self._known, self._offer = lease, lease.address, None
        # It counts from when it was asked for, which is the safe side.
        self._renewal, self._rebinding, self._end = (
            math.inf if after_s is None else self._asked + after_s
            for after_s in (lease.renewal_s, lease.rebinding_s, lease.valid_s)
        )
        self._rest()

    def _rest(self) -> None:
        """Be content until the renewal."""
        self.state, self._tries = State6.BOUND, 0
        self.due = min(self._renewal, self._end)

    def _lose(self, begin: float) -> None:
        self.lease = self._known = self._offer = None
        self._enter(self._first_state(), begin)
