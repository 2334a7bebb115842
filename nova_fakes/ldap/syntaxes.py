"""Attribute syntaxes: which values an attribute may have (RFC 4517), as strict and as lenient as slapd.

A validator takes the value and tells whether it is one; the syntaxes whose values are names of the schema or DNs are
bound to a schema and made in `schema.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nova_fakes.ldap.certificates import is_certificate

__all__ = ["PREFIX", "SYNTAXES", "Syntax", "canonical_time", "is_postal_address"]

PREFIX = "1.3.6.1.4.1.1466.115.121.1."

Validator = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Syntax:
    """A set of values.

    :param validate: tells whether a value is one of them; None where no value can be checked, so that none is taken
    :param pretty: gives the spelling that is stored, where that is not the value's own
    """

    oid: str
    description: str
    validate: Validator | None
    pretty: Callable[[bytes], bytes] | None = None
    binary_transfer: bool = False
    readable: bool = True

    def definition(self) -> str:
        """Write the syntax as the subschema lists it (RFC 4512 §4.1.5)."""
        extensions = " X-BINARY-TRANSFER-REQUIRED 'TRUE'" if self.binary_transfer else ""
        extensions += "" if self.readable else " X-NOT-HUMAN-READABLE 'TRUE'"
        return f"( {self.oid} DESC '{self.description}'{extensions} )"


def _matches(pattern: bytes) -> Validator:
    match = re.compile(pattern, re.DOTALL).fullmatch
    return lambda value: match(value) is not None


def _any(value: bytes) -> bool:
    return True


def _utf8(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _directory_string(value: bytes) -> bool:
    return bool(value) and _utf8(value)


def _ia5(value: bytes) -> bool:
    return value.isascii()


PRINTABLE = rb"[A-Za-z0-9'()+,\-./:? =]"
TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d+))?(Z|[+-]\d\d(?:\d\d)?)", re.DOTALL)


def _time_parts(value: bytes) -> tuple[int, ...] | None:
    match = TIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[n] or 0) for n in range(1, 7))
    try:
        datetime(year or 2000, month, day, hour, minute, min(second, 59))
    except ValueError:
        return None
    return (year, month, day, hour, minute, second) if second <= 60 else None


def canonical_time(value: bytes) -> str:
    """Return a generalized time in the form that is compared: to the second, with the fraction that it has, in UTC.

    :raises ValueError: where it is not a time
    """
    parts = _time_parts(value)
    match = TIME.fullmatch(value)
    if parts is None or match is None:
        raise ValueError(value)
    fraction = (match[7] or b"").decode().rstrip("0")
    return "{:04}{:02}{:02}{:02}{:02}{:02}".format(*parts) + (f".{fraction}" if fraction else "") + "Z"


def _generalized_time(value: bytes) -> bool:
    return _time_parts(value) is not None


def is_postal_address(value: bytes) -> bool:
    """Tell whether a value is lines with dollar signs between them, and escapes in them that mean one."""
    lines = re.split(rb"\$", value)
    return all(_utf8(line) and not re.search(rb"\\(?!24|5[Cc])", line) for line in lines)


def _delivery_method(value: bytes) -> bool:
    known = {b"any", b"mhs", b"physical", b"telex", b"teletex", b"g3fax", b"g4fax", b"ia5", b"videotex", b"telephone"}
    return all(word.strip(b" ") in known for word in value.split(b"$"))


def _sequence(value: bytes) -> bool:
    """Tell whether the value is one BER sequence of a definite length."""
    if len(value) < 2 or value[0] != 0x30:
        return False
    length, start = value[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(value[2:start], "big")
    return start + length == len(value)


def _printable_parts(value: bytes) -> bool:
    return bool(value) and all(re.fullmatch(PRINTABLE + b"+", part) for part in value.split(b"$"))


_IA5_NAME = rb"[A-Za-z0-9][A-Za-z0-9_.\-]*"


def _make(
    number: str, description: str, validate: Validator | None, *, binary_transfer: bool = False, readable: bool = True
) -> Syntax:
    oid = number if "." in number else PREFIX + number
    return Syntax(oid, description, validate, binary_transfer=binary_transfer, readable=readable)


SYNTAXES: tuple[Syntax, ...] = (
    _make("4", "Audio", _any, readable=False),
    _make("5", "Binary", _any, readable=False),
    _make("6", "Bit String", _matches(rb"'[01]*'B")),
    _make("7", "Boolean", _matches(b"TRUE|FALSE")),
    _make("8", "Certificate", is_certificate, binary_transfer=True, readable=False),
    _make("9", "Certificate List", _sequence, binary_transfer=True, readable=False),
    _make("10", "Certificate Pair", _sequence, binary_transfer=True, readable=False),
    _make("11", "Country String", _matches(PRINTABLE + b"{2}")),
    _make("14", "Delivery Method", _delivery_method),
    _make("15", "Directory String", _directory_string),
    _make("22", "Facsimile Telephone Number", _printable_parts),
    _make("24", "Generalized Time", _generalized_time),
    _make("26", "IA5 String", _ia5),
    _make("27", "Integer", _matches(b"0|-?[1-9][0-9]*")),
    _make("28", "JPEG", _any, readable=False),
    _make("36", "Numeric String", _matches(b"[0-9 ]+")),
    _make("39", "Other Mailbox", _matches(PRINTABLE + rb"+\$[\x00-\x7f]*")),
    _make("40", "Octet String", _any),
    _make("41", "Postal Address", is_postal_address),
    _make("44", "Printable String", _matches(PRINTABLE + b"+")),
    _make("45", "SubtreeSpecification", _utf8),
    _make("49", "Supported Algorithm", _sequence, binary_transfer=True, readable=False),
    _make("50", "Telephone Number", _matches(PRINTABLE + b"+")),
    _make("52", "Telex Number", _printable_parts),
    _make(
        "1.3.6.1.1.1.0.0",
        "RFC2307 NIS Netgroup Triple",
        _matches(rb"\((?:%s|-)?(?:,(?:%s|-)?){2}\)" % ((_IA5_NAME,) * 2)),
    ),
    _make("1.3.6.1.1.1.0.1", "RFC2307 Boot Parameter", _matches(rb"%s=%s:[\x21-\x7e]+" % (_IA5_NAME, _IA5_NAME))),
    _make("1.2.840.113549.1.8.1.1", "PKCS#8 PrivateKeyInfo", _sequence),
)
