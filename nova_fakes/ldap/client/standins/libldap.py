"""Controls whose values libldap writes for python-ldap: assertion, matched values, pages."""

from __future__ import annotations

import re

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import ber
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.client import constants
from nova_fakes.ldap.client.errors import CLASSES, local_error
from nova_fakes.ldap.client.requests import write_filter
from nova_fakes.ldap.client.standins.base import KNOWN_RESPONSE_CONTROLS, LDAPControl, RequestControl, parts_of
from nova_fakes.ldap.filters import parse_filter

__all__ = ["AssertionControl", "MatchedValuesControl", "SimplePagedResultsControl"]

# A list of filters, or one, in a pair of parentheses more than it needs.
LISTED = re.compile(r" *\( *(\(.*\)) *\) *", re.DOTALL)
ITEM = re.compile(r" *\(([^()]*)\)")


class _FilterControl(RequestControl):
    """A control whose value is made of a filter."""

    controlType = ""

    def __init__(self, criticality: bool, filterstr: str) -> None:
        super().__init__(type(self).controlType, criticality)
        self.filterstr = filterstr


class AssertionControl(_FilterControl):
    """Does an operation only where the entry matches a filter (RFC 4528)."""

    controlType = constants.CONTROL_ASSERT

    def __init__(self, criticality: bool = True, filterstr: str = "(objectClass=*)") -> None:
        super().__init__(criticality, filterstr)

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent.

        :raises ENCODING_ERROR: where it is not a filter
        """
        return _written(self.filterstr)


class MatchedValuesControl(_FilterControl):
    """Gives only values that match one of some filters (RFC 3876)."""

    controlType = constants.CONTROL_VALUESRETURNFILTER

    def __init__(self, criticality: bool = False, filterstr: str = "(objectClass=*)") -> None:
        super().__init__(criticality, filterstr)

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent.

        :raises ENCODING_ERROR: where it is not a list of filters
        """
        listed = LISTED.fullmatch(self.filterstr)
        if listed is None:
            return ber.sequence((_written(self.filterstr),))
        items = ITEM.findall(listed[1])
        return ber.sequence(_written(f"({item})") for item in items)


def _written(text: str) -> bytes:
    try:
        return write_filter(parse_filter(text))
    except InvalidInput:
        raise local_error("ENCODING_ERROR") from None


class SimplePagedResultsControl(LDAPControl):
    """Gives what a search finds in pages (RFC 2696).

    :param size: entries in a page
    :param cookie: what came with the page before
    """

    controlType = constants.CONTROL_PAGEDRESULTS

    def __init__(self, criticality: bool = False, size: int | None = None, cookie: str | bytes | None = None) -> None:
        super().__init__(type(self).controlType, criticality)
        self.size, self.cookie = size, cookie

    def encodeControlValue(self) -> bytes:
        """Return the value as it is sent."""
        if not isinstance(self.size, int):
            raise TypeError(f"'{type(self.size).__name__}' object cannot be interpreted as an integer")
        cookie = self.cookie.encode() if isinstance(self.cookie, str) else self.cookie or b""
        return ber.sequence((ber.integer(self.size), ber.octets(cookie)))

    def decodeControlValue(self, encodedControlValue: bytes) -> None:
        """Read how many entries there may be, and the cookie for the next page."""
        try:
            (_, size), (_, self.cookie) = parts_of(encodedControlValue, 2)[:2]
            self.size = ber.to_integer(size)
        except BerError:
            raise CLASSES["DECODING_ERROR"] from None


KNOWN_RESPONSE_CONTROLS[constants.CONTROL_ASSERT] = AssertionControl
KNOWN_RESPONSE_CONTROLS[constants.CONTROL_VALUESRETURNFILTER] = MatchedValuesControl
KNOWN_RESPONSE_CONTROLS[constants.CONTROL_PAGEDRESULTS] = SimplePagedResultsControl
