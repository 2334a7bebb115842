"""Server-side sorting (RFC 2891)."""

from __future__ import annotations

from collections.abc import Sequence

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.client import constants
from nova_fakes.ldap.client.standins.base import (
    KNOWN_RESPONSE_CONTROLS,
    RequestControl,
    ResponseControl,
    parts_of,
    truth,
)

__all__ = ["SSSRequestControl", "SSSResponseControl"]


class SSSRequestControl(RequestControl):
    """Sorts what a search finds.

    :param ordering_rules: `attribute`, `attribute:rule`, or with a minus before it for the other way round
    """

    controlType = constants.CONTROL_SORTREQUEST

    def __init__(self, criticality: bool = False, ordering_rules: Sequence[str] | str | None = None) -> None:
        super().__init__(type(self).controlType, criticality)
        self.ordering_rules = [ordering_rules] if isinstance(ordering_rules, str) else list(ordering_rules or ())
        if any(rule.count(":") > 1 for rule in self.ordering_rules):
            raise AssertionError("syntax for ordering rule: [-]<attribute-type>[:ordering-rule]")

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        return ber.sequence(map(_key, self.ordering_rules))


def _key(rule: str) -> bytes:
    name, _, ordering = rule.removeprefix("-").partition(":")
    parts = [ber.octets(messages.encode_text(name))]
    if ordering:
        parts.append(ber.octets(messages.encode_text(ordering), 0x80))
    if rule.startswith("-"):
        parts.append(truth(True, 0x81))
    return ber.sequence(parts)


class SSSResponseControl(ResponseControl):
    """Tells whether it was sorted."""

    controlType = constants.CONTROL_SORTRESPONSE
    sortResult: int
    attributeType: bytes | None

    def __init__(self, criticality: bool = False) -> None:
        super().__init__(type(self).controlType, criticality)

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read the result, and the attribute that could not be sorted by."""
        (_, code), *more = parts_of(encodedControlValue, 1)
        self.sortResult = self.result = ber.to_integer(code)
        self.attributeType = self.attribute_type_error = dict(more).get(0x80)


KNOWN_RESPONSE_CONTROLS[SSSResponseControl.controlType] = SSSResponseControl
