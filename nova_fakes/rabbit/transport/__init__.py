"""kombu's transport to a broker in the same process: ``fakerabbit://[user:password@][broker][/vhost]``.

Importing this module registers the transport, so that every entity of kombu's works over it::

    import kombu
    import nova_fakes.rabbit.transport

    with kombu.Connection("fakerabbit://") as connection:
        queue = connection.SimpleQueue("jobs")
        queue.put({"do": "this"})
        message = queue.get(timeout=1)
        message.ack()

oslo.messaging has it by ``transport_url = kombu+fakerabbit:////``, once this module is imported. What a client sees is
what py-amqp shows of a RabbitMQ: the same exceptions with the same texts, raised where py-amqp raises them. There is no
polling: who waits in ``drain_events`` is woken by what comes.

The URL's host names the broker (`Brokers`). With a fixture's own broker: ``with BROKERS.lent(broker) as url``.
"""

from kombu.transport import TRANSPORT_ALIASES

from nova_fakes.rabbit.transport.brokers import BROKERS, Brokers
from nova_fakes.rabbit.transport.channel import Channel, Message
from nova_fakes.rabbit.transport.connection import Connection
from nova_fakes.rabbit.transport.transport import Transport

__all__ = ["BROKERS", "Brokers", "Channel", "Connection", "Message", "Transport"]

TRANSPORT_ALIASES["fakerabbit"] = "nova_fakes.rabbit.transport:Transport"
# What oslo.messaging makes of the name where the URL has a host: it puts amqp for rabbit.
TRANSPORT_ALIASES["fakeamqp"] = "nova_fakes.rabbit.transport:Transport"
