"""Controls as python-ldap has them: what they are called, how values are written and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nova_fakes.ldap import ber
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.client.errors import CLASSES

__all__ = [
    "KNOWN_RESPONSE_CONTROLS", "DecodeControlTuples", "LDAPControl", "RequestControl", "RequestControlTuples",
    "ResponseControl",
]  # fmt: skip

# python-ldap's registry: applications add their own classes to it.
KNOWN_RESPONSE_CONTROLS: dict[str, Any] = {}


def truth(value: Any, tag: int = ber.BOOLEAN) -> bytes:
    """Write a truth value with the byte that python-ldap uses."""
    return ber.encode(tag, b"\x01" if value else b"\x00")


def parts_of(value: bytes, count: int) -> list[ber.Element]:
    """Return the elements of a sequence that has so many, or more.

    :raises BerError: where it is not one
    """
    found = list(ber.elements(ber.one(value, ber.SEQUENCE)))
    if len(found) < count:
        raise BerError("something is missing in the value of a control")
    return found


class RequestControl:
    """A control of a request.

    :param controlType: its OID
    :param criticality: whether the operation must not be done without it
    :param encodedControlValue: its value
    """

    def __init__(
        self, controlType: str | None = None, criticality: bool = False, encodedControlValue: bytes | None = None
    ) -> None:
        self.controlType = controlType
        self.criticality = criticality
        self.encodedControlValue = encodedControlValue

    def encodeControlValue(self) -> bytes | None:
        """Return the value as it is sent."""
        return self.encodedControlValue


class ResponseControl:
    """A control of an answer."""

    encodedControlValue: bytes | None

    def __init__(self, controlType: str | None = None, criticality: bool = False) -> None:
        self.controlType = controlType
        self.criticality = criticality

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the value."""
        self.encodedControlValue = encodedControlValue


class LDAPControl(RequestControl, ResponseControl):
    """A control of requests and answers."""

    def __init__(
        self,
        controlType: str | None = None,
        criticality: bool = False,
        controlValue: Any = None,
        encodedControlValue: bytes | None = None,
    ) -> None:
        super().__init__(controlType, criticality, encodedControlValue)
        self.controlValue = controlValue


def RequestControlTuples(ldapControls: Iterable[Any] | None) -> list[tuple[Any, Any, Any]] | None:
    """Return controls as tuples of OID, criticality and value."""
    if ldapControls is None:
        return None
    return [(control.controlType, control.criticality, control.encodeControlValue()) for control in ldapControls]


def DecodeControlTuples(
    ldapControlTuples: Iterable[tuple[str, Any, Any]] | None, knownLDAPControls: dict[str, Any] | None = None
) -> list[Any]:
    """Return the controls of an answer as objects; those that nobody knows are left out.

    :param knownLDAPControls: classes by OID; `KNOWN_RESPONSE_CONTROLS` where none are given
    :raises UNAVAILABLE_CRITICAL_EXTENSION: where one that nobody knows is critical
    """
    known = knownLDAPControls or KNOWN_RESPONSE_CONTROLS
    made = []
    for oid, critical, value in ldapControlTuples or ():
        if oid not in known:
            if critical:
                text = f"Received unexpected critical response control with controlType {oid!r}"
                raise CLASSES["UNAVAILABLE_CRITICAL_EXTENSION"](text)
            continue
        control = known[oid]()
        control.controlType, control.criticality = oid, critical
        try:
            control.decodeControlValue(value)
        except BerError:
            if critical:
                raise
            continue
        made.append(control)
    return made
