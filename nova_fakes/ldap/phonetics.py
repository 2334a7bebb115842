"""Words that sound alike: metaphone (Lawrence Philips, 1990) with the signs and the length that slapd gives it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile

from nova_fakes.ldap.preparation import collapse

__all__ = ["metaphone", "sounds_like"]

VOWELS = "AEIOU"
FRONT = "EIY"
SAME = "FJLMNR"
LONGEST = 31


@lru_cache(8192)
def metaphone(word: str) -> str:
    """Return the sound of a word, at most four signs. The word ends at the first sign that is not a letter."""
    letters = "".join(takewhile(lambda char: "A" <= char <= "Z", word.upper()))[:LONGEST]
    if letters[:2] in ("PN", "KN", "GN", "AE", "WR"):
        letters = letters[1:]
    elif letters.startswith("X"):
        letters = "S" + letters[1:]
    elif letters.startswith("WH"):
        letters = "W" + letters[2:]
    sound = ""
    is_half = False
    for index, letter in enumerate(letters):
        before = letters[index - 1] if index else ""
        if is_half:
            sound += "S"  # the second half of an X, which slapd puts in the place of the letter after it
            is_half = False
        elif before != letter or letter == "C":
            sound += _sound(letters, index)
            is_half = letter == "X"
    return (sound + "S" if is_half else sound)[:4]


def _sound(letters: str, index: int) -> str:
    letter = letters[index]
    before = letters[index - 1] if index else " "
    after = letters[index + 1 : index + 2] or " "
    then = letters[index + 2 : index + 3] or " "
    if letter in VOWELS:
        return letter if index == 0 else ""
    if letter in SAME:
        return letter
    special = SPECIAL.get(letter)
    if special is not None:
        return special(before, after, then, index, letters)
    return {"Q": "K", "V": "F", "X": "K", "Z": "S"}[letter]


def _b(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "B" if index == len(letters) - 1 and before != "M" else ""


def _c(before: str, after: str, then: str, index: int, letters: str) -> str:
    if before == "S" and after in FRONT:
        return ""
    if after == "I" and then == "A":
        return "X"
    if after in FRONT:
        return "S"
    if after == "H":
        return "K" if before == "S" or (index == 0 and then not in VOWELS) else "X"
    return "K"


def _d(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "J" if after == "G" and then in FRONT else "T"


def _g(before: str, after: str, then: str, index: int, letters: str) -> str:
    is_mute = (after == "J" and then not in VOWELS) or letters[index + 1 : index + 4] == "NED"
    if is_mute or (before == "D" and after in FRONT):
        return ""
    return "G" if after in FRONT and then != "G" else "K"


def _h(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "" if before in "CGPST" or (before in VOWELS and after not in VOWELS) else "H"


def _k(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "" if before == "C" else "K"


def _p(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "F" if after == "H" else "P"


def _s(before: str, after: str, then: str, index: int, letters: str) -> str:
    return "X" if after == "H" or (after == "I" and then in "OA") else "S"


def _t(before: str, after: str, then: str, index: int, letters: str) -> str:
    if after == "I" and then in "OA":
        return "X"
    if after == "H":
        return "0"
    return "" if after == "C" and then == "H" else "T"


def _glide(before: str, after: str, then: str, index: int, letters: str) -> str:
    return letters[index] if after in VOWELS else ""


SPECIAL: dict[str, Callable[[str, str, str, int, str], str]] = {
    "B": _b, "C": _c, "D": _d, "G": _g, "H": _h, "K": _k, "P": _p, "S": _s, "T": _t, "W": _glide, "Y": _glide,
}  # fmt: skip


@lru_cache(8192)
def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", collapse(text)).encode("ascii", "ignore").decode()
    return plain.split(" ")


def sounds_like(value: bytes, asserted: bytes) -> bool:
    """Tell whether all asserted words sound like words of the value, in the same order.

    :raises UnicodeDecodeError: where one of them is not UTF-8
    """
    words = iter(_words(value.decode("utf-8")))
    wanted = [word for word in _words(asserted.decode("utf-8")) if word]
    return bool(wanted) and all(any(metaphone(have) == metaphone(want) for have in words) for want in wanted)
