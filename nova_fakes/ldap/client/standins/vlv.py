"""Virtual list views: a window on a sorted search (draft-ietf-ldapext-ldapv3-vlv)."""

from __future__ import annotations

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.client.standins.base import KNOWN_RESPONSE_CONTROLS, RequestControl, ResponseControl, parts_of

__all__ = ["VLVRequestControl", "VLVResponseControl"]


class VLVRequestControl(RequestControl):
    """Asks for some entries around one, that is named by its place or its value."""

    controlType = "2.16.840.1.113730.3.4.9"

    def __init__(
        self,
        criticality: bool = False,
        before_count: int = 0,
        after_count: int = 0,
        offset: int | None = None,
        content_count: int | None = None,
        greater_than_or_equal: str | None = None,
        context_id: str | bytes | None = None,
    ) -> None:
        super().__init__(type(self).controlType, criticality)
        if (offset is None or content_count is None) and not greater_than_or_equal:
            raise AssertionError("offset and content_count must be set together or greater_than_or_equal must be used")
        self.before_count, self.after_count = before_count, after_count
        self.offset, self.content_count = offset, content_count
        self.greater_than_or_equal, self.context_id = greater_than_or_equal, context_id

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        parts = [ber.integer(self.before_count), ber.integer(self.after_count)]
        if self.offset is not None and self.content_count is not None:
            parts.append(ber.sequence((ber.integer(self.offset), ber.integer(self.content_count)), 0xA0))
        else:
            parts.append(ber.octets(messages.encode_text(self.greater_than_or_equal or ""), 0x81))
        if self.context_id is not None:
            given = self.context_id
            parts.append(ber.octets(given.encode() if isinstance(given, str) else given))
        return ber.sequence(parts)


class VLVResponseControl(ResponseControl):
    """Tells which part of how many entries was given."""

    controlType = "2.16.840.1.113730.3.4.10"
    targetPosition: int
    contentCount: int
    virtualListViewResult: int
    contextID: str | None

    def __init__(self, criticality: bool = False) -> None:
        super().__init__(type(self).controlType, criticality)

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read place, count, result and context."""
        (_, place), (_, count), (_, code), *more = parts_of(encodedControlValue, 3)
        self.targetPosition = self.target_position = ber.to_integer(place)
        self.contentCount = self.content_count = ber.to_integer(count)
        self.virtualListViewResult = self.result = ber.to_integer(code)
        self.contextID = self.context_id = more[0][1].decode("latin-1") if more else None


KNOWN_RESPONSE_CONTROLS[VLVRequestControl.controlType] = VLVRequestControl
KNOWN_RESPONSE_CONTROLS[VLVResponseControl.controlType] = VLVResponseControl
