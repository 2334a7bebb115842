"""What a modification makes of an entry's attributes (RFC 4511 §4.6, RFC 4525)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nova_fakes.ldap.checking import Checker
from nova_fakes.ldap.dn import Rdn
from nova_fakes.ldap.entry import Values
from nova_fakes.ldap.options import Change, Modification
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.rules import MatchingRule
from nova_fakes.ldap.schema import Attribute, Schema
from nova_fakes.ldap.syntaxes import PREFIX

__all__ = ["Changes", "CheckedChange", "check_counts"]

INTEGER = PREFIX + "27"
WORDS = {Change.ADD: "add", Change.DELETE: "delete", Change.REPLACE: "replace", Change.INCREMENT: "increment"}


@dataclass(frozen=True, slots=True)
class CheckedChange:
    """A modification whose attribute is known and whose values are of its syntax."""

    change: Change
    attribute: Attribute
    values: Values


def check_counts(modifications: Iterable[Modification]) -> None:
    """Refuse modifications that have fewer or more values than they need.

    :raises LdapError: PROTOCOL_ERROR
    """
    for one in modifications:
        if one.change is Change.ADD and not one.values:
            raise LdapError(ResultCode.PROTOCOL_ERROR, "modify/add operation requires values")
        if one.change is Change.INCREMENT and len(one.values) != 1:
            words = "requires value" if not one.values else "requires single value"
            raise LdapError(ResultCode.PROTOCOL_ERROR, f"modify/increment operation ({one.attribute}) {words}")


class Changes:
    """Checks and applies modifications."""

    def __init__(self, schema: Schema, checker: Checker) -> None:
        self._schema = schema
        self._checker = checker

    def check(self, modifications: Sequence[Modification]) -> list[CheckedChange]:
        """Check the attributes and values of modifications, as far as that goes without the entry.

        :raises LdapError: UNDEFINED_TYPE, INVALID_SYNTAX, CONSTRAINT_VIOLATION, TYPE_OR_VALUE_EXISTS
        """
        return [self._checked(one) for one in modifications]

    def _checked(self, one: Modification) -> CheckedChange:
        attribute = self._checker.attribute(one.attribute)
        if one.change is Change.INCREMENT and attribute.type.syntax.oid != INTEGER:
            text = f"{one.attribute}: attribute syntax inappropriate for increment"
            raise LdapError(ResultCode.CONSTRAINT_VIOLATION, text)
        if not one.values:
            return CheckedChange(one.change, attribute, ())
        is_set = one.change is not Change.DELETE
        return CheckedChange(one.change, *self._checker.named_values(one.attribute, one.values, is_set=is_set))

    def apply(
        self, attributes: dict[Attribute, Values], changes: Iterable[CheckedChange], permissive: bool = False
    ) -> dict[Attribute, Values]:
        """Return what changes make of an entry's attributes.

        :param permissive: adding values that are there and deleting attributes that are not is no error
        :raises LdapError: where a change does not fit the entry
        """
        after = dict(attributes)
        for one in changes:
            match one.change:
                case Change.ADD:
                    self._add(after, one, permissive)
                case Change.DELETE:
                    self._delete(after, one, permissive)
                case Change.REPLACE:
                    self._replace(after, one)
                case Change.INCREMENT:
                    self._increment(after, one, permissive)
        return after

    def _rule(self, one: CheckedChange) -> MatchingRule:
        rule = one.attribute.type.equality
        if rule is None:
            text = f"modify/{WORDS[one.change]}: {one.attribute.name}: no equality matching rule"
            raise LdapError(ResultCode.INAPPROPRIATE_MATCHING, text)
        return rule

    def _add(self, after: dict[Attribute, Values], one: CheckedChange, permissive: bool) -> None:
        present = after.get(one.attribute)
        if present is None:
            after[one.attribute] = one.values
            return
        normalise = self._rule(one).normalise
        keys = {normalise(value) for value in present}
        added = list(present)
        for number, value in enumerate(one.values):
            if normalise(value) not in keys:
                added.append(value)
            elif not permissive:
                text = f"modify/add: {one.attribute.name}: value #{number} already exists"
                raise LdapError(ResultCode.TYPE_OR_VALUE_EXISTS, text)
        after[one.attribute] = tuple(added)

    def _delete(self, after: dict[Attribute, Values], one: CheckedChange, permissive: bool) -> None:
        if one.values:
            self._rule(one)
        present = after.get(one.attribute)
        if present is None:
            if permissive:
                return
            text = f"modify/delete: {one.attribute.name}: no such attribute"
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE, text)
        if not one.values:
            del after[one.attribute]
            return
        normalise = self._rule(one).normalise
        kept = {normalise(value): value for value in present}
        gone = {normalise(value): None for value in one.values}
        if not permissive and not gone.keys() <= kept.keys():
            text = f"modify/delete: {one.attribute.name}: no such value"
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE, text)
        last = normalise(one.values[-1]) in kept
        for key in gone:
            kept.pop(key, None)
        if not last:
            # What slapd finds of the last value stands, though it was permitted that there is none.
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE)
        if kept:
            after[one.attribute] = tuple(kept.values())
        else:
            del after[one.attribute]

    def _replace(self, after: dict[Attribute, Values], one: CheckedChange) -> None:
        if one.values:
            after[one.attribute] = one.values
        else:
            after.pop(one.attribute, None)

    def _increment(self, after: dict[Attribute, Values], one: CheckedChange, permissive: bool) -> None:
        present = after.get(one.attribute)
        if present is None and permissive:
            after[one.attribute] = one.values
            return
        if present is None:
            text = f"modify/increment: {one.attribute.name}: no such attribute"
            raise LdapError(ResultCode.NO_SUCH_ATTRIBUTE, text)
        after[one.attribute] = tuple(b"%d" % (int(value) + int(one.values[0])) for value in present)

    def renamed(
        self, attributes: dict[Attribute, Values], old: Rdn, new: Rdn, delete_old: bool
    ) -> dict[Attribute, Values]:
        """Return the attributes of an entry with the values of another RDN.

        :param delete_old: without the values of the old one
        :raises LdapError: NAMING_VIOLATION where the new RDN cannot be the entry's
        """
        after = dict(attributes)
        if delete_old:
            for ava in old.avas:
                attribute = self._schema.attribute(ava.attribute.name)
                key = self._key(attribute.name, ava.value)
                left = tuple(value for value in after.get(attribute, ()) if attribute.type.key(value) != key)
                after[attribute] = left
                if not left:
                    del after[attribute]
        self._checker.add_naming_values(after, new, is_new=False)
        return after

    def check_name(self, new: Rdn) -> None:
        """Refuse an RDN whose values cannot be told from others.

        :raises LdapError: NAMING_VIOLATION
        """
        if any(self._schema.attribute(ava.attribute.name).type.equality is None for ava in new.avas):
            raise LdapError(ResultCode.NAMING_VIOLATION, "naming attribute has no equality matching rule")

    def _key(self, name: str, value: bytes) -> object:
        return self._schema.attribute(name).type.key(value)
