"""How calls travel: as JSON in the body of a POST.

``POST /v2/<verb>`` carries an object: ``id`` (of the request, for logs), ``deadline_s`` (how long the client waits) and
``arguments``. The answer is ``{"result": …}`` or ``{"error": …}`` (see `failures`). ``POST /v2/batch`` carries several
calls, each an object with its ``verb`` besides; its result lists their answers, null for one that is not done yet:
whoever wants that one asks again, which is why only idempotent verbs go into a batch. The number in the path is
`protocol.PROTOCOL`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nova_fakes.agent import checks
from nova_fakes.agent.protocol import Request, decode_arguments, encode_arguments
from nova_fakes.exceptions import InvalidInput

__all__ = [
    "BATCH",
    "MAX_BATCH",
    "MAX_BODY_BYTES",
    "MAX_DEADLINE_S",
    "Call",
    "decode_batch",
    "decode_call",
    "encode_batch",
    "encode_call",
    "load_json",
]

#: Where several calls go, and how many at most.
BATCH, MAX_BATCH = "batch", 32
MAX_BODY_BYTES = 1 << 20
MAX_DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request under way: `deadline_s` is how long its client waits for the answer, seconds."""

    id: str
    deadline_s: float
    request: Request


def encode_call(call: Call) -> bytes:
    """Return the body that carries a call."""
    return _dump(_carried(call))


def decode_call(verb: str, body: bytes) -> Call:
    """Return the call that a body carries.

    :raises InvalidInput: it carries none
    """
    return _decode_call(verb, load_json(body))


def encode_batch(calls: Sequence[Call]) -> bytes:
    """Return the body that carries several calls."""
    return _dump({"calls": [{"verb": call.request.verb, **_carried(call)} for call in calls]})


def decode_batch(body: bytes) -> list[Call | InvalidInput]:
    """Return the calls that a body carries, in place of one that is none what is wrong with it.

    :raises InvalidInput: it carries no batch
    """
    given = checks.listed(checks.keys(load_json(body), "body", ("calls",))["calls"], "calls")
    if len(given) > MAX_BATCH:
        raise InvalidInput("calls", len(given), f"send at most {MAX_BATCH} at once")
    return [_batched(value) for value in given]


def _batched(value: object) -> Call | InvalidInput:
    try:
        verb = checks.text(_object(value).get("verb"), "verb")
        call = _decode_call(verb, {key: item for key, item in _object(value).items() if key != "verb"})
        if not call.request.idempotent:
            raise InvalidInput("verb", verb, "send it alone: it may not be said twice")
        return call
    except InvalidInput as error:
        return error


def _carried(call: Call) -> dict[str, Any]:
    return {"id": call.id, "deadline_s": call.deadline_s, "arguments": encode_arguments(call.request)}


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def _decode_call(verb: str, value: object) -> Call:
    given = checks.keys(value, "body", ("id", "deadline_s", "arguments"))
    deadline_s = given["deadline_s"]
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, (int, float)) or not 0 < deadline_s <= MAX_DEADLINE_S:
        raise InvalidInput("deadline_s", deadline_s, f"give seconds, more than 0 and at most {MAX_DEADLINE_S:g}")
    request = decode_arguments(verb, given["arguments"])
    return Call(checks.identifier(given["id"], "id"), float(deadline_s), request)


def load_json(body: bytes) -> Any:
    """Read JSON as RFC 8259 defines it: in UTF-8, without NaN, and no deeper than anybody needs.

    :raises InvalidInput: it is none
    """
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", ascii(body[:80]), f"give JSON in UTF-8 ({error})") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput("call", checks.shorten(value), "give an object")
    return value
