"""An entry of the tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from nova_fakes.ldap.dn import Dn, Rdn
from nova_fakes.ldap.schema import Attribute, AttributeType, ObjectClass
from nova_fakes.ldap.syntaxes import canonical_time

__all__ = ["COMPUTED", "GENERATED", "Entry", "Values", "csn", "seconds", "stamp"]

Values = tuple[bytes, ...]


def stamp(seconds: float) -> bytes:
    """Write a time, in seconds since the epoch, as generalized time."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%d%H%M%SZ").encode()


def seconds(time: bytes) -> float:
    """Read a generalized time and return the seconds since the epoch.

    :raises ValueError: where it is not one
    """
    text = canonical_time(time).removesuffix("Z")
    return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp() + float(f"0{text[14:]}")


def csn(seconds: float, number: int) -> bytes:
    """Write the number of a change (CSN), as slapd does.

    :param number: tells changes at the same time apart
    """
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y%m%d%H%M%S.%f}Z#{number & 0xFFFFFF:06x}#000#000000".encode()


class Entry:
    """One entry: its place in the tree, its attributes, and what the directory keeps about it.

    `attributes` and the tuples in it are replaced as a whole, never changed in place: whoever holds them keeps what
    it saw.
    """

    __slots__ = (
        "attributes", "change", "children", "created_s", "creator", "id", "key", "modified_s", "modifier", "parent",
        "rdn", "structural", "uuid",
    )  # fmt: skip

    def __init__(self, number: int, rdn: str, key: str, attributes: dict[Attribute, Values]) -> None:
        self.id = number
        self.rdn = rdn
        self.key = key
        self.attributes = attributes
        self.parent: Entry | None = None
        self.children: dict[str, Entry] | None = None
        self.structural: ObjectClass | None = None
        self.uuid = ""
        self.creator = self.modifier = b""
        self.created_s = self.modified_s = 0.0
        self.change = 0

    def name(self, rdn: Rdn | Dn) -> None:
        """Give the entry its name under its parent; a key that is spelled like the name is kept once."""
        self.rdn = rdn.text
        self.key = rdn.text if rdn.key == rdn.text else rdn.key

    def dn(self) -> str:
        """Return the entry's DN."""
        text, above = self.rdn, self.parent
        while above is not None:
            text += "," + above.rdn
            above = above.parent
        return text

    def dn_key(self) -> str:
        """Return what the entry's DN compares by."""
        text, above = self.key, self.parent
        while above is not None:
            text += "," + above.key
            above = above.parent
        return text

    def is_below(self, other: Entry) -> bool:
        """Tell whether the entry is under the other one, or is the same."""
        entry: Entry | None = self
        while entry is not None:
            if entry is other:
                return True
            entry = entry.parent
        return False

    def subtree(self) -> Iterator[Entry]:
        """Give the entry and all below it, parents first."""
        pending = [self]
        while pending:
            entry = pending.pop()
            yield entry
            if entry.children:
                pending.extend(reversed(entry.children.values()))

    def csn(self) -> bytes:
        """Return the number of the last change (CSN), as slapd writes it."""
        return csn(self.modified_s, self.change)

    def matching(self, attribute: Attribute) -> list[tuple[AttributeType, Values]]:
        """Return the values of an attribute, its subtypes, and the same with more options, each with its type."""
        generated = GENERATED.get(attribute.type.name)
        if generated is not None:
            value = None if attribute.options else generated(self)
            return [] if value is None else [(attribute.type, (value,))]
        if not attribute.options and len(attribute.type.subtypes) == 1:
            type_ = attribute.type
            return [(type_, values) for held, values in self.attributes.items() if held.type is type_]
        return [(held.type, values) for held, values in self.attributes.items() if held.is_a(attribute)]

    def __repr__(self) -> str:
        return f"<Entry {self.dn()}>"


def _structural(entry: Entry) -> bytes | None:
    return entry.structural.name.encode() if entry.structural is not None else None


def _has_subordinates(entry: Entry) -> bytes | None:
    if not entry.id:
        return None
    return b"TRUE" if entry.children else b"FALSE"


def _dn(entry: Entry) -> bytes:
    return entry.dn().encode("utf-8", "surrogateescape")


def _subschema(entry: Entry) -> bytes:
    return b"cn=Subschema"


# Attributes that are not stored but follow from what the directory keeps, in the order in which they are listed. An
# entry that is not in the tree lacks some.
GENERATED: dict[str, Callable[[Entry], bytes | None]] = {
    "structuralObjectClass": _structural,
    "entryUUID": lambda entry: entry.uuid.encode() or None,
    "creatorsName": lambda entry: entry.creator or None,
    "createTimestamp": lambda entry: stamp(entry.created_s) if entry.created_s else None,
    "entryCSN": lambda entry: entry.csn() if entry.uuid else None,
    "modifiersName": lambda entry: entry.modifier or None,
    "modifyTimestamp": lambda entry: stamp(entry.modified_s) if entry.modified_s else None,
    "entryDN": _dn,
    "subschemaSubentry": _subschema,
    "hasSubordinates": _has_subordinates,
}

# Those of them that slapd does not store with the entry either.
COMPUTED = {"entryDN", "subschemaSubentry", "hasSubordinates"}
