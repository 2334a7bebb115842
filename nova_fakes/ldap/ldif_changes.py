"""Records of LDIF: entries to add, and changes of entries, each with the controls that it shall be made with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nova_fakes.ldap.ldif_text import Line, Lines, refuse, value_of, write_line
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.options import Change, Modification

__all__ = ["Add", "Delete", "Modify", "Record", "Rename", "read_record", "write_attributes", "write_change"]

CONTROL = re.compile(r"(\d+(?:\.\d+)*)(?: +(true|false))? *(?::(.*))?", re.DOTALL)
CHANGES = {change.name.lower(): change for change in Change}
KINDS = "changetype is add, delete, modify, modrdn or moddn"


@dataclass(frozen=True, slots=True)
class _Record:
    """What all records have.

    :param line: number of the record's first line
    """

    dn: str
    line: int = field(default=0, compare=False, kw_only=True)
    controls: tuple[Control, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Add(_Record):
    """An entry to be added: attributes with their values, in order."""

    attributes: list[tuple[str, list[bytes]]]


@dataclass(frozen=True, slots=True)
class Delete(_Record):
    """An entry to be deleted."""


@dataclass(frozen=True, slots=True)
class Modify(_Record):
    """An entry whose attributes are to be changed."""

    changes: list[Modification]


@dataclass(frozen=True, slots=True)
class Rename(_Record):
    """An entry to be given another name, and another superior where one is named."""

    new_rdn: str
    delete_old: bool = True
    new_superior: str | None = None


Record = Add | Delete | Modify | Rename


class _Reader:
    """The lines of a record, read one after the other."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._at = 0

    def here(self) -> int:
        """Return the number of the next line, or of the last where there is none."""
        return self._lines[min(self._at, len(self._lines) - 1)][0]

    def take(self, *names: str) -> Line | None:
        """Return the next line where its name is one of these, or any where none is given; else None."""
        if self._at == len(self._lines):
            return None
        line = self._lines[self._at]
        if names and line[1].lower() not in names:
            return None
        self._at += 1
        return line

    def need(self, cure: str, *names: str) -> tuple[str, str]:
        """Return the name of the next line and its value as text.

        :raises InvalidInput: it is another line, or there is none
        """
        line = self.take(*names)
        if line is None:
            found = self._lines[self._at][1] if self._at < len(self._lines) else "the record's end"
            refuse(self.here(), found, cure)
        return line[1].lower(), line[2].decode("utf-8", "surrogateescape")

    def rest(self) -> Iterator[Line]:
        """Give the lines that are left."""
        while (line := self.take()) is not None:
            yield line

    def end(self) -> None:
        """Refuse lines that are left.

        :raises InvalidInput: there are some
        """
        for number, name, _ in self.rest():
            refuse(number, name, "nothing more belongs to this change: leave an empty line before the next")


def read_record(lines: Lines) -> Record:
    """Read a record.

    :raises InvalidInput: where something in it is missing, too much or wrong
    """
    reader = _Reader(lines)
    first = reader.here()
    dn = reader.need("a record begins with its dn", "dn")[1]
    controls: list[Control] = []
    while (line := reader.take("control")) is not None:
        controls.append(_control(*line))
    kind = reader.take("changetype")
    if kind is None and controls:
        refuse(reader.here(), "control", "it belongs to a change: write the changetype behind it")
    word = kind[2].strip().lower() if kind is not None else b"add"
    if word == b"add":
        return Add(dn, _attributes(reader), line=first, controls=tuple(controls))
    if word == b"delete":
        reader.end()
        return Delete(dn, line=first, controls=tuple(controls))
    if word == b"modify":
        return Modify(dn, list(_modifications(reader)), line=first, controls=tuple(controls))
    if word not in (b"modrdn", b"moddn"):
        refuse(kind[0] if kind is not None else first, word.decode("utf-8", "replace"), KINDS)
    return _rename(reader, dn, first, tuple(controls))


def _control(number: int, name: str, value: bytes) -> Control:
    text = value.decode("utf-8", "surrogateescape")
    match = CONTROL.fullmatch(text)
    if match is None:
        refuse(number, text, "write an OID, true or false where it is critical, a value")
    return Control(match[1], match[2] == "true", value_of(number, match[3]) if match[3] is not None else None)


def _attributes(reader: _Reader) -> list[tuple[str, list[bytes]]]:
    """Gather the values of each attribute; how its name is spelled first counts."""
    attributes: dict[str, tuple[str, list[bytes]]] = {}
    for number, name, value in reader.rest():
        if name == "-":
            refuse(number, name, "a hyphen ends a change of an attribute: write `changetype: modify` at the beginning")
        attributes.setdefault(name.lower(), (name, []))[1].append(value)
    return list(attributes.values())


def _modifications(reader: _Reader) -> Iterator[Modification]:
    while (line := reader.take()) is not None:
        number, word, attribute = line[0], line[1].lower(), line[2].decode("utf-8", "surrogateescape").strip(" ")
        if word not in CHANGES:
            refuse(number, line[1], f"write one of {', '.join(CHANGES)}, and the attribute behind the colon")
        values: list[bytes] = []
        while (value := reader.take(attribute.lower())) is not None:
            values.append(value[2])
        yield Modification(CHANGES[word], attribute, tuple(values))
        if (left := reader.take()) is not None and left[1] != "-":
            refuse(left[0], left[1], f"give values of {attribute}, and a line with a hyphen behind them")


def _rename(reader: _Reader, dn: str, first: int, controls: tuple[Control, ...]) -> Rename:
    new_rdn = reader.need("give the newrdn", "newrdn")[1]
    number = reader.here()
    delete_old = reader.need("give deleteoldrdn, 0 or 1", "deleteoldrdn")[1].strip()
    if delete_old not in ("0", "1"):
        refuse(number, delete_old, "deleteoldrdn is 0 or 1")
    above = reader.take("newsuperior")
    reader.end()
    superior = above[2].decode("utf-8", "surrogateescape") if above is not None else None
    return Rename(dn, new_rdn, delete_old == "1", superior, line=first, controls=controls)


def write_change(record: Record) -> str:
    """Write a record as a change."""
    head = _text("dn", record.dn) + "".join(map(_write_control, record.controls))
    match record:
        case Add(_, attributes):
            return head + _text("changetype", "add") + write_attributes(attributes)
        case Delete():
            return head + _text("changetype", "delete")
        case Modify(_, changes):
            return head + _text("changetype", "modify") + "".join(map(_write_modification, changes))
        case Rename(_, new_rdn, delete_old, superior):
            lines = head + _text("changetype", "modrdn") + _text("newrdn", new_rdn)
            lines += _text("deleteoldrdn", "1" if delete_old else "0")
            return lines + (_text("newsuperior", superior) if superior is not None else "")


def write_attributes(attributes: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """Write attributes with their values."""
    return "".join(write_line(name, value) for name, values in attributes for value in values)


def _text(name: str, value: str) -> str:
    return write_line(name, value.encode("utf-8", "surrogateescape"))


def _write_modification(one: Modification) -> str:
    head = _text(one.change.name.lower(), one.attribute)
    return head + write_attributes([(one.attribute, one.values)]) + "-\n"


def _write_control(control: Control) -> str:
    head = f"control: {control.oid}{' true' if control.critical else ''}"
    if control.value is None:
        return head + "\n"
    return head + write_line("", control.value)
