"""What slapd checks before it stores: values against their syntaxes, entries against their object classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nova_fakes.ldap.dn import Rdn
from nova_fakes.ldap.entry import GENERATED, Entry, Values
from nova_fakes.ldap.matching import CLASS_VALUED
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Attribute, AttributeType, ObjectClass, Schema

__all__ = ["Checker", "ClassSet"]


# Attributes that only entries of one class have.
PLACES = {"ref": "referral", "aliasedObjectName": "alias", "subtreeSpecification": "subentry"}
# Attributes that only the directory changes, unless an administrator asks to relax that.
MANAGEABLE = {"entryUUID", "createTimestamp", "creatorsName", "modifyTimestamp", "modifiersName"}


class ClassSet:
    """What the object classes of an entry together demand and allow.

    :raises LdapError: OBJECT_CLASS_VIOLATION where they cannot stand together
    """

    def __init__(self, classes: Sequence[ObjectClass]) -> None:
        self.classes = tuple(classes)
        self.structural = _structural(classes)
        allowed: set[AttributeType] = set()
        for one in classes:
            allowed.update(one.all_must, one.all_may)
        self.allowed = frozenset(allowed)
        self.is_extensible = any(known.name == "extensibleObject" for one in classes for known in one.chain)

    def check(self, attributes: dict[Attribute, Values]) -> None:
        """Compare an entry's attributes with what the classes demand and allow.

        :raises LdapError: OBJECT_CLASS_VIOLATION
        """
        present = {attribute.type for attribute in attributes}
        for one in self.classes:
            if one.kind == "ABSTRACT":
                self._refuse_abstract(one)
            elif one.kind == "AUXILIARY" or one is self.structural:
                self._refuse_incomplete(one, present)
        if self.is_extensible:
            return
        for attribute in attributes:
            type_ = attribute.type
            if type_ not in self.allowed and not type_.operational and not self._allows_superior(type_):
                raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, f"attribute '{attribute.name}' not allowed")

    def _allows_superior(self, type_: AttributeType) -> bool:
        above = type_.superior
        while above is not None:
            if above in self.allowed:
                return True
            above = above.superior
        return False

    def _refuse_incomplete(self, one: ObjectClass, present: set[AttributeType]) -> None:
        for type_ in one.all_must:
            if type_ not in present:
                text = f"object class '{one.name}' requires attribute '{type_.name}'"
                raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, text)

    def _refuse_abstract(self, one: ObjectClass) -> None:
        if one.name != "top" and not any(one in other.chain for other in self.classes if other is not one):
            text = f"instantiation of abstract objectClass '{one.name}' not allowed"
            raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, text)


def _structural(classes: Sequence[ObjectClass]) -> ObjectClass:
    """Return the class that the others of its kind lead to."""
    found: ObjectClass | None = None
    for one in classes:
        if one.kind != "STRUCTURAL":
            continue
        if found is None or found in one.chain:
            found = one
        elif one not in found.chain:
            text = f"invalid structural object class chain ({found.name}/{one.name})"
            raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, text)
    if found is None:
        raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, "no structural object class provided")
    return found


class Checker:
    """The checks of one directory.

    :param enforce: False to take entries whatever their classes demand and allow
    """

    def __init__(self, schema: Schema, enforce: bool = True) -> None:
        self.schema = schema
        self.enforce = enforce
        self.object_class = schema.attribute("objectClass")
        self.class_set = lru_cache(1024)(self._class_set)

    def _class_set(self, values: Values) -> ClassSet:
        classes = [found for value in values if (found := self.schema.object_class(value)) is not None]
        return ClassSet(classes)

    def attribute(self, name: str) -> Attribute:
        """Return the attribute that an entry shall have.

        :raises LdapError: UNDEFINED_TYPE
        """
        try:
            attribute = self.schema.attribute(name)
        except LdapError as error:
            raise LdapError(error.code, f"{name}: {error.text}") from None
        if attribute.type.syntax.binary_transfer and "binary" not in attribute.options:
            raise LdapError(ResultCode.UNDEFINED_TYPE, f"{name}: requires ;binary transfer")
        if any(option.endswith("-") for option in attribute.options):
            raise LdapError(ResultCode.UNDEFINED_TYPE, f"{name}: inappropriate use of tag range option")
        return attribute

    def named_values(self, name: str, values: Sequence[bytes], *, is_set: bool = True) -> tuple[Attribute, Values]:
        """Check an attribute and values, and give them as they are stored.

        :param name: the attribute as whoever asks has spelled it
        :param is_set: whether each value may be there once only
        :raises LdapError: UNDEFINED_TYPE, INVALID_SYNTAX, CONSTRAINT_VIOLATION or TYPE_OR_VALUE_EXISTS
        """
        attribute = self.attribute(name)
        type_ = attribute.type
        syntax = type_.syntax
        if syntax.validate is None:
            raise LdapError(ResultCode.INVALID_SYNTAX, f"{name}: no validator for syntax {syntax.oid}")
        for number, value in enumerate(values):
            if not syntax.validate(value) or not self._is_known(attribute, value):
                raise LdapError(ResultCode.INVALID_SYNTAX, f"{name}: value #{number} invalid per syntax")
        if is_set and type_.single_value and len(values) > 1:
            raise LdapError(ResultCode.CONSTRAINT_VIOLATION, f"{name}: multiple values provided")
        checked = tuple(values)
        if syntax.pretty is not None:
            checked = tuple(syntax.pretty(value) for value in checked)
        if attribute is self.object_class:
            checked = tuple(self._class_name(value) for value in checked)
        if is_set and len(checked) > 1:
            self._refuse_duplicates(attribute, checked)
        return attribute, checked

    def _class_name(self, value: bytes) -> bytes:
        found = self.schema.object_class(value)
        return found.name.encode() if found is not None else value

    def _is_known(self, attribute: Attribute, value: bytes) -> bool:
        return attribute.type.name not in CLASS_VALUED or self.schema.object_class(value) is not None

    def _refuse_duplicates(self, attribute: Attribute, values: Values) -> None:
        seen: dict[object, int] = {}
        for number, value in enumerate(values):
            first = seen.setdefault(attribute.type.key(value), number)
            if first != number:
                text = f"{attribute.name}: value #{first} provided more than once"
                raise LdapError(ResultCode.TYPE_OR_VALUE_EXISTS, text)

    def refuse_generated(self, attribute: Attribute, *, relax: bool = False) -> None:
        """Refuse a change of what only the directory may change.

        :param relax: whether what an administrator may set is allowed (draft-zeilenga-ldap-relax)
        :raises LdapError: CONSTRAINT_VIOLATION
        """
        if not attribute.type.no_user_modification or (relax and attribute.type.name in MANAGEABLE):
            return
        words = "no-user-modification attribute not manageable" if relax else "no user modification allowed"
        raise LdapError(ResultCode.CONSTRAINT_VIOLATION, f"{attribute.name}: {words}")

    def entry(
        self,
        attributes: dict[Attribute, Values],
        rdn: Rdn,
        before: Entry | None = None,
        *,
        is_new: bool = False,
        relax: bool = False,
    ) -> ObjectClass | None:
        """Check a whole entry and return its structural class.

        :param before: the entry as it was, where it is changed
        :param is_new: give it the values of its name that it does not have
        :param relax: let it become of another structural class
        :raises LdapError: OBJECT_CLASS_VIOLATION, NO_OBJECT_CLASS_MODS, CONSTRAINT_VIOLATION or NAMING_VIOLATION
        """
        if not self.enforce:
            if is_new:
                self.add_naming_values(attributes, rdn)
            return self.structural(attributes)
        classes = attributes.get(self.object_class, ())
        for attribute, values in attributes.items():
            self._refuse_misplaced(attribute.type, classes)
            if len(values) > 1 and attribute.type.single_value:
                text = f"attribute '{attribute.name}' cannot have multiple values"
                raise LdapError(ResultCode.CONSTRAINT_VIOLATION, text)
        if not classes:
            raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, "no objectClass attribute")
        class_set = self.class_set(classes)
        known = before.structural if before is not None and not relax else None
        if known is not None and known is not class_set.structural:
            text = (
                f"structural object class modification from '{known.name}' to '{class_set.structural.name}' not allowed"
            )
            raise LdapError(ResultCode.NO_OBJECT_CLASS_MODS, text)
        if is_new:
            self.add_naming_values(attributes, rdn)
        else:
            self._check_naming(attributes, rdn)
        class_set.check(attributes)
        return class_set.structural

    def _refuse_misplaced(self, type_: AttributeType, classes: Values) -> None:
        """Refuse what only entries of a certain kind have."""
        place = PLACES.get(type_.name) or (
            "root DSE" if type_.usage == "dSAOperation" and type_.name != "memberOf" else None
        )
        if place is None:
            return
        wanted = self.schema.classes.get(place)
        if wanted is None or not any(
            wanted in known.chain for value in classes if (known := self.schema.object_class(value))
        ):
            text = f'attribute "{type_.name}" only allowed in the {place}'
            raise LdapError(ResultCode.OBJECT_CLASS_VIOLATION, text)

    def structural(self, attributes: dict[Attribute, Values]) -> ObjectClass | None:
        """Return the structural class of an entry; None where its classes have none."""
        try:
            return self.class_set(attributes.get(self.object_class, ())).structural
        except LdapError:
            return None

    def _check_naming(self, attributes: dict[Attribute, Values], rdn: Rdn) -> None:
        for ava in rdn.avas:
            attribute = self.schema.attribute(ava.attribute.name)
            values = attributes.get(attribute)
            if values is None:
                text = f"naming attribute '{attribute.name}' is not present in entry"
                raise LdapError(ResultCode.NAMING_VIOLATION, text)
            key = attribute.type.key(ava.value)
            if ava.value not in values and all(attribute.type.key(value) != key for value in values):
                text = f"value of naming attribute '{attribute.name}' is not present in entry"
                raise LdapError(ResultCode.NAMING_VIOLATION, text)

    def add_naming_values(self, attributes: dict[Attribute, Values], rdn: Rdn, *, is_new: bool = True) -> None:
        """Give an entry the values of its RDN that it does not have.

        :param is_new: whether the entry is being added
        :raises LdapError: NAMING_VIOLATION where the RDN cannot be the entry's
        """
        for ava in rdn.avas if is_new else reversed(rdn.avas):
            attribute = self.schema.attribute(ava.attribute.name)
            if attribute.type.name in GENERATED or attribute.type.operational:
                text = f"naming attribute '{attribute.name}' is operational"
                raise LdapError(ResultCode.NAMING_VIOLATION, text)
            if attribute.type.equality is None:
                text = f"naming attribute '{attribute.name}' has no equality matching rule"
                raise LdapError(ResultCode.NAMING_VIOLATION, text)
            values = attributes.get(attribute, ())
            key = attribute.type.key(ava.value)
            if ava.value in values or any(attribute.type.key(value) == key for value in values):
                continue
            if is_new and values and attribute.type.single_value:
                text = (
                    f"value of single-valued naming attribute '{attribute.name}' conflicts with value present in entry"
                )
                raise LdapError(ResultCode.NAMING_VIOLATION, text)
            attributes[attribute] = (*values, ava.value)
