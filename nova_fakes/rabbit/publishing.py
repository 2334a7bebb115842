"""The part of a channel that publishes: checks, routes, confirms, transactions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nova_fakes.rabbit.arguments import EXPIRY_LIMIT_MS
from nova_fakes.rabbit.confirms import Confirms
from nova_fakes.rabbit.declarations import Declarations
from nova_fakes.rabbit.errors import CODES, SoftError
from nova_fakes.rabbit.message import Message
from nova_fakes.rabbit.properties import Properties
from nova_fakes.rabbit.reply_to import REPLY_TO
from nova_fakes.rabbit.tables import TYPE_NAMES

if TYPE_CHECKING:
    from nova_fakes.rabbit.receiver import Receiver
    from nova_fakes.rabbit.session import Session

__all__ = ["Publishing"]

_EXPIRATION = re.compile(r"([+-]?[0-9]+)(.*)", re.DOTALL)


class Publishing(Declarations):
    """What a channel publishes."""

    def __init__(self, session: Session, receiver: Receiver) -> None:
        super().__init__(session)
        self.receiver = receiver
        #: None: the channel is not in confirm mode.
        self.confirms: Confirms | None = None
        #: Messages with their mandatory flag that wait for tx.commit; None: the channel is not transactional.
        self.held: list[tuple[Message, bool]] | None = None
        #: Where answers to requests from this channel go; None: it takes no direct answers.
        self.reply_name: str | None = None
        self._writable: set[str] = set()
        self._exchanges = self.vhost.exchanges
        self._has_returned = False

    def confirm_select(self) -> None:
        """Have published messages confirmed from now on (confirm.select)."""
        if self.held is not None:
            raise SoftError("PRECONDITION_FAILED", "cannot switch from tx to confirm mode")
        if self.confirms is None:
            self.confirms = Confirms()

    def publish(
        self,
        exchange: str,
        routing_key: str,
        properties: Properties,
        body: bytes,
        *,
        mandatory: bool = False,
        address: bytes | None = None,
    ) -> None:
        """Publish a message (basic.publish).

        :param address: exchange and routing key as a delivery writes them, where the caller has them
        """
        broker = self.broker
        if broker.is_watched:
            self._observe("basic.publish", exchange=exchange, routing_key=routing_key)
        if len(body) > broker.max_message_bytes:
            text = f"message size {len(body)} is larger than configured max size {broker.max_message_bytes}"
            raise SoftError("PRECONDITION_FAILED", text)
        if exchange not in self._writable:
            self._check("write", "exchange", exchange)
            self._writable.add(exchange)
        target = self._exchanges.get(exchange) or self.vhost.exchange(exchange)
        if target.internal:
            raise SoftError("ACCESS_REFUSED", f"cannot publish to internal {target}")
        if self.user.topic_permissions:
            self._check_topic("write", target, routing_key)
        if properties.reply_to == REPLY_TO:
            properties = self._with_reply_name(properties)
        if properties.user_id is not None:
            self._check_user_id(properties.user_id)
        if properties.expiration is not None:
            _check_expiration(properties.expiration)
        if properties.delivery_mode not in (None, 1, 2):
            text = f"invalid message: {{delivery_mode_unknown,{properties.delivery_mode}}}"
            raise SoftError("PRECONDITION_FAILED", text)
        message = Message(exchange, routing_key, properties, body, address)
        if properties.carries_routes:
            _check_routes(message)
        if self.held is not None:
            self.held.append((message, mandatory))
            return
        confirms = self.confirms
        if confirms is None:
            self._route(message, mandatory)
        elif broker.faults.active:
            self._confirm_with_faults(confirms, message, mandatory)
        elif confirms.settle(confirms.number(), self._route(message, mandatory)):
            broker.confirming.append(self)

    def _route(self, message: Message, mandatory: bool) -> bool:
        """Bring a message to its queues; tell whether all of them took it."""
        target = self._exchanges.get(message.exchange)
        if target is None:  # deleted while a transaction held the message
            return True
        target.published += 1
        if not message.exchange and message.routing_key.startswith(REPLY_TO):
            self.broker.replies.deliver(message)
        queues = target.route(message)
        if message.properties.carries_routes:
            message = _without_bcc(message)
        if not queues:
            if mandatory:
                if self._has_returned:
                    self.flush_confirms()  # RabbitMQ confirms each at once that no queue has to take
                self._has_returned = True
                self.receiver.returned(message, CODES["NO_ROUTE"], "NO_ROUTE")
            return True
        if len(queues) == 1:
            return queues[0].publish(message)
        refusals = [queue for queue in queues if not queue.publish(message)]
        return not refusals

    def _confirm_with_faults(self, confirms: Confirms, message: Message, mandatory: bool) -> None:
        """Confirm as the fault rules for the operation `confirm` say: late, or by a refusal."""
        number = confirms.number()
        is_taken = self._route(message, mandatory)
        delay_s, failure = self.broker.faults.struck("confirm", self.broker.name)
        if delay_s:
            confirms.open.add(number)
            self.broker.timers.after(delay_s, lambda: self._settle(confirms, number, is_taken and failure is None))
        else:
            self._settle(confirms, number, is_taken and failure is None)

    def _settle(self, confirms: Confirms, number: int, is_taken: bool) -> None:
        confirms.open.discard(number)
        if confirms.settle(number, is_taken):
            self.broker.confirming.append(self)

    def flush_confirms(self) -> None:
        """Answer what has been settled since the last time; the broker calls it at the end of a turn."""
        self._has_returned = False
        if self.confirms is not None:
            self.confirms.flush(self.receiver.acked, self.receiver.nacked)

    def _with_reply_name(self, properties: Properties) -> Properties:
        if self.reply_name is None:
            raise SoftError("PRECONDITION_FAILED", "fast reply consumer does not exist")
        return properties.replace(reply_to=self.reply_name)

    def _check_user_id(self, claimed: str) -> None:
        if claimed != self.user.name and "impersonator" not in self.user.tags:
            text = f"user_id property set to '{claimed}' but authenticated user was '{self.user.name}'"
            raise SoftError("PRECONDITION_FAILED", text)


def _check_expiration(expiration: str) -> None:
    found = _EXPIRATION.fullmatch(expiration)
    if found is None:
        wrong = "no_integer"
    elif found[2]:
        wrong = f'{{leftover_string,"{found[2]}"}}'
    elif int(found[1]) < 0:
        wrong = f"{{value_negative,{int(found[1])}}}"
    elif int(found[1]) > EXPIRY_LIMIT_MS:
        wrong = f"{{value_too_large,{int(found[1])}}}"
    else:
        return
    raise SoftError("PRECONDITION_FAILED", f"invalid expiration '{expiration}': {wrong}")


def _check_routes(message: Message) -> None:
    for name in ("CC", "BCC"):
        kind, _content = message.properties.headers.get(name, ("A", []))
        if kind != "A":
            text = f'invalid message: {{unacceptable_type_in_header,"{name}",{TYPE_NAMES[kind]}}}'
            raise SoftError("PRECONDITION_FAILED", text)


def _without_bcc(message: Message) -> Message:
    headers = message.properties.headers
    if "BCC" not in headers:
        return message
    kept = {name: value for name, value in headers.items() if name != "BCC"}
    properties = message.properties.replace(headers=kept)
    return Message(message.exchange, message.routing_key, properties, message.body, message.address)
