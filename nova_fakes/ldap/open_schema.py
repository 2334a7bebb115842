"""A schema that knows every name: for the fakes whose callers never said which attributes and classes they use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from nova_fakes.ldap.definitions import parse_definition
from nova_fakes.ldap.schema import Attribute, AttributeType, ObjectClass, Schema

__all__ = ["OpenSchema"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
SHIPPED = ("core", "cosine", "inetorgperson")
# Below the arc that RFC 4520 leaves to experiments.
ARC = "1.3.6.1.3.4"
KINDS = {
    "attribute": "EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch SUBSTR caseIgnoreSubstringsMatch "
    "SYNTAX 1.3.6.1.4.1.1466.115.121.1.15",
    "class": "SUP top AUXILIARY",
}


class OpenSchema(Schema):
    """A schema in which an attribute or class that is not known comes into being when it is first named.

    Such an attribute is text that compares without case, and keeps the spelling of the first time; such a class
    demands nothing.
    """

    def __init__(self, shipped: Iterable[str] = SHIPPED, files: Iterable[str | Path] = ()) -> None:
        self._made = 0
        super().__init__(shipped, files)

    def _definition(self, kind: str, name: str) -> str:
        self._made += 1
        return f"( {ARC}.{self._made} NAME '{name}' {KINDS[kind]} )"

    def naming_attribute(self, name: str) -> AttributeType | None:
        """Return the attribute type of a name."""
        self._know(name.partition(";")[0])
        return super().naming_attribute(name)

    def _describe(self, text: str) -> Attribute:
        name, *options = text.split(";")
        self._know(name)
        if "_" not in name or options or name.lower() not in self.types:
            return super()._describe(text)
        # What LDAP does not allow in a name.
        return self._attributes.setdefault(name.lower(), Attribute(self.types[name.lower()], frozenset()))

    def _know(self, name: str) -> None:
        if name.lower() not in self.types and NAME.fullmatch(name) is not None:
            self._add_type(parse_definition(self._definition("attribute", name)))

    def object_class(self, value: bytes) -> ObjectClass | None:
        """Return the object class of a name."""
        name = value.decode("latin-1")
        if name.lower() not in self.classes and NAME.fullmatch(name) is not None:
            self._add_class(parse_definition(self._definition("class", name)))
        return super().object_class(value)

    def _oid_key(self, value: bytes) -> str:
        self.object_class(value)
        return super()._oid_key(value)
