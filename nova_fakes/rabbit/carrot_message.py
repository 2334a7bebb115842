"""Messages as carrot's backends had them: one to be published, and one that was received."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nova_fakes.exceptions import Conflict, InvalidInput
from nova_fakes.rabbit.properties import Properties

if TYPE_CHECKING:
    from nova_fakes.rabbit.fakerabbit import Backend

__all__ = ["Message", "MessageStateError", "Prepared", "prepared", "text_of"]

JSON = "application/json"
BINARY = ("binary", "ascii-8bit")


class MessageStateError(Conflict):
    """The message has been answered already."""


class Prepared(NamedTuple):
    """A message as :meth:`Backend.prepare_message` makes it."""

    message_data: Any
    content_type: str | None = None
    content_encoding: str | None = None
    delivery_mode: int | None = None
    priority: int | None = None

    def encoded(self, headers: Mapping[str, Any] | None = None) -> tuple[Properties, bytes]:
        """Return properties and octets; what is neither text nor octets is written as JSON.

        :raises InvalidInput: for such a value under a content type other than JSON, one that JSON cannot hold, or text
            that the content encoding cannot write
        """
        data, kind, encoding = self[:3]
        if isinstance(data, bytes):
            encoding = encoding or "binary"
        elif not isinstance(data, str):
            data, kind = _written(data, kind), JSON
        if isinstance(data, str):
            encoding = encoding or "utf-8"
            data = _octets(data, "utf-8" if encoding in BINARY else encoding)
        properties = Properties.of(
            content_type=kind,
            content_encoding=encoding,
            headers=headers,
            delivery_mode=self.delivery_mode,
            priority=self.priority,
        )
        return properties, data


def _written(data: Any, content_type: str | None) -> str:
    if content_type not in (None, JSON):
        raise InvalidInput("message_data", data, f"give text or octets as {content_type}")
    try:
        return json.dumps(data)
    except (TypeError, ValueError) as error:
        raise InvalidInput("message_data", data, f"give text, octets or what JSON can hold ({error})") from error


def _octets(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except (LookupError, UnicodeEncodeError) as error:
        raise InvalidInput("content_encoding", encoding, f"give one that can write the text ({error})") from error


def prepared(message: Any) -> Prepared:
    """Return a message to be published: a prepared one, a tuple (data, content type, content encoding), or a value."""
    if isinstance(message, Prepared):
        return message
    return Prepared(*message) if isinstance(message, tuple) and len(message) == 3 else Prepared(message)


class Message:
    """A message that was received; the keywords are its attributes.

    :param body: text; octets where the content encoding is binary
    """

    MessageStateError = MessageStateError

    def __init__(self, backend: Backend, **kwargs: Any) -> None:
        self.backend = backend
        self.body: Any = kwargs.get("body")
        self.delivery_tag: int = kwargs.get("delivery_tag", 0)
        self.content_type: str | None = kwargs.get("content_type")
        self.content_encoding: str | None = kwargs.get("content_encoding")
        self.delivery_info: dict[str, Any] = kwargs.get("delivery_info", {})
        self.headers: dict[str, Any] = kwargs.get("headers", {})
        self._state = "RECEIVED"

    def decode(self) -> Any:
        """Return the value of a JSON body, any other body as it is: what was pickled is never loaded.

        :raises ValueError: the body is no JSON, though its content type says so
        """
        return json.loads(self.body) if self.content_type == JSON else self.body

    @property
    def payload(self) -> Any:
        """The decoded body."""
        return self.decode()

    @property
    def acknowledged(self) -> bool:
        """Whether it has been answered, in whichever way."""
        return self._state != "RECEIVED"

    def ack(self) -> None:
        """Take it out of the queue.

        :raises MessageStateError: it has been answered already
        """
        self._answer("ACK", self.backend.ack)

    def reject(self) -> None:
        """Have it thrown away, or dead-lettered; errors as :meth:`ack`."""
        self._answer("REJECTED", self.backend.reject)

    def requeue(self) -> None:
        """Have it come again; errors as :meth:`ack`."""
        self._answer("REQUEUED", self.backend.requeue)

    def _answer(self, state: str, answer: Callable[[int], None]) -> None:
        if self.acknowledged:
            raise MessageStateError(f"the message has been answered already: {self._state}")
        answer(self.delivery_tag)
        self._state = state


def text_of(body: bytes, encoding: str | None) -> str | bytes:
    """Return the text of a body; the octets where they are no text by their encoding."""
    if encoding in BINARY:
        return body
    try:
        return body.decode(encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        return body
