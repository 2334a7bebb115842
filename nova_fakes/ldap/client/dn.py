"""What `ldap.dn` has: DNs taken apart and put together as text, without a schema (RFC 4514)."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap.client.constants import AVA_NONPRINTABLE, AVA_STRING
from nova_fakes.ldap.client.errors import CLASSES
from nova_fakes.ldap.dn import InvalidDn, parse_parts

__all__ = ["dn2str", "escape_dn_chars", "explode_dn", "explode_rdn", "is_dn", "str2dn"]

Rdn = list[tuple[str, Any, int]]
SPECIAL = str.maketrans({char: f"\\{char}" for char in '\\,+"<>;='} | {"\0": "\\00"})


def escape_dn_chars(s: str) -> str:
    """Write a value so that it can stand in a DN."""
    if not s:
        return s
    escaped = s.translate(SPECIAL)
    if escaped.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return "\\" + escaped if escaped[0] in "# " else escaped


def str2dn(dn: str | None, flags: int = 0) -> list[Rdn]:
    """Take a DN apart: for each RDN its types, values, and how a value is to be taken.

    :param flags: the format; those of LDAP are read alike
    :raises DECODING_ERROR: where it is not a DN
    :raises UnicodeDecodeError: where a value is not text
    """
    if not dn:
        return []
    try:
        parts = parse_parts(dn)
    except InvalidDn:
        parts = []
    if not parts:
        raise CLASSES["DECODING_ERROR"]
    return [[_taken(name, value) for name, value in rdn] for rdn in parts]


def _taken(name: str, value: bytes) -> tuple[str, Any, int]:
    text = value.decode()
    return name, text, AVA_STRING if text.isascii() and text.isprintable() else AVA_NONPRINTABLE


def dn2str(dn: list[Rdn]) -> str:
    """Write a DN that has been taken apart."""
    return ",".join("+".join(_listed(rdn)) for rdn in dn)


def _listed(rdn: Rdn, *, with_types: bool = True, escaped: bool = True) -> list[str]:
    written = []
    for name, value, _ in rdn:
        text = escape_dn_chars(value or "") if escaped else value or ""
        written.append(f"{name}={text}" if with_types else text)
    return written


def explode_dn(dn: str | None, notypes: bool = False, flags: int = 0) -> list[str]:
    """Return the RDNs of a DN.

    :param notypes: only their values
    :raises DECODING_ERROR: where it is not a DN
    """
    return ["+".join(_listed(rdn, with_types=not notypes)) for rdn in str2dn(dn, flags)]


def explode_rdn(rdn: str | None, notypes: bool = False, flags: int = 0) -> list[str]:
    """Return the parts of an RDN.

    :param notypes: only their values, as they are
    :raises DECODING_ERROR: where it is not an RDN
    """
    return _listed(str2dn(rdn, flags)[0], with_types=not notypes, escaped=not notypes) if rdn else []


def is_dn(s: str, flags: int = 0) -> bool:
    """Tell whether a text is a DN."""
    try:
        str2dn(s, flags)
    except Exception:
        return False
    return True
