"""A client's connection to a broker in the same process, with the face of ``amqp.Connection``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from amqp.exceptions import RecoverableConnectionError

from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.errors import AmqpError, HardError
from nova_fakes.rabbit.transport.channel import Channel
from nova_fakes.rabbit.transport.failures import lost, translated

__all__ = ["Connection"]

Event = Callable[[], None]


class Connection:
    """What a client holds: events that wait to be drained, and channels.

    :param userid: None: guest, without a password
    :param options: kombu's transport_options: confirm_publish, client_properties, on_blocked, on_unblocked
    :raises amqp.exceptions.AccessRefused: the password is not theirs
    :raises amqp.exceptions.NotAllowed: the virtual host is not there, or not theirs
    :raises ConnectionRefusedError: the broker is down
    """

    def __init__(
        self,
        broker: Broker,
        userid: str | None = None,
        password: str | None = None,
        virtual_host: str = "/",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        options = options or {}
        self.broker = broker
        self.client: Any = None
        self.client_properties: dict[str, Any] = dict(options.get("client_properties") or {})
        self.server_properties = {"product": "RabbitMQ", "version": "3.10.8", "cluster_name": broker.name}
        self.confirm_publish = bool(options.get("confirm_publish"))
        self.channels: dict[int, Channel] = {}
        self.heartbeat = 0
        self._on_blocked = options.get("on_blocked")
        self._on_unblocked = options.get("on_unblocked")
        self._events: deque[Event] = deque()
        #: Why the broker has ended it; the client knows nothing of that before it looks.
        self._end: Exception | None = None
        self.connected = True
        self._arrived = threading.Condition()
        if broker.is_down:
            raise ConnectionRefusedError(f"broker {broker.name} is down")
        user = broker.users.get("guest") if userid is None else broker.users.authenticate(userid, password or "")
        if user is None:
            text = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
            raise translated(HardError("ACCESS_REFUSED", text, (0, 0)))
        try:
            with broker:
                capabilities = self.client_properties.get("capabilities", {"consumer_cancel_notify": True})
                self.session = broker.connect(
                    self,
                    user=user,
                    vhost=virtual_host,
                    name=self.client_properties.get("connection_name", ""),
                    capabilities=[name for name, is_there in capabilities.items() if is_there],
                    details={"client_properties": self.client_properties, "protocol": "in process"},
                )
        except AmqpError as error:
            raise translated(error, (10, 40)) from error

    def channel(self, channel_id: int | None = None) -> Channel:
        """Open a channel."""
        self.check_open()
        return Channel(self, channel_id)

    def check_open(self) -> None:
        """Refuse to go on where it has been closed; the first to notice that the broker has done it is told why."""
        if self._end is not None:
            self._ended()
        if not self.connected:
            raise RecoverableConnectionError("connection already closed")

    def _ended(self) -> None:
        end, self._end = self._end, None
        self.connected = False
        if end is not None:
            raise end

    def close(self, *reason: Any) -> None:
        """Let the channels and the exclusive queues go."""
        self.connected = False
        self._end = None
        with self.broker:
            self.session.close()
        self.channels.clear()

    def collect(self) -> None:
        """Close it without a word."""
        self.close()

    def fail(self, error: HardError, method: tuple[int, int]) -> Exception:
        """Close it for that reason; return what is to be raised."""
        self.session.close()
        self.channels.clear()
        self.connected = False
        return translated(error, method)

    def fail_later(self, error: HardError, method: tuple[int, int]) -> None:
        """Close it for that reason, which the client is told where it looks next."""
        self.session.close()
        self._end = translated(error, method)
        self.tell(self._ended)

    # What the broker tells; under its lock.

    def tell(self, event: Event) -> None:
        """Keep what has come until it is drained."""
        self._events.append(event)
        self.session.mark()

    def flush(self) -> None:
        """Wake who waits."""
        with self._arrived:
            self._arrived.notify_all()

    def closed(self, error: AmqpError | None) -> None:
        """The broker has ended the connection: what it sent before is read still."""
        self._end = lost() if error is None else translated(error)
        self.tell(self._ended)

    def blocked(self, reason: str | None) -> None:
        """The broker takes no more messages, or does again."""
        if reason is None:
            self.tell(lambda: self._on_unblocked() if self._on_unblocked else None)
        else:
            self.tell(lambda: self._on_blocked(reason) if self._on_blocked else None)

    # What the client does with it.

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for one event and hand it to whom it concerns.

        :param timeout: seconds; None: for ever
        :raises TimeoutError: nothing came
        """
        if not self._events:
            self.check_open()
            self.wait_for(lambda: bool(self._events), timeout)
        try:
            event = self._events.popleft()
        except IndexError:  # another thread was quicker
            raise TimeoutError("timed out") from None
        event()

    def wait_for(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait until something holds, which an event or the broker's turn may have brought about.

        :raises TimeoutError: it does not in time
        """
        deadline_s = None if timeout is None else time.monotonic() + timeout
        with self._arrived:
            while not condition():
                left_s = None if deadline_s is None else deadline_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise TimeoutError("timed out")
                self._arrived.wait(left_s)

    def is_blocked(self) -> bool:
        """Tell whether the broker takes no messages now."""
        return self.broker.blocked_by is not None and not self.session.is_closed
