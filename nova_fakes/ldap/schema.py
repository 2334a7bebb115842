"""A directory's schema: attribute types, object classes, attribute descriptions with options (RFC 4512 §2.5, §4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.certificates import asserted_serial_and_issuer, serial_and_issuer
from nova_fakes.ldap.definitions import Definition, read_statements
from nova_fakes.ldap.dn import Dn, is_under
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.rules import EQUALITY, RELATION, RULES, MatchingRule, rule
from nova_fakes.ldap.syntaxes import PREFIX, SYNTAXES, Syntax

Known = TypeVar("Known")

__all__ = ["SHIPPED", "Attribute", "AttributeType", "ObjectClass", "Schema"]

SHIPPED = ("core", "cosine", "inetorgperson", "nis")
"""The schemas that a directory has where nothing else is asked for."""

DEFINITIONS = Path(__file__).parent / "schemas"
NUMERIC = re.compile(r"\d+(?:\.\d+)*")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
DESCRIPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.;-]*")
UUID = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
CSN = re.compile(rb"\d{14}(?:\.\d{6})?[Zz]#[0-9a-fA-F]{6}#[0-9a-fA-F]{2,3}#[0-9a-fA-F]{6}")
UID_SUFFIX = re.compile(rb"#'[01]*'B$")
# Syntaxes that have a name and no way to check a value: nothing is taken for one.
UNCHECKED = "1 2 3 13 16 17 18 19 20 21 23 25 29 30 31 35 37 42 43 51 53 54 56 57 58"
USER = "userApplications"


def _is_directly_under(have: str, want: str) -> bool:
    """Tell whether one name is directly under another; to slapd nothing is directly under the empty one."""
    return want != "" and is_under(have, want, one_level=True)


# Rules about where one name stands to another: OID, name, and whether the value's is so to the asserted one's.
DN_RELATIONS: tuple[tuple[str, str, Callable[[str, str], bool]], ...] = (
    ("1.3.6.1.4.1.4203.666.4.9", "dnSubtreeMatch", lambda have, want: have == want or is_under(have, want)),
    ("1.3.6.1.4.1.4203.666.4.8", "dnOneLevelMatch", _is_directly_under),
    ("1.3.6.1.4.1.4203.666.4.10", "dnSubordinateMatch", lambda have, want: is_under(have, want)),
    ("1.3.6.1.4.1.4203.666.4.11", "dnSuperiorMatch", lambda have, want: is_under(want, have)),
)


class AttributeType:
    """What values an attribute has, and how they compare."""

    __slots__ = (
        "definition", "equality", "name", "names", "no_user_modification", "oid", "operational", "ordering",
        "single_value", "substrings", "subtypes", "superior", "syntax", "usage",
    )  # fmt: skip

    def __init__(self, definition: Definition) -> None:
        self.definition = definition.text
        self.oid = definition.oid
        self.names = tuple(definition.all("NAME")) or (definition.oid,)
        self.name = self.names[0]
        self.single_value = "SINGLE-VALUE" in definition.flags
        self.no_user_modification = "NO-USER-MODIFICATION" in definition.flags
        self.usage = definition.one("USAGE") or USER
        self.operational = self.usage.lower() != USER.lower()
        self.superior: AttributeType | None = None
        self.subtypes: list[AttributeType] = [self]
        self.equality: MatchingRule | None = None
        self.ordering: MatchingRule | None = None
        self.substrings: MatchingRule | None = None
        self.syntax = SYNTAXES[0]

    def is_a(self, other: AttributeType) -> bool:
        """Tell whether the type is the other one or derived from it."""
        return self in other.subtypes

    def pretty_value(self, value: bytes) -> bytes:
        """Check a value for a DN and return it as it is stored there.

        :raises ValueError: where it is not of the syntax
        """
        if not value or (self.syntax.validate is not None and not self.syntax.validate(value)):
            raise ValueError(value)
        return self.syntax.pretty(value) if self.syntax.pretty else value

    def name_key(self, value: bytes) -> str:
        """Return what a value in a DN compares by."""
        key = self.equality.normalise(value) if self.equality else value
        return key.decode("latin-1") if isinstance(key, bytes) else str(key)

    def key(self, value: bytes) -> object:
        """Return what a value compares by for equality; values of a type without a rule compare by their octets."""
        return self.equality.normalise(value) if self.equality else value

    def __repr__(self) -> str:
        return f"<AttributeType {self.name}>"


class Attribute:
    """An attribute description: a type and its options. A schema makes one of each, so they compare by identity."""

    __slots__ = ("name", "options", "type")

    def __init__(self, type_: AttributeType, options: frozenset[str]) -> None:
        self.type = type_
        self.options = options
        self.name = ";".join((type_.name, *sorted(options)))

    def is_a(self, other: Attribute) -> bool:
        """Tell whether it is the other one, a subtype of it, or has more options (RFC 4512 §2.5.3)."""
        return self.type in other.type.subtypes and (not other.options or _options_within(other.options, self.options))

    def __repr__(self) -> str:
        return f"<Attribute {self.name}>"


def _options_within(wanted: frozenset[str], present: frozenset[str]) -> bool:
    """Tell whether each wanted option is there; one that ends with a hyphen stands for all that begin so."""
    return all(
        any(have.startswith(want) if want.endswith("-") else have == want for have in present) for want in wanted
    )


@dataclass(slots=True, eq=False)
class ObjectClass:
    """What attributes an entry of a class must and may have."""

    oid: str
    names: tuple[str, ...]
    kind: str
    superiors: tuple[ObjectClass, ...]
    must: tuple[AttributeType, ...]
    may: tuple[AttributeType, ...]
    definition: str
    # The class and all that it is derived from.
    chain: frozenset[ObjectClass] = frozenset()
    all_must: tuple[AttributeType, ...] = ()
    all_may: frozenset[AttributeType] = frozenset()

    @property
    def name(self) -> str:
        """The first of the names."""
        return self.names[0]

    def __post_init__(self) -> None:
        self.chain = frozenset({self}.union(*(superior.chain for superior in self.superiors)))
        inherited = [type_ for superior in self.superiors for type_ in superior.all_must]
        self.all_must = tuple(dict.fromkeys((*inherited, *self.must)))
        self.all_may = frozenset(self.may).union(*(superior.all_may for superior in self.superiors))

    def __repr__(self) -> str:
        return f"<ObjectClass {self.name}>"


class Schema:
    """The attribute types, object classes, syntaxes and matching rules of a directory.

    :param shipped: names of the schemas to load from those that come with nova-fakes
    :param files: paths of slapd schema files, or LDIF with olcAttributeTypes and olcObjectClasses
    :raises InvalidInput: where a definition cannot be read or names something that is not there
    """

    def __init__(self, shipped: Iterable[str] = SHIPPED, files: Iterable[str | Path] = ()) -> None:
        self.types: dict[str, AttributeType] = {}
        self.classes: dict[str, ObjectClass] = {}
        self.attribute_types: list[AttributeType] = []
        self.object_classes: list[ObjectClass] = []
        self._attributes: dict[str, Attribute] = {}
        self.syntaxes = {syntax.oid: syntax for syntax in (*SYNTAXES, *self._named_syntaxes())}
        self.rules: dict[str, MatchingRule] = {}
        for known in (*RULES, *self._naming_rules()):
            self.rules[known.oid] = self.rules[known.name.lower()] = known
        self.dn = lru_cache(4096)(self._dn)
        self.dn_key = lru_cache(4096)(self._dn_key)
        for name in ("system", *shipped):
            source = DEFINITIONS / f"{name}.schema"
            if not source.is_file():
                raise InvalidInput("schema", name, f"the shipped ones are {', '.join(SHIPPED)}")
            self.load(source.read_text("utf-8"))
        for path in files:
            self.load(Path(path).read_text("utf-8"))

    def load(self, text: str) -> None:
        """Add definitions from the text of a schema file or from LDIF.

        :raises InvalidInput: where a definition cannot be read or names something that is not there
        """
        for kind, definition in read_statements(text):
            if kind == "attributetype":
                self._add_type(definition)
            else:
                self._add_class(definition)

    def _named_syntaxes(self) -> Iterator[Syntax]:
        yield Syntax(PREFIX + "12", "Distinguished Name", self._is_dn, self._pretty_dn)
        yield Syntax("1.2.36.79672281.1.5.0", "RDN", self._is_dn, self._pretty_dn)
        yield Syntax(PREFIX + "34", "Name And Optional UID", self._is_name_and_uid, self._pretty_name_and_uid)
        yield Syntax(PREFIX + "38", "OID", self._is_oid)
        yield Syntax("1.3.6.1.1.16.1", "UUID", lambda value: UUID.fullmatch(value) is not None)
        yield Syntax("1.3.6.1.4.1.4203.666.11.2.1", "CSN", lambda value: CSN.fullmatch(value) is not None)
        yield from (Syntax(PREFIX + number, "", None) for number in UNCHECKED.split())

    def _naming_rules(self) -> Iterator[MatchingRule]:
        def dn_key(value: bytes) -> str:
            return self.dn_key(value)

        yield rule("2.5.13.1", "distinguishedNameMatch", "12", EQUALITY, dn_key)
        yield rule("1.2.36.79672281.1.13.3", "rdnMatch", "1.2.36.79672281.1.5.0", EQUALITY, dn_key)
        for oid, name, relation in DN_RELATIONS:
            yield rule(oid, name, "12", RELATION, dn_key, relation=relation, hidden=True)
        yield rule(
            "2.5.13.34",
            "certificateExactMatch",
            "1.3.6.1.1.15.1",
            EQUALITY,
            lambda value: serial_and_issuer(value, self._issuer_key),
            asserted=lambda value: asserted_serial_and_issuer(value, self._issuer_key),
        )
        yield rule("2.5.13.23", "uniqueMemberMatch", "34", EQUALITY, self._unique_member_key)
        yield rule("2.5.13.0", "objectIdentifierMatch", "38", EQUALITY, self._oid_key)

    def _issuer_key(self, text: str) -> str:
        """Return what the name of who issued a certificate compares by; one of unknown parts by its spelling."""
        try:
            return self.dn(text).key
        except ValueError:
            return text.lower()

    def _dn(self, text: str) -> Dn:
        # What many names have in common is read once, and kept once.
        if "\\" not in text and '"' not in text:
            lower, _, upper = text.partition(",")
            if upper.strip(" ") and lower.strip(" "):
                return Dn.below(lower, self.dn(upper), self)
        return Dn.parse(text, self)

    def _dn_key(self, value: bytes) -> str:
        return self.dn(value.decode("utf-8")).key

    def _is_dn(self, value: bytes) -> bool:
        try:
            self.dn(value.decode("utf-8"))
        except ValueError:
            return False
        return True

    def _pretty_dn(self, value: bytes) -> bytes:
        return self.dn(value.decode("utf-8")).text.encode("utf-8", "surrogateescape")

    def _split_uid(self, value: bytes) -> tuple[bytes, bytes]:
        match = UID_SUFFIX.search(value)
        return (value[: match.start()], match[0]) if match else (value, b"")

    def _is_name_and_uid(self, value: bytes) -> bool:
        return self._is_dn(self._split_uid(value)[0])

    def _pretty_name_and_uid(self, value: bytes) -> bytes:
        name, uid = self._split_uid(value)
        return self._pretty_dn(name) + uid

    def _unique_member_key(self, value: bytes) -> str:
        name, uid = self._split_uid(value)
        return self.dn_key(name) + uid.decode()

    def _is_oid(self, value: bytes) -> bool:
        text = value.decode("latin-1")
        return NUMERIC.fullmatch(text) is not None or NAME.fullmatch(text) is not None

    def _oid_key(self, value: bytes) -> str:
        """Return the OID that a name or OID stands for.

        :raises ValueError: where nothing in the schema has the name
        """
        text = value.decode("latin-1").lower()
        known = self.classes.get(text) or self.types.get(text) or self.rules.get(text)
        if known is None and NUMERIC.fullmatch(text) is None:
            raise ValueError(text)
        return known.oid if known is not None else text

    def naming_attribute(self, name: str) -> AttributeType | None:
        """Return the attribute type of a name or OID, with its options left out, or None."""
        return self.types.get(name.partition(";")[0].lower())

    def attribute(self, text: str) -> Attribute:
        """Return an attribute description.

        :param text: a name or OID, with options after semicolons
        :raises LdapError: UNDEFINED_TYPE, with slapd's words
        """
        known = self._attributes.get(text)
        if known is None:
            known = self._attributes[text] = self._describe(text)
        return known

    def find_attribute(self, text: str) -> Attribute | None:
        """Return an attribute description, or None where the schema does not have it."""
        try:
            return self.attribute(text)
        except LdapError:
            return None

    def misspelling(self, text: str) -> str:
        """Tell, in slapd's words, what keeps a text from being an attribute description; nothing where it can be."""
        if not text:
            return "empty AttributeDescription"
        return "" if DESCRIPTION.fullmatch(text) else "AttributeDescription contains inappropriate characters"

    def _describe(self, text: str) -> Attribute:
        wrong = self.misspelling(text)
        if wrong:
            raise LdapError(ResultCode.UNDEFINED_TYPE, wrong)
        name, *options = text.split(";")
        type_ = self.types.get(name.lower())
        if type_ is None:
            raise LdapError(ResultCode.UNDEFINED_TYPE, "attribute type undefined")
        if options and type_.operational:
            raise LdapError(ResultCode.UNDEFINED_TYPE, "operational attribute with options undefined")
        lowered = [option.lower() for option in options]
        for option in lowered:
            if not option:
                raise LdapError(ResultCode.UNDEFINED_TYPE, "zero length option is invalid")
            if option == "binary" and not type_.syntax.binary_transfer:
                raise LdapError(ResultCode.UNDEFINED_TYPE, 'option "binary" not supported with type')
            if option != "binary" and not option.startswith("lang-"):
                raise LdapError(ResultCode.UNDEFINED_TYPE, "unrecognized option")
        if lowered.count("binary") > 1:
            raise LdapError(ResultCode.UNDEFINED_TYPE, 'option "binary" specified multiple times')
        canonical = ";".join((type_.name.lower(), *sorted(set(lowered))))
        return self._attributes.setdefault(canonical, Attribute(type_, frozenset(lowered)))

    def object_class(self, value: bytes) -> ObjectClass | None:
        """Return the object class of a name or OID, or None."""
        return self.classes.get(value.decode("latin-1").lower())

    def is_dn_valued(self, type_: AttributeType) -> bool:
        """Tell whether the values of an attribute are names of entries."""
        return type_.syntax.oid == PREFIX + "12"

    def rule(self, name: str) -> MatchingRule | None:
        """Return the matching rule of a name or OID, or None."""
        return self.rules.get(name.lower())

    def _add_type(self, definition: Definition) -> None:
        new = AttributeType(definition)
        superior = definition.one("SUP")
        if superior is not None:
            self._derive(new, superior)
        syntax = definition.one("SYNTAX")
        if syntax is not None:
            new.syntax = self._syntax(syntax.partition("{")[0], definition)
        elif superior is None:
            raise InvalidInput("schema", definition.text, "give the attribute type a SYNTAX or a SUP")
        for keyword, kind in (("EQUALITY", "equality"), ("ORDERING", "ordering"), ("SUBSTR", "substrings")):
            name = definition.one(keyword)
            if name is not None:
                setattr(new, kind, self._named_rule(name, definition))
        self._refuse_known(new.oid, new.names, self.types, definition)
        for name in (new.oid, *new.names):
            self.types[name.lower()] = new
        self.attribute_types.append(new)
        above = new.superior
        while above is not None:
            above.subtypes.append(new)
            above = above.superior

    def _derive(self, new: AttributeType, superior: str) -> None:
        above = self.types.get(superior.lower())
        if above is None:
            raise InvalidInput("schema", new.definition, f"define the attribute type {superior} first")
        new.superior, new.syntax = above, above.syntax
        new.equality, new.ordering, new.substrings = above.equality, above.ordering, above.substrings

    def _syntax(self, oid: str, definition: Definition) -> Syntax:
        try:
            return self.syntaxes[oid]
        except KeyError:
            raise InvalidInput("schema", definition.text, f"there is no syntax {oid}") from None

    def _named_rule(self, name: str, definition: Definition) -> MatchingRule | None:
        if name in NOT_COMPARED:
            return None
        try:
            return self.rules[name.lower()]
        except KeyError:
            raise InvalidInput("schema", definition.text, f"there is no matching rule {name}") from None

    def _refuse_known(self, oid: str, names: Iterable[str], known: Iterable[str], definition: Definition) -> None:
        for name in (oid, *names):
            if name.lower() in known:
                raise InvalidInput("schema", definition.text, f"{name} is defined already")

    def _add_class(self, definition: Definition) -> None:
        kinds = definition.flags & {"ABSTRACT", "STRUCTURAL", "AUXILIARY"}
        names = tuple(definition.all("NAME")) or (definition.oid,)
        new = ObjectClass(
            definition.oid,
            names,
            next(iter(kinds)) if kinds else "STRUCTURAL",
            tuple(self._lookup(name, self.classes, definition) for name in definition.all("SUP")),
            tuple(self._lookup(name, self.types, definition) for name in definition.all("MUST")),
            tuple(self._lookup(name, self.types, definition) for name in definition.all("MAY")),
            definition.text,
        )
        self._refuse_known(new.oid, names, self.classes, definition)
        for name in (new.oid, *names):
            self.classes[name.lower()] = new
        self.object_classes.append(new)

    def _lookup(self, name: str, known: dict[str, Known], definition: Definition) -> Known:
        try:
            return known[name.lower()]
        except KeyError:
            raise InvalidInput("schema", definition.text, f"define {name} first") from None


# Rules that attribute types name and that compare nothing.
NOT_COMPARED = frozenset({"presentationAddressMatch", "protocolInformationMatch"})


def __getattr__(name: str) -> Any:
    """Return what python-ldap has in its module of this name."""
    from importlib import import_module

    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("nova_fakes.ldap.client.schema"), name)
