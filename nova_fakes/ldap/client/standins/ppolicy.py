"""Password policy (draft-behera-ldap-password-policy)."""

from __future__ import annotations

from nova_fakes.ldap import ber
from nova_fakes.ldap.client import constants
from nova_fakes.ldap.client.standins.base import KNOWN_RESPONSE_CONTROLS, ResponseControl
from nova_fakes.ldap.client.standins.simple import ValueLessRequestControl

__all__ = ["PasswordPolicyControl"]


class PasswordPolicyControl(ValueLessRequestControl, ResponseControl):
    """Asks for warnings about a password, and tells them."""

    controlType = constants.CONTROL_PASSWORDPOLICYREQUEST

    def __init__(self, criticality: bool = False) -> None:
        super().__init__(type(self).controlType, criticality)
        self.timeBeforeExpiration: int | None = None
        self.graceAuthNsRemaining: int | None = None
        self.error: int | None = None

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read how long the password holds, how often it can be used yet, or what is wrong."""
        found = dict(ber.elements(ber.one(encodedControlValue, ber.SEQUENCE)))
        for tag, value in ber.elements(found.get(0xA0, b"")):
            if tag == 0x80:
                self.timeBeforeExpiration = ber.to_integer(value)
            elif tag == 0x81:
                self.graceAuthNsRemaining = ber.to_integer(value)
        if 0x81 in found:
            self.error = ber.to_integer(found[0x81])


KNOWN_RESPONSE_CONTROLS[PasswordPolicyControl.controlType] = PasswordPolicyControl
