"""What a broker refuses: AMQP's soft errors close a channel, its hard errors the connection.

Source: AMQP 0-9-1 §1.7.1 "Reply code" and RabbitMQ's `rabbit_framing_amqp_0_9_1`.
"""

from __future__ import annotations

from nova_fakes.exceptions import NovaFakesError

__all__ = ["CODES", "AmqpError", "HardError", "MalformedTable", "SoftError", "internal_error"]

TEXT_LIMIT = 255

#: Reply code by name; those that are not in SOFT end the connection.
CODES = {
    "CONTENT_TOO_LARGE": 311,
    "NO_ROUTE": 312,
    "NO_CONSUMERS": 313,
    "CONNECTION_FORCED": 320,
    "INVALID_PATH": 402,
    "ACCESS_REFUSED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_LOCKED": 405,
    "PRECONDITION_FAILED": 406,
    "FRAME_ERROR": 501,
    "SYNTAX_ERROR": 502,
    "COMMAND_INVALID": 503,
    "CHANNEL_ERROR": 504,
    "UNEXPECTED_FRAME": 505,
    "RESOURCE_ERROR": 506,
    "NOT_ALLOWED": 530,
    "NOT_IMPLEMENTED": 540,
    "INTERNAL_ERROR": 541,
}


class AmqpError(NovaFakesError):
    """A broker's refusal.

    :param name: of the reply code: "NOT_FOUND" …
    :param explanation: what stands behind the name in the reply text
    """

    def __init__(self, name: str, explanation: str = "") -> None:
        self.name = name
        self.code = CODES[name]
        self.text = _cut(f"{name} - {explanation}" if explanation else name)
        super().__init__(f"({self.code}) {self.text}")


class SoftError(AmqpError):
    """Closes the channel on which it happens."""


class HardError(AmqpError):
    """Closes the connection on which it happens.

    :param method: class and method that the close names; None: those of the method that was answered
    """

    def __init__(self, name: str, explanation: str = "", method: tuple[int, int] | None = None) -> None:
        super().__init__(name, explanation)
        self.method = method


class MalformedTable(NovaFakesError):
    """The octets of a field table or of properties cannot be read."""


def internal_error() -> HardError:
    """Make the error by which RabbitMQ tells that a process of its own has crashed over a request."""
    return HardError("INTERNAL_ERROR", method=(0, 0))


def _cut(text: str) -> str:
    """Shorten a text to what a short string holds, as RabbitMQ does."""
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) <= TEXT_LIMIT:
        return text
    return octets[: TEXT_LIMIT - 3].decode("utf-8", "ignore") + "..."
