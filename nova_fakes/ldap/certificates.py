"""X.509 certificates as values: which bytes are one, and what two compare by (RFC 4523 §2.1, §3.1)."""

from __future__ import annotations

import re
from collections.abc import Callable

from nova_fakes.ldap import ber
from nova_fakes.ldap.ber import BerError, Element
from nova_fakes.ldap.dn import escape

__all__ = ["asserted_serial_and_issuer", "is_certificate", "serial_and_issuer"]

BIT_STRING, OID = 0x03, 0x06
VERSION, ISSUER_ID, SUBJECT_ID, EXTENSIONS = 0xA0, 0xA1, 0xA2, 0xA3
V1, V2, V3 = 0, 1, 2
GSER = re.compile(r"\{ *(.*?) *\}", re.DOTALL)
SERIAL = re.compile(r"serialNumber +(-?\d+|'[0-9A-Fa-f]+'H)", re.IGNORECASE)
ISSUER = re.compile(r'issuer +(?:rdnSequence:)?"((?:[^"]|"")*)"', re.IGNORECASE)

DnKey = Callable[[str], str]
Key = tuple[int, str]


def _parts(value: bytes) -> tuple[int, list[Element]]:
    """Return the version of a certificate and the elements of what is signed, the version left out.

    :raises BerError: where it is not a certificate
    """
    signed, *_ = _expect(ber.one(value, ber.SEQUENCE), ber.SEQUENCE, ber.SEQUENCE, BIT_STRING)
    parts = list(ber.elements(signed[1]))
    version = V1
    if parts and parts[0][0] == VERSION:
        version = ber.to_integer(ber.one(parts.pop(0)[1], ber.INTEGER))
    return version, parts


def _expect(content: bytes, *tags: int) -> list[Element]:
    found = list(ber.elements(content))
    if [tag for tag, _ in found] != [*tags]:
        raise BerError("this is not the certificate's structure")
    return found


def is_certificate(value: bytes) -> bool:
    """Tell whether bytes are built as a certificate is."""
    try:
        version, parts = _parts(value)
    except BerError:
        return False
    tags = [tag for tag, _ in parts]
    if tags[:6] != [ber.INTEGER, *[ber.SEQUENCE] * 5]:
        return False
    optional = [(ISSUER_ID, V2), (SUBJECT_ID, V2), (EXTENSIONS, V3)]
    for tag in tags[6:]:
        while optional and optional[0][0] != tag & ~0x20 | 0x20:
            optional.pop(0)
        if not optional or version < optional.pop(0)[1]:
            return False
    return True


def serial_and_issuer(value: bytes, dn_key: DnKey) -> Key:
    """Return what a certificate compares by.

    :param dn_key: gives what a DN compares by
    :raises ValueError: where it is not a certificate
    """
    _, parts = _parts(value)
    return int.from_bytes(parts[0][1], "big", signed=True), dn_key(_name(parts[2][1]))


def _name(content: bytes) -> str:
    """Write a Name as a DN, its types as OIDs."""
    rdns = []
    for _, rdn in ber.elements(content):
        avas = [_expect_pair(ava) for _, ava in ber.elements(rdn)]
        rdns.append("+".join(f"{oid}={escape(text)}" for oid, text in avas))
    return ",".join(reversed(rdns))


def _expect_pair(content: bytes) -> tuple[str, str]:
    (tag, oid), (_, value) = ber.elements(content)
    if tag != OID:
        raise BerError("a type is an OID")
    return _oid(oid), value.decode("utf-8", "surrogateescape")


def _oid(content: bytes) -> str:
    numbers = [0]
    for byte in content:
        numbers[-1] = numbers[-1] << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(0)
    first, *rest = numbers[:-1]
    top = min(first // 40, 2)
    return ".".join(map(str, (top, first - 40 * top, *rest)))


def asserted_serial_and_issuer(value: bytes, dn_key: DnKey) -> Key:
    """Return what an assertion about a certificate compares by: GSER, or a serial number, a dollar sign and a DN.

    :raises ValueError: where it is neither
    """
    text = value.decode("utf-8")
    gser = GSER.fullmatch(text)
    if gser is None:
        digits, dollar, issuer = text.partition("$")
        if not dollar or not digits.isdecimal():
            raise ValueError(text)
        return int(digits), dn_key(issuer)
    serial, named = SERIAL.search(gser[1]), ISSUER.search(gser[1])
    if serial is None or named is None:
        raise ValueError(text)
    digits = serial[1]
    number = int(digits[1:-2], 16) if digits.startswith("'") else int(digits)
    return number, dn_key(named[1].replace('""', '"'))
