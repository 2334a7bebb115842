"""A message broker that behaves like RabbitMQ 3.10: one engine, and the faces by which clients reach it.

The engine is plain Python, without sockets, threads or waiting; time comes from the clock that it is given.

::

    from nova_fakes.clock import ManualClock
    from nova_fakes.rabbit import Broker, Inbox, Properties

    broker = Broker(clock=ManualClock(), seed=1)
    inbox = Inbox()
    with broker:                                         # a turn: everything happens inside one
        session = broker.connect(inbox, user="guest", vhost="/")
        channel = session.open_channel(inbox)
        channel.queue_declare("jobs", arguments=typed({"x-message-ttl": 1000}))
        channel.consume("jobs", "me")
        channel.publish("", "jobs", Properties.of(headers={"a": 1}), b"body", mandatory=True)
    delivery = inbox.deliveries.popleft()                # told at the end of the turn at the latest
    with broker:
        channel.ack(delivery.delivery_tag)

**Turns.** `with broker:` takes the broker's lock, does what has become due, and at the end answers confirms, lets the
store commit and flushes links. Any thread may take a turn; turns nest. What a client is told inside a turn comes by its
channel's *receiver* (`Receiver`: deliver, returned, acked, nacked, cancelled, closed) and its session's *link* (`Link`:
flush, closed, blocked), which must be brief. `Inbox` is both, in memory.

**Errors.** A channel's methods raise `SoftError` (then call `channel.close()`) or `HardError` (then `session.close()`),
with `code` and `text` as RabbitMQ's close methods carry them.

**Values.** Names are `str`; bodies `bytes`; arguments are typed tables (`tables.typed({...})` makes one of Python's
values); properties are :class:`Properties`, which keep the octets of the content header.

**Faults and time.** `Broker(faults=Faults(...))`: rules name operations (`basic.publish`, `queue.declare` …,
`confirm`); an error that is a `SoftError` or `HardError` closes channel or connection with its code. `session.end()`
drops a connection, `channel.end(error)` closes a channel; `broker.block(reason)`, `broker.stop()` and `broker.start()`
lose the broker and bring it back with what is durable; `broker.reset()`; `broker.record()` keeps calls;
`broker.snapshot()` tells what there is. With a `ManualClock`, `clock.advance(s)` and then a turn make TTLs and
time-outs pass; a server's ticker takes that turn by itself.

**Modules.** `broker` (turns, virtual hosts, users, sessions), `vhost` (exchanges, queues, bindings), `session`,
`channel` over `publishing` over `declarations` (AMQP's methods), `exchange`, `bindings`, `topics` (routing), `queue`,
`quorum`, `stream`, `backlog`, `consumers` (delivery), `deaths` (dead-lettering), `arguments`, `equivalence` (checks
and their texts), `confirms`, `patience`, `reply_to`, `message`, `properties`, `tables` (values and octets), `timers`,
`store` (hooks for persistence), `receiver`, `history`, `snapshot`, `users`, `errors`; `wire` (AMQP 0-9-1 without input
and output), `server` and `ticker` (asyncio), `fakerabbit` over `carrot_message` (the
interface of nova's fake of 2011).
"""

from typing import TYPE_CHECKING, Any

from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.channel import Channel, Got
from nova_fakes.rabbit.declarations import Declared
from nova_fakes.rabbit.errors import AmqpError, HardError, SoftError
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.properties import Properties
from nova_fakes.rabbit.receiver import Delivery, Inbox, Link, Receiver, Return
from nova_fakes.rabbit.session import Session
from nova_fakes.rabbit.store import Store
from nova_fakes.rabbit.tables import plain, typed
from nova_fakes.rabbit.users import Permission, User

if TYPE_CHECKING:
    from nova_fakes.rabbit.server import Server

__all__ = [
    "AmqpError",
    "Broker",
    "Channel",
    "Declared",
    "Delivery",
    "Got",
    "HardError",
    "Inbox",
    "Link",
    "Message",
    "Permission",
    "Properties",
    "Receiver",
    "Return",
    "Server",
    "Session",
    "SoftError",
    "Store",
    "User",
    "plain",
    "typed",
]


def __getattr__(name: str) -> Any:
    """Return the server, which costs the import of asyncio, when it is first asked for."""
    if name != "Server":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nova_fakes.rabbit.server import Server

    return Server
