"""Controls that give an entry as it was before a change, and as it is after it (RFC 4527)."""

from __future__ import annotations

from collections.abc import Sequence

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.client import constants
from nova_fakes.ldap.client.standins.base import KNOWN_RESPONSE_CONTROLS, LDAPControl

__all__ = ["PostReadControl", "PreReadControl", "ReadEntryControl"]


class ReadEntryControl(LDAPControl):
    """Gives an entry back.

    :param attrList: the attributes that are wanted
    """

    controlType = ""
    dn: str
    entry: dict[str, list[bytes]] | None

    def __init__(self, criticality: bool = False, attrList: Sequence[str] | None = None) -> None:
        super().__init__(type(self).controlType, criticality)
        self.attrList = attrList or []
        self.entry = None

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        return ber.sequence(ber.octets(messages.encode_text(name)) for name in self.attrList)

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the entry."""
        name, attributes = messages.expect(ber.one(encodedControlValue, messages.ENTRY), 2)[:2]
        self.dn = messages.text_of(name[1])
        self.entry = {held: list(values) for held, values in messages.read_attributes(attributes[1])}


class PreReadControl(ReadEntryControl):
    """Gives the entry as it was."""

    controlType = constants.CONTROL_PRE_READ


class PostReadControl(ReadEntryControl):
    """Gives the entry as it is then."""

    controlType = constants.CONTROL_POST_READ


KNOWN_RESPONSE_CONTROLS[constants.CONTROL_PRE_READ] = PreReadControl
KNOWN_RESPONSE_CONTROLS[constants.CONTROL_POST_READ] = PostReadControl
