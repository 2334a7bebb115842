"""Controls with no value, or with one that is a text, a number or a truth value."""

from __future__ import annotations

import struct

from nova_fakes.ldap import ber
from nova_fakes.ldap.client import constants
from nova_fakes.ldap.client.standins.base import (
    KNOWN_RESPONSE_CONTROLS,
    LDAPControl,
    RequestControl,
    ResponseControl,
    truth,
)

__all__ = [
    "AuthorizationIdentityRequestControl", "AuthorizationIdentityResponseControl", "BooleanControl",
    "GetEffectiveRightsControl", "ManageDSAITControl", "OctetStringInteger", "ProxyAuthzControl", "RelaxRulesControl",
    "ValueLessRequestControl",
]  # fmt: skip


class ValueLessRequestControl(RequestControl):
    """A control that says all by its name."""

    def __init__(self, controlType: str | None = None, criticality: bool = False) -> None:
        super().__init__(controlType, criticality)


class OctetStringInteger(LDAPControl):
    """A control whose value is a number of eight bytes."""

    def __init__(
        self, controlType: str | None = None, criticality: bool = False, integerValue: int | None = None
    ) -> None:
        super().__init__(controlType, criticality)
        self.integerValue = integerValue

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        return struct.pack("!Q", self.integerValue)

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the number."""
        (self.integerValue,) = struct.unpack("!Q", encodedControlValue)


class BooleanControl(LDAPControl):
    """A control whose value is true or false."""

    def __init__(self, controlType: str | None = None, criticality: bool = False, booleanValue: bool = False) -> None:
        super().__init__(controlType, criticality)
        self.booleanValue = booleanValue

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        return truth(self.booleanValue)

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the truth value."""
        self.booleanValue = ber.one(encodedControlValue, ber.BOOLEAN) != b"\x00"


class ManageDSAITControl(ValueLessRequestControl):
    """Takes referrals for entries (RFC 3296). Never critical, as in python-ldap."""

    def __init__(self, criticality: bool = False) -> None:
        super().__init__(constants.CONTROL_MANAGEDSAIT, False)


class RelaxRulesControl(ValueLessRequestControl):
    """Sets attributes that only the directory sets otherwise. Never critical, as in python-ldap."""

    def __init__(self, criticality: bool = False) -> None:
        super().__init__(constants.CONTROL_RELAX, False)


class ProxyAuthzControl(RequestControl):
    """Does an operation as somebody else (RFC 4370)."""

    def __init__(self, criticality: bool, authzId: bytes) -> None:
        super().__init__(constants.CONTROL_PROXY_AUTHZ, criticality, authzId)


class AuthorizationIdentityRequestControl(ValueLessRequestControl):
    """Asks of a bind as whom it has bound (RFC 3829)."""

    controlType = "2.16.840.1.113730.3.4.16"

    def __init__(self, criticality: bool) -> None:
        super().__init__(type(self).controlType, criticality)


class AuthorizationIdentityResponseControl(ResponseControl):
    """Tells as whom a bind has bound."""

    controlType = "2.16.840.1.113730.3.4.15"
    authzId: bytes

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the identity."""
        self.authzId = encodedControlValue


class GetEffectiveRightsControl(RequestControl):
    """Asks for somebody's rights."""

    def __init__(self, criticality: bool, authzId: bytes | None = None) -> None:
        super().__init__("1.3.6.1.4.1.42.2.27.9.5.2", criticality, authzId)


KNOWN_RESPONSE_CONTROLS[constants.CONTROL_MANAGEDSAIT] = ManageDSAITControl
KNOWN_RESPONSE_CONTROLS[constants.CONTROL_RELAX] = RelaxRulesControl
KNOWN_RESPONSE_CONTROLS[AuthorizationIdentityResponseControl.controlType] = AuthorizationIdentityResponseControl
