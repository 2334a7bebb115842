"""The dereference control (draft-masarati-ldap-deref): what entries hold to which attributes refer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.client.standins.base import KNOWN_RESPONSE_CONTROLS, LDAPControl

__all__ = ["DEREF_CONTROL_OID", "DereferenceControl"]

DEREF_CONTROL_OID = "1.3.6.1.4.1.4203.666.5.16"


class DereferenceControl(LDAPControl):
    """Gives attributes of entries that others refer to.

    :param derefSpecs: for attributes that refer, the attributes that are wanted
    """

    controlType = DEREF_CONTROL_OID
    derefRes: dict[str, list[tuple[str, dict[str, list[str]]]]]

    def __init__(self, criticality: bool = False, derefSpecs: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(type(self).controlType, criticality)
        self.derefSpecs = derefSpecs or {}

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        return ber.sequence(
            ber.sequence((_text(name), ber.sequence(map(_text, wanted)))) for name, wanted in self.derefSpecs.items()
        )

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read, for attributes that refer, DNs and attributes of the entries."""
        self.derefRes = {}
        for _, one in ber.elements(ber.one(encodedControlValue, ber.SEQUENCE)):
            (_, name), (_, value), *more = messages.expect(one, 2)
            listed = {
                held: [messages.text_of(one) for one in values]
                for _, content in more
                for held, values in messages.read_attributes(content)
            }
            self.derefRes.setdefault(messages.text_of(name), []).append((messages.text_of(value), listed))


def _text(text: str) -> bytes:
    return ber.octets(messages.encode_text(text))


KNOWN_RESPONSE_CONTROLS[DEREF_CONTROL_OID] = DereferenceControl
