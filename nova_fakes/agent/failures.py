"""Errors on the wire: each kind by its name with what it is made of, so that it arrives as the exception it was.

Beside those goes the verb, and of a failed plan the operation, in `RealizerError.operation`.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from nova_fakes import exceptions
from nova_fakes.agent.checks import plain
from nova_fakes.exceptions import InvalidInput, KernelRefused, RealizerError, VIFTypeRefused

__all__ = ["decode", "encode", "status"]

_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (InvalidInput, HTTPStatus.BAD_REQUEST),
    (exceptions.PeerRefused, HTTPStatus.FORBIDDEN),
    (exceptions.ProtocolMismatch, HTTPStatus.BAD_REQUEST),
    (exceptions.AgentBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (exceptions.DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
)
#: Kinds that are a message and nothing else. Whatever is not known here arrives as a RealizerError.
_PLAIN: Mapping[str, type[RealizerError]] = {
    kind.__name__: kind
    for kind in (
        RealizerError,
        exceptions.NamespacesUnavailable,
        exceptions.AgentError,
        exceptions.PeerRefused,
        exceptions.ProtocolMismatch,
        exceptions.AgentBusy,
        exceptions.DeadlineExceeded,
    )
}


def status(error: Exception) -> HTTPStatus:
    """Return the HTTP status that goes with an error."""
    return next((code for kind, code in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)


def encode(error: Exception, verb: str) -> dict[str, Any]:
    """Return an error as JSON carries it."""
    kind = type(error).__name__
    given: dict[str, Any] = {"kind": kind, "message": str(error), "verb": verb, "notes": _notes(error)}
    match error:
        case InvalidInput():
            given |= {
                "kind": kind if kind in _SPECIAL else "InvalidInput",
                "field": error.field,
                "value": _value(error.value),
                "cure": error.cure,
            }
        case KernelRefused():
            given |= {"doing": error.doing, "errno": error.errno, "text": error.text, "failed": list(error.failed)}
        case RealizerError():
            given |= {} if kind in _PLAIN else {"kind": "RealizerError"}
        case _:
            given |= {"kind": "RealizerError", "message": f"{kind}: {error}"}
    given["operation"] = error.operation if isinstance(error, RealizerError) else None
    return given


def decode(value: object) -> exceptions.NovaFakesError:
    """Return the exception that JSON carried; never fails, for an error report must not hide the error."""
    given = value if isinstance(value, dict) else {"message": f"the agent answered {ascii(value)[:200]}"}
    make = _SPECIAL.get(str(given.get("kind")), _decode_plain)
    try:
        error = make(given)
    except (KeyError, TypeError, ValueError):
        error = _decode_plain(given)
    if isinstance(error, RealizerError):
        operation = given.get("operation")
        error.operation = operation if isinstance(operation, str) else None
    notes = given.get("notes")
    for note in notes if isinstance(notes, list) else ():
        error.add_note(str(note))
    return error


def _decode_plain(given: Mapping[str, Any]) -> exceptions.NovaFakesError:
    return _PLAIN.get(str(given.get("kind")), RealizerError)(str(given.get("message", "the agent gave no reason")))


def _decode_invalid(given: Mapping[str, Any]) -> exceptions.NovaFakesError:
    return InvalidInput(str(given["field"]), given["value"], str(given["cure"]))


def _decode_type_refused(given: Mapping[str, Any]) -> exceptions.NovaFakesError:
    return VIFTypeRefused(str(given["field"]), given["value"], str(given["cure"]))


def _decode_refused(given: Mapping[str, Any]) -> exceptions.NovaFakesError:
    failed = tuple(int(position) for position in given["failed"])
    return KernelRefused(str(given["doing"]), int(given["errno"]), str(given["text"]), failed)


_SPECIAL: Mapping[str, Callable[[Mapping[str, Any]], exceptions.NovaFakesError]] = {
    "InvalidInput": _decode_invalid,
    "VIFTypeRefused": _decode_type_refused,
    "KernelRefused": _decode_refused,
}


def _notes(error: Exception) -> list[str]:
    return [str(note) for note in getattr(error, "__notes__", ())]


def _value(value: object) -> object:
    """Return a refused value as it was where JSON carries it, else as it looks."""
    try:
        return plain(value, "value")
    except InvalidInput:
        return ascii(value)[:200]
