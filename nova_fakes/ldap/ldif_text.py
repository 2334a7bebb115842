"""The text of LDIF (RFC 2849): lines folded, comments dropped, values in base64 or elsewhere; no meaning yet."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from nova_fakes.exceptions import InvalidInput

__all__ = ["Line", "Lines", "blocks", "refuse", "value_of", "write_line"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:;[A-Za-z0-9-]+)*|\d+(?:\.\d+)*(?:;[A-Za-z0-9-]+)*")
SAFE = re.compile(rb"(?![ :<])[\x01-\x09\x0b\x0c\x0e-\x7f]*(?<! )")
WIDTH = 76
CURE = "write `attribute: value`, `attribute:: base64` or `attribute:< file:///path`"

Line = tuple[int, str, bytes]
"""The number of a line in the file, the name before the colon, and the value; a lone hyphen is a name without value."""
Lines = list[Line]


def refuse(number: int, what: str, cure: str) -> NoReturn:
    """Refuse a line.

    :raises InvalidInput: always
    """
    raise InvalidInput(f"LDIF line {number}", what, cure)


def blocks(text: str, *, read_files: bool) -> Iterator[Lines]:
    """Give the records of a text, each as its lines, without the line that tells the version.

    :param read_files: whether values may be taken from `file:` URLs
    :raises InvalidInput: where a line is not LDIF
    """
    block: Lines = []
    is_first = True
    for number, line in _unfolded(text):
        if not line:
            if block:
                yield block
            block = []
            continue
        if is_first and line.startswith("version:"):
            if line[8:].strip(" ") != "1":
                refuse(number, line, "there is only version 1")
        else:
            block.append(_split(number, line, read_files))
        is_first = False
    if block:
        yield block


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines with those that go on joined; comments are left out, an empty line is what separates records."""
    started, line = 0, ""
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if raw.startswith(" ") and line:
            line += raw[1:]
            continue
        if started and not line.startswith("#"):
            yield started, line
        if raw.startswith(" "):
            if raw.strip(" "):
                refuse(number, raw, "a line that begins with a space goes on with the one before it: there is none")
            raw = ""
        started, line = number, raw.strip("\t") and raw
    if started and not line.startswith("#"):
        yield started, line


def _split(number: int, line: str, read_files: bool) -> Line:
    if line == "-":
        return number, "-", b""
    name, colon, rest = line.partition(":")
    if not colon or NAME.fullmatch(name) is None:
        refuse(number, line, CURE)
    return number, name, value_of(number, rest, read_files=read_files)


def value_of(number: int, rest: str, *, read_files: bool = False) -> bytes:
    """Return the value of what stands behind a name and a colon.

    :raises InvalidInput: it is none
    """
    if rest.startswith(":"):
        try:
            return base64.b64decode(rest[1:].strip(" "), validate=True)
        except binascii.Error:
            refuse(number, rest[1:], "what follows two colons is base64")
    if rest.startswith("<"):
        return _from_file(number, rest[1:].strip(" "), read_files)
    return rest.lstrip(" ").encode("utf-8", "surrogateescape")


def _from_file(number: int, url: str, read_files: bool) -> bytes:
    if not read_files:
        refuse(number, url, "values from URLs are not read unless it is asked for: write the value itself, in base64")
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        refuse(number, url, "give a file of this machine: file:///path")
    try:
        return Path(unquote(parts.path)).read_bytes()
    except OSError as error:
        refuse(number, url, f"it cannot be read: {error.strerror}")


def write_line(name: str, value: bytes) -> str:
    """Write a name and a value as a line, in base64 where it must be, folded where it is long."""
    if SAFE.fullmatch(value):
        line = f"{name}: {value.decode()}" if value else f"{name}:"
    else:
        line = f"{name}:: {base64.b64encode(value).decode()}"
    folded = [line[:WIDTH]] + [" " + line[at : at + WIDTH - 1] for at in range(WIDTH, len(line), WIDTH - 1)]
    return "\n".join(folded) + "\n"
