"""String preparation: what makes two values equal (RFC 4518, as slapd does it).

Case is folded by lowering each character by itself, so that a sharp s stays one; characters are composed by NFKC; runs
of spaces count as one. Spaces at the ends of a value count for nothing; at the open ends of a substring they count.
"""

from __future__ import annotations

import unicodedata

__all__ = ["collapse", "fold", "prepare", "prepare_ascii", "prepare_part", "unspaced"]


def fold(text: str) -> str:
    """Lower every character that has a lower-case form of one character."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := char.lower()) == 1 else low[0] for char in text)


def collapse(text: str) -> str:
    """Make runs of spaces one, and drop those at the ends. Nothing but spaces becomes one space."""
    if "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text
    return " ".join(filter(None, text.split(" "))) or " "


def prepare(value: bytes, ignore_case: bool) -> str:
    """Return what a value in UTF-8 compares by.

    :raises UnicodeDecodeError: where it is not UTF-8
    """
    text = value.decode("utf-8")
    if ignore_case:
        text = fold(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return collapse(text)


def prepare_ascii(value: bytes, ignore_case: bool) -> str:
    """Return what an IA5 value compares by: bytes that are not ASCII stay what they are."""
    text = value.decode("latin-1")
    return collapse(text.lower() if ignore_case else text).strip(" ")


def prepare_part(prepared: str, raw: bytes, *, first: bool, last: bool) -> str:
    """Give a prepared part of a substring assertion the spaces that it had at its open ends.

    :param prepared: the part, prepared as a whole value is
    :param raw: the part as it was asserted
    :param first: the value begins with the part
    :param last: the value ends with it
    """
    if prepared == " ":
        return "" if last else prepared
    head = "" if first or not raw.startswith(b" ") else " "
    tail = "" if last or not raw.endswith(b" ") else " "
    return head + prepared + tail


def unspaced(value: bytes, dropped: str = " ") -> str:
    """Return the text without certain characters: spaces for numeric strings, hyphens too for telephone numbers.

    Where nothing is left, a space is.
    """
    text = value.decode("latin-1")
    for char in dropped:
        text = text.replace(char, "")
    return text or " "
