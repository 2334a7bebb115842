"""RPC between the services of one process, without a broker: an oslo.messaging driver.

oslo.messaging's own `fake://` looks at its queues twenty times a second and hands objects and exceptions over as they
are. This one wakes the listener when a message comes, and puts every message and every exception through the same
serialization as the RabbitMQ driver does, so that what does not survive a broker does not survive here.

The installed package offers it under the transport URL ``nova-fakes://<name>/``; transports of one name share queues.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import oslo_messaging
from oslo_messaging._drivers import base
from oslo_messaging._drivers import common as rpc_common
from oslo_serialization import jsonutils

__all__ = ["InProcessDriver"]

_REPLY_LIMIT_S = 3600.0


class _Message(NamedTuple):
    context: dict[str, Any]
    text: str
    reply: Callable[[Any, Any], None] | None


class _Topic:
    """The queues of one topic: a common one, and one for each server.

    A queue exists from its first listener on and keeps its messages while nobody listens, as nova's RabbitMQ queues do;
    what is sent to a server that never listened is dropped.
    """

    def __init__(self) -> None:
        self.wakened = threading.Condition()
        self.common: deque[_Message] = deque()
        self.servers: dict[str, deque[_Message]] = {}

    def put(self, message: _Message, server: str | None, fanout: bool) -> None:
        with self.wakened:
            if fanout:
                targets = list(self.servers.values())
            elif server is None:
                targets = [self.common]
            else:
                targets = [self.servers[server]] if server in self.servers else []
            for target in targets:
                target.append(message)
            self.wakened.notify_all()


class _Exchange:
    """The topics that the transports of one name share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[tuple[str, str], _Topic] = {}

    def topic(self, exchange: str, name: str) -> _Topic:
        with self._lock:
            return self._topics.setdefault((exchange, name), _Topic())


# A transport is made from nothing but its URL, so transports that are to share queues must find them by name. An
# exchange goes with the last transport that uses it.
_exchanges: WeakValueDictionary[str, _Exchange] = WeakValueDictionary()
_exchanges_lock = threading.Lock()


class _Incoming(base.RpcIncomingMessage):  # type: ignore[misc]
    def __init__(self, message: _Message, requeue: Callable[[], None]) -> None:
        super().__init__(dict(message.context), jsonutils.loads(message.text))
        self._reply = message.reply
        self._requeue = requeue

    def reply(self, reply: Any = None, failure: Any = None) -> None:
        if self._reply is not None:
            self._reply(reply, failure)

    def requeue(self) -> None:
        self._requeue()

    def heartbeat(self) -> None:
        """Send nothing: the caller waits in this very process, and sees that it lives."""


class _Listener(base.PollStyleListener):  # type: ignore[misc]
    def __init__(self, topic: _Topic, server: str | None) -> None:
        super().__init__()
        self._topic = topic
        self._stopped = False
        self._queues: tuple[deque[_Message], ...]
        with topic.wakened:
            self._queues = (topic.common,)
            if server is not None:
                self._queues = (topic.servers.setdefault(server, deque()), topic.common)

    @base.batch_poll_helper  # type: ignore[untyped-decorator]
    def poll(self, timeout: float | None = None) -> _Incoming | None:
        topic = self._topic
        with topic.wakened:
            topic.wakened.wait_for(lambda: self._stopped or any(self._queues), timeout)
            if self._stopped:
                return None
            for waiting in self._queues:
                if waiting:
                    message = waiting.popleft()
                    return _Incoming(message, functools.partial(self._put_back, waiting, message))
        return None

    def stop(self) -> None:
        with self._topic.wakened:
            self._stopped = True
            self._topic.wakened.notify_all()

    def _put_back(self, waiting: deque[_Message], message: _Message) -> None:
        with self._topic.wakened:
            waiting.appendleft(message)
            self._topic.wakened.notify_all()


class InProcessDriver(base.BaseDriver):  # type: ignore[misc]
    """The driver behind ``nova-fakes://``; made by oslo.messaging from the transport URL."""

    def __init__(
        self,
        conf: Any,
        url: oslo_messaging.TransportURL,
        default_exchange: str | None = None,
        allowed_remote_exmods: list[str] | None = None,
    ) -> None:
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        name = ",".join(sorted(host.hostname or "" for host in url.hosts)) or "default"
        with _exchanges_lock:
            exchange = _exchanges.get(name)
            if exchange is None:
                exchange = _exchanges[name] = _Exchange()
        self._exchange = exchange
        self._default_exchange = default_exchange or "openstack"

    def require_features(self, requeue: bool = False) -> None:
        """Accept every requirement: requeueing works."""

    def send(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        wait_for_reply: bool | None = None,
        timeout: float | None = None,
        call_monitor_timeout: float | None = None,
        retry: int | None = None,
        transport_options: Any = None,
    ) -> Any:
        """Send a message and, for a call, wait for its reply.

        :raises MessagingTimeout: no reply came in time
        """
        replies: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

        def reply(result: Any, failure: Any) -> None:
            if failure:
                replies.put(("failure", rpc_common.serialize_remote_exception(failure)))
            else:
                replies.put(("result", jsonutils.dumps(result)))

        self._put(target, ctxt, message, reply if wait_for_reply else None)
        if not wait_for_reply:
            return None
        try:
            kind, content = replies.get(timeout=_REPLY_LIMIT_S if timeout is None else timeout)
        except queue.Empty:
            raise oslo_messaging.MessagingTimeout(
                f"no reply on topic {target.topic} of server {target.server} within {timeout} s"
            ) from None
        if kind == "failure":
            raise rpc_common.deserialize_remote_exception(content, self._allowed_remote_exmods)
        return jsonutils.loads(content)

    def send_notification(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        version: float,
        retry: int | None = None,
    ) -> None:
        """Send a notification."""
        self._put(target, ctxt, message, None)

    def listen(
        self, target: oslo_messaging.Target, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        """Return a listener for the topic's common queue and the server's own."""
        listener = _Listener(self._topic(target), target.server)
        return base.PollStyleListenerAdapter(listener, batch_size, batch_timeout)

    def listen_for_notifications(
        self,
        targets_and_priorities: list[tuple[oslo_messaging.Target, str]],
        pool: str | None,
        batch_size: int,
        batch_timeout: float | None,
    ) -> base.PollStyleListenerAdapter:
        """Refuse: nobody in a sandbox listens to notifications.

        :raises NotImplementedError: always
        """
        raise NotImplementedError("nova-fakes:// carries RPC; use a broker to listen to notifications")

    def cleanup(self) -> None:
        """Close the transport; its queues go with the last transport of its name."""

    def _put(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        reply: Callable[[Any, Any], None] | None,
    ) -> None:
        text = jsonutils.dumps(message)
        self._topic(target).put(_Message(dict(ctxt), text, reply), target.server, bool(target.fanout))

    def _topic(self, target: oslo_messaging.Target) -> _Topic:
        return self._exchange.topic(target.exchange or self._default_exchange, target.topic)
