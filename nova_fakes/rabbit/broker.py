"""A broker: virtual hosts, users, sessions, its clock, and the lock under which everything happens.

Everything is done in a turn, ``with broker:``. A turn first does what has become due; at its end confirms are answered,
the store commits, and the links of those who got something are flushed.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import InvalidInput, NotInTime
from nova_fakes.faults import Faults
from nova_fakes.rabbit.errors import AmqpError, HardError
from nova_fakes.rabbit.history import Call, History
from nova_fakes.rabbit.reply_to import Replies
from nova_fakes.rabbit.session import Session
from nova_fakes.rabbit.snapshot import snapshot
from nova_fakes.rabbit.timers import Timer, Timers
from nova_fakes.rabbit.users import Permission, User, Users
from nova_fakes.rabbit.vhost import VirtualHost

if TYPE_CHECKING:
    from nova_fakes.rabbit.publishing import Publishing
    from nova_fakes.rabbit.receiver import Link
    from nova_fakes.rabbit.store import Store

__all__ = ["Broker"]

MAX_MESSAGE_BYTES = 134_217_728
CONSUMER_TIMEOUT_S = 1800.0
#: As RabbitMQ tells of its disk alarm.
LOW_ON_DISK = "low on disk"
_KEEP_AGAIN_S = 1.0

LOG = logging.getLogger(__name__)


class Broker:
    """One broker, empty: the virtual host `/` and the user guest, who may do everything there.

    :param name: of the node; fault rules know it as their host
    :param clock: by which time-outs pass
    :param faults: rules over the operations `basic.publish`, `queue.declare` … and `confirm`
    :param seed: of the names that the broker makes up; None: by chance
    :param store: keeps what is durable
    """

    def __init__(
        self,
        name: str = "rabbit@nova-fakes",
        *,
        clock: Clock | None = None,
        faults: Faults | None = None,
        seed: int | None = None,
        store: Store | None = None,
    ) -> None:
        self.name = name
        self.clock: Clock = clock or SystemClock()
        self.faults = faults or Faults(self.clock)
        self.store = store
        self.max_message_bytes = MAX_MESSAGE_BYTES
        #: How long a delivery may wait for its acknowledgement.
        self.consumer_timeout_s = CONSUMER_TIMEOUT_S
        self.timers = Timers(self.clock)
        self.sessions: dict[Session, None] = {}
        #: Channels whose confirms are answered at the end of the turn.
        self.confirming: list[Publishing] = []
        #: Links that are flushed then.
        self.unflushed: dict[Link, None] = {}
        self.history: History | None = None
        self.replies = Replies()
        self.started_s = self.clock.now()
        self.is_down = False
        #: Why no more messages are taken; None: they are.
        self.blocked_by: str | None = None
        self._keeping_again: Timer | None = None
        self._later: deque[Callable[[], None]] = deque()
        self._lock = threading.RLock()
        self._turned = threading.Condition(self._lock)
        self._watchers = 0
        self._depth = 0
        self._random = random.Random(secrets.randbits(64) if seed is None else seed)
        self._begin()

    def _begin(self) -> None:
        self.vhosts: dict[str, VirtualHost] = {}
        self.users = Users()
        self.add_vhost("/")
        self.add_user("guest", "guest", tags=("administrator",))

    @property
    def is_watched(self) -> bool:
        """Whether calls are recorded or may fail: a look that callers on a fast path take."""
        return self.history is not None or self.faults.active

    # Turns.

    def __enter__(self) -> Broker:
        self._lock.acquire()
        self._depth += 1
        if self._depth == 1:
            try:
                self.timers.run_due()
            except BaseException:
                self._depth -= 1
                self._lock.release()
                raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if self._depth == 1:
                self._finish()
        finally:
            self._depth -= 1
            self._lock.release()

    def _finish(self) -> None:
        if self._later:
            self.run_later()
        if self.store is None or self._keep(self.store):
            while self.confirming:
                channels, self.confirming = self.confirming, []
                for channel in channels:
                    channel.flush_confirms()
        while self.unflushed:
            links, self.unflushed = self.unflushed, {}
            for link in links:
                link.flush()
        if self._watchers:
            self._turned.notify_all()

    def _keep(self, store: Store) -> bool:
        """Have what happened kept. Where there is no room, confirm nothing and take no messages until there is."""
        try:
            store.commit()
        except OSError as error:
            if self.blocked_by is None:
                LOG.error("the broker takes no messages until there is room on its disk: %s", error)
                self.block(LOW_ON_DISK)
            if self._keeping_again is None:
                self._keeping_again = self.timers.after(_KEEP_AGAIN_S, self._keep_again)
            return False
        if self.blocked_by == LOW_ON_DISK:
            LOG.warning("there is room on the broker's disk again")
            self.unblock()
        return True

    def _keep_again(self) -> None:
        """Make a turn, at the end of which it is tried."""
        self._keeping_again = None

    def later(self, action: Callable[[], None]) -> None:
        """Do something once the client has its answer to what it asks for now."""
        self._later.append(action)

    def run_later(self) -> None:
        """Do what has been put off; a face calls it when it has given an answer, the end of the turn anyway."""
        while self._later:
            self._later.popleft()()

    # Virtual hosts, users, sessions.

    def add_vhost(self, name: str) -> VirtualHost:
        """Return the virtual host of a name, made if it is not there."""
        return self.vhosts.setdefault(name, VirtualHost(self, name))

    def remove_vhost(self, name: str) -> None:
        """Take a virtual host away with all that is in it; its clients are thrown out. One not there is no error."""
        vhost = self.vhosts.pop(name, None)
        if vhost is None:
            return
        for session in [session for session in self.sessions if session.vhost is vhost]:
            session.end(HardError("CONNECTION_FORCED", f"vhost '{name}' is deleted", (0, 0)))
        for queue in list(vhost.queues.values()):
            vhost.delete_queue(queue)
        for exchange in list(vhost.exchanges.values()):
            vhost.delete_exchange(exchange)
        for user in self.users:
            user.permissions.pop(name, None)

    def add_user(
        self, name: str, password: str | None, *, tags: Iterable[str] = (), vhosts: Iterable[str] | None = None
    ) -> User:
        """Make a user who may do everything in some virtual hosts.

        :param password: None: one who comes by certificate only
        :param vhosts: None: all that there are
        """
        permissions = dict.fromkeys(self.vhosts if vhosts is None else vhosts, Permission())
        return self.users.add(User(name, password, tuple(tags), permissions))

    def connect(
        self,
        link: Link,
        *,
        user: User | str = "guest",
        vhost: str = "/",
        name: str = "",
        capabilities: Iterable[str] = ("consumer_cancel_notify",),
        details: Mapping[str, Any] | None = None,
    ) -> Session:
        """Let a client in (connection.open).

        :param link: see :class:`nova_fakes.rabbit.receiver.Link`
        :raises HardError: the virtual host is not there, or not for this user, or the broker is down
        """
        if self.is_down:
            raise HardError("CONNECTION_FORCED", "broker forced connection closure with reason 'shutdown'")
        known = self.users.get(user) if isinstance(user, str) else user
        if vhost not in self.vhosts:
            raise HardError("NOT_ALLOWED", f"vhost {vhost} not found")
        if known is None or vhost not in known.permissions:
            shown = user if isinstance(user, str) else user.name
            raise HardError("NOT_ALLOWED", f"access to vhost '{vhost}' refused for user '{shown}'")
        session = Session(
            self,
            self.vhosts[vhost],
            known,
            link,
            name or self.unique_name("session"),
            frozenset(capabilities),
            details or {},
        )
        self.sessions[session] = None
        return session

    def unique_name(self, prefix: str) -> str:
        """Make up a name that nothing has: the prefix, a hyphen and 22 characters."""
        return f"{prefix}-{urlsafe_b64encode(self._random.randbytes(16)).rstrip(b'=').decode()}"

    # For tests.

    def observe(self, session: Session, operation: str, arguments: Mapping[str, object]) -> None:
        """Record a call, and let it fail if a fault rule says so."""
        if self.history is not None:
            self.history.add(Call(self.clock.now(), session.name, session.vhost.name, operation, dict(arguments)))
        if self.faults.active:
            self.faults.check(operation, self.name)

    def record(self, limit: int = 100_000) -> History:
        """Record calls from now on; return the history, which keeps the last ones."""
        self.history = History(limit)
        return self.history

    def snapshot(self) -> dict[str, Any]:
        """Return what there is, as plain values."""
        return snapshot(self)

    def wait_until(self, condition: Callable[[], bool], patience_s: float = 30.0) -> bool:
        """Wait, in real time, until a condition holds; it is looked at after each turn. Tell whether it came to that.

        :raises InvalidInput: in a turn, while which nothing else could happen
        """
        with self._turned:
            if self._depth:
                raise InvalidInput("wait_until", self.name, "wait outside of a turn, `with broker:`")
            self._watchers += 1
            try:
                return self._turned.wait_for(condition, patience_s)
            finally:
                self._watchers -= 1

    def wait_for_consumers(self, queue: str, count: int = 1, *, vhost: str = "/", patience_s: float = 30.0) -> None:
        """Wait, in real time, until a queue is there and so many consume from it.

        :raises NotInTime: tells how many do, and what queues there are
        """

        def found() -> int:
            there = self.vhosts[vhost].queues.get(queue) if vhost in self.vhosts else None
            return 0 if there is None else there.consumer_count()

        if not self.wait_until(lambda: found() >= count, patience_s):
            with self:
                queues = self.vhosts[vhost].queues.values() if vhost in self.vhosts else ()
                there = ", ".join(f"{one.name!r} with {one.consumer_count()}" for one in queues) or "none"
                raise NotInTime(
                    f"queue {queue!r} in vhost {vhost!r} has {found()} consumers after {patience_s:g} s, "
                    f"not {count}; queues there: {there}"
                )

    def block(self, reason: str) -> None:
        """Take no more messages: publishers are told, and are not read from, until :meth:`unblock`."""
        with self:
            self.blocked_by = reason
            for session in self.sessions:
                session.link.blocked(reason)
                session.mark()

    def unblock(self) -> None:
        """Take messages again."""
        with self:
            self.blocked_by = None
            for session in self.sessions:
                session.link.blocked(None)
                session.mark()

    def drop(self, error: AmqpError | None = None) -> None:
        """Throw all clients out; see :meth:`Session.end`."""
        with self:
            for session in list(self.sessions):
                session.end(error)

    def reset(self) -> None:
        """Be as new: clients are thrown out, and nothing is left."""
        with self:
            self._reset()

    def _reset(self) -> None:
        self.drop(HardError("CONNECTION_FORCED", "broker forced connection closure with reason 'reset'", (0, 0)))
        for vhost in self.vhosts.values():
            for queue in list(vhost.queues.values()):
                vhost.delete_queue(queue)
            for exchange in list(vhost.exchanges.values()):
                if exchange.name and not exchange.name.startswith("amq."):
                    vhost.delete_exchange(exchange)
        self.timers.clear()
        self._keeping_again = None
        self.faults.clear()
        self.blocked_by = None
        self.is_down = False
        if self.history is not None:
            self.history.clear()
        self._begin()

    def stop(self) -> None:
        """Be lost, as by `kill -9`: connections break off, and what is not durable is gone."""
        with self:
            self.is_down = True
            self.drop()
            for vhost in self.vhosts.values():
                vhost.forget_transient()

    def start(self) -> None:
        """Come back after :meth:`stop`."""
        with self:
            self.is_down = False
            self.started_s = self.clock.now()
