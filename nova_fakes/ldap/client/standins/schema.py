"""The part of `ldap.schema` that programs use most: what a directory's schema entry says, as objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from nova_fakes.ldap.client.cidict import cidict
from nova_fakes.ldap.definitions import Definition, parse_definition

__all__ = [
    "SCHEMA_ATTRS", "SCHEMA_CLASS_MAPPING", "AttributeType", "LDAPSyntax", "MatchingRule", "ObjectClass",
    "SchemaElement", "SubSchema",
]  # fmt: skip

USAGES = {"userapplications": 0, "directoryoperation": 1, "distributedoperation": 2, "dsaoperation": 3}


class SchemaElement:
    """A definition.

    :param schema_element_str: as the schema entry has it
    """

    schema_attribute: ClassVar[str] = ""

    def __init__(self, schema_element_str: str | bytes | None = None) -> None:
        text = schema_element_str or "( 0 )"
        self._definition = parse_definition(text.decode() if isinstance(text, bytes) else text)
        self.oid = self._definition.oid
        self.desc = self._definition.one("DESC")
        self.obsolete = "OBSOLETE" in self._definition.flags
        self._read(self._definition)

    def _read(self, definition: Definition) -> None:
        """Take what is particular to a kind of element."""

    def get_id(self) -> str:
        """Return the OID."""
        return self.oid

    def __str__(self) -> str:
        return self._definition.text


class _Named(SchemaElement):
    """A definition that has names."""

    def _read(self, definition: Definition) -> None:
        self.names = tuple(definition.all("NAME"))


class ObjectClass(_Named):
    """An object class: `kind` is 0 for structural, 1 for abstract, 2 for auxiliary ones."""

    schema_attribute = "objectClasses"

    def _read(self, definition: Definition) -> None:
        super()._read(definition)
        self.must, self.may = tuple(definition.all("MUST")), tuple(definition.all("MAY"))
        self.kind = 1 if "ABSTRACT" in definition.flags else 2 if "AUXILIARY" in definition.flags else 0
        self.sup = tuple(definition.all("SUP")) or (("top",) if self.kind == 0 else ())


class AttributeType(_Named):
    """An attribute type: `usage` is 0 for those of users."""

    schema_attribute = "attributeTypes"

    def _read(self, definition: Definition) -> None:
        super()._read(definition)
        self.sup = tuple(definition.all("SUP"))
        self.equality = definition.one("EQUALITY")
        self.ordering = definition.one("ORDERING")
        self.substr = definition.one("SUBSTR")
        syntax, _, length = (definition.one("SYNTAX") or "").partition("{")
        self.syntax = syntax or None
        self.syntax_len = int(length.rstrip("}")) if length else None
        self.single_value = "SINGLE-VALUE" in definition.flags
        self.collective = "COLLECTIVE" in definition.flags
        self.no_user_mod = "NO-USER-MODIFICATION" in definition.flags
        self.usage = USAGES.get((definition.one("USAGE") or "userApplications").lower(), 0)


class LDAPSyntax(_Named):
    """A syntax."""

    schema_attribute = "ldapSyntaxes"


class MatchingRule(_Named):
    """A matching rule."""

    schema_attribute = "matchingRules"

    def _read(self, definition: Definition) -> None:
        super()._read(definition)
        self.syntax = definition.one("SYNTAX")


SCHEMA_CLASS_MAPPING = {kind.schema_attribute: kind for kind in (ObjectClass, AttributeType, LDAPSyntax, MatchingRule)}
SCHEMA_ATTRS = list(SCHEMA_CLASS_MAPPING)


class SubSchema:
    """A directory's schema.

    :param sub_schema_sub_entry: the attributes of its schema entry
    """

    def __init__(self, sub_schema_sub_entry: Mapping[str, Iterable[bytes]], check_uniqueness: int = 1) -> None:
        entry = cidict(sub_schema_sub_entry)
        self.sed: dict[Any, dict[str, Any]] = {}
        self.name2oid: dict[Any, cidict[str]] = {}
        for name, kind in SCHEMA_CLASS_MAPPING.items():
            elements = [kind(text) for text in entry.get(name, ())]
            self.sed[kind] = {element.oid: element for element in elements}
            self.name2oid[kind] = cidict((named, element.oid) for element in elements for named in element.names)

    def ldap_entry(self) -> dict[str, list[str]]:
        """Return the schema as attributes of an entry."""
        return {kind.schema_attribute: list(map(str, held.values())) for kind, held in self.sed.items() if held}

    def listall(self, schema_element_class: Any) -> list[str]:
        """Return the OIDs of all elements of a kind."""
        return list(self.sed[schema_element_class])

    def getoid(self, se_class: Any, nameoroid: str, raise_keyerror: int = 0) -> str:
        """Return the OID for a name or an OID, without options; what was given where nobody knows it."""
        name = nameoroid.split(";")[0].strip()
        if name in self.sed[se_class]:
            return name
        if raise_keyerror and name not in self.name2oid[se_class]:
            raise KeyError(f"No registered {se_class.__name__}-OID for nameoroid {name!r}")
        return self.name2oid[se_class].get(name, name)

    def get_obj(self, se_class: Any, nameoroid: str, default: Any = None, raise_keyerror: int = 0) -> Any:
        """Return an element by its name or OID."""
        return self.sed[se_class].get(self.getoid(se_class, nameoroid, raise_keyerror), default)

    def get_inheritedattr(self, se_class: Any, nameoroid: str, name: str) -> Any:
        """Return a property of an element, or of the nearest that it is derived from."""
        found = self.get_obj(se_class, nameoroid)
        value = getattr(found, name, None)
        if value is None and found is not None and found.sup:
            return self.get_inheritedattr(se_class, found.sup[0], name)
        return value

    def get_syntax(self, nameoroid: str) -> str | None:
        """Return the OID of an attribute's syntax."""
        found: str | None = self.get_inheritedattr(AttributeType, nameoroid, "syntax")
        return found

    def get_structural_oc(self, oc_list: Iterable[str]) -> str | None:
        """Return the OID of the structural class among an entry's classes: the one that no other is derived from."""
        wanted = {self.getoid(ObjectClass, name) for name in oc_list}
        held = [self.sed[ObjectClass][oid] for oid in wanted if oid in self.sed[ObjectClass]]
        above = {self.getoid(ObjectClass, name) for one in held for name in one.sup}
        return next((one.oid for one in held if one.kind == 0 and one.oid not in above), None)

    def attribute_types(
        self, object_class_list: Iterable[str], attr_type_filter: Any = None, raise_keyerror: int = 1
    ) -> tuple[cidict[Any], cidict[Any]]:
        """Return the attributes that classes demand, and those that they allow, by OID."""
        must: cidict[Any] = cidict()
        may: cidict[Any] = cidict()
        seen: set[str] = set()
        pending = list(object_class_list)
        while pending:
            found = self.get_obj(ObjectClass, pending.pop(), raise_keyerror=raise_keyerror)
            if found is None or found.oid in seen:
                continue
            seen.add(found.oid)
            pending.extend(found.sup)
            for names, kept in ((found.must, must), (found.may, may)):
                for name in names:
                    oid = self.getoid(AttributeType, name, raise_keyerror)
                    if self._passes(oid, attr_type_filter):
                        kept[oid] = self.get_obj(AttributeType, oid)
        for oid in [oid for oid in may if oid in must]:
            del may[oid]
        return must, may

    def _passes(self, oid: str, wanted: Iterable[tuple[str, Iterable[Any]]] | None) -> bool:
        """Tell whether an attribute's properties are among those that are wanted."""
        found = self.get_obj(AttributeType, oid)
        return all(found is not None and getattr(found, name) in list(values) for name, values in wanted or ())
