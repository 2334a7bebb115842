"""A broker's refusals as py-amqp's exceptions."""

from __future__ import annotations

from amqp import exceptions

from nova_fakes.rabbit.errors import AmqpError, HardError

__all__ = ["METHODS", "lost", "translated"]

#: The class and method that a refusal names (AMQP 0-9-1 §1.8).
METHODS = {
    "channel.open": (20, 10),
    "exchange.declare": (40, 10),
    "exchange.delete": (40, 20),
    "exchange.bind": (40, 30),
    "exchange.unbind": (40, 40),
    "queue.declare": (50, 10),
    "queue.bind": (50, 20),
    "queue.purge": (50, 30),
    "queue.delete": (50, 40),
    "queue.unbind": (50, 50),
    "basic.qos": (60, 10),
    "basic.consume": (60, 20),
    "basic.cancel": (60, 30),
    "basic.publish": (60, 40),
    "basic.return": (60, 50),
    "basic.get": (60, 70),
    "basic.ack": (60, 80),
    "basic.reject": (60, 90),
    "basic.recover": (60, 110),
    "basic.nack": (60, 120),
    "confirm.select": (85, 10),
    "tx.select": (90, 10),
    "tx.commit": (90, 20),
    "tx.rollback": (90, 30),
}


def translated(error: AmqpError, method: tuple[int, int] = (0, 0)) -> Exception:
    """Return the exception that py-amqp raises where the broker closes for this reason."""
    if isinstance(error, HardError):
        named = method if error.method is None else error.method
        default = exceptions.ConnectionError
    else:
        named, default = method, exceptions.ChannelError
    found: Exception = exceptions.error_for_code(error.code, error.text, named, default)
    return found


def lost() -> Exception:
    """Return what py-amqp's reading raises where the other end is gone."""
    return ConnectionResetError("Server unexpectedly closed connection")
