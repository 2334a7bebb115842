"""Filters against entries, in three-valued logic (RFC 4511 §4.5.1.7): true, false or undefined (None)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nova_fakes.ldap import filters
from nova_fakes.ldap.entry import COMPUTED, GENERATED, Entry, Values
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.phonetics import sounds_like
from nova_fakes.ldap.rules import MatchingRule
from nova_fakes.ldap.schema import Attribute, AttributeType, Schema
from nova_fakes.ldap.syntaxes import PREFIX

__all__ = ["CLASS_VALUED", "Allowed", "Matcher", "asserted_key", "compile_filter", "equality_key", "substring_test"]

Allowed = Callable[[Entry, AttributeType], bool] | None
"""Tells whether whoever searches may search by an attribute of an entry; None where everything is allowed."""

Matcher = Callable[[Entry, Allowed], bool | None]
Linked = Callable[[bytes], Entry | None]
IN_CHAIN = "1.2.840.113556.1.4.1941"

SOUNDING = {"caseIgnoreMatch", "caseExactMatch", "caseIgnoreIA5Match", "caseExactIA5Match"}
# Filters that name a rule of this syntax write no names.
OIDS, NUMERIC_OID = PREFIX + "38", re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")
CLASS_VALUED = {"objectClass", "structuralObjectClass"}
#: Attributes of the subschema whose values may be asserted by name, and what bears the names.
DEFINING: dict[str, Callable[[Schema], Mapping[str, Any]]] = {
    "attributeTypes": lambda schema: schema.types,
    "objectClasses": lambda schema: schema.classes,
    "matchingRules": lambda schema: schema.rules,
    "matchingRuleUse": lambda schema: schema.rules,
    "dITContentRules": lambda schema: {},
}
#: What a name compares by that nothing bears: of no value is it told whether it is meant.
NOWHERE = object()


def _undefined(entry: Entry, allowed: Allowed) -> bool | None:
    return None


def _false(entry: Entry, allowed: Allowed) -> bool | None:
    return False


def compile_filter(filter_: Filter, schema: Schema, linked: Linked | None = None) -> Matcher:
    """Make a function of a filter that tells whether an entry matches.

    :param linked: finds the entry that a value names, where filters can follow links
    """
    match filter_:
        case filters.And(parts):
            return _conjunction([compile_filter(part, schema, linked) for part in parts])
        case filters.Or(parts):
            return _disjunction([compile_filter(part, schema, linked) for part in parts])
        case filters.Not(part):
            return _negation(compile_filter(part, schema, linked))
        case filters.Extensible():
            if linked is not None and filter_.rule == IN_CHAIN:
                return _chain(filter_, schema, linked)
            return _extensible(filter_, schema)
    attribute = schema.find_attribute(filter_.attribute)
    if attribute is None:
        return _undefined
    match filter_:
        case filters.Present():
            return _presence(attribute)
        case filters.Equality(_, value):
            return _equality(attribute, value, schema)
        case filters.Approximate(_, value):
            return _approximation(attribute, value, schema)
        case filters.GreaterOrEqual(_, value):
            return _order(attribute, value, schema, greater=True)
        case filters.LessOrEqual(_, value):
            return _order(attribute, value, schema, greater=False)
        case filters.Substrings():
            return _substrings(attribute, filter_)


def _conjunction(matchers: list[Matcher]) -> Matcher:
    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        result: bool | None = True
        for matcher in matchers:
            one = matcher(entry, allowed)
            if one is False:
                return False
            if one is None:
                result = None
        return result

    return matches


def _disjunction(matchers: list[Matcher]) -> Matcher:
    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        result: bool | None = False
        for matcher in matchers:
            one = matcher(entry, allowed)
            if one:
                return True
            if one is None:
                result = None
        return result

    return matches


def _negation(matcher: Matcher) -> Matcher:
    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        one = matcher(entry, allowed)
        return None if one is None else not one

    return matches


def _presence(attribute: Attribute) -> Matcher:
    type_ = attribute.type

    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        if allowed is not None and not allowed(entry, type_):
            return None
        return attribute in entry.attributes or bool(entry.matching(attribute))

    return matches


def asserted_key(rule: MatchingRule | None, value: bytes, schema: Schema) -> object | None:
    """Return what an asserted value compares by, or None where it is not of the rule's syntax."""
    if rule is None:
        return None
    syntax = schema.syntaxes.get(rule.syntax)
    if syntax is not None and (syntax.validate is None or not syntax.validate(value)):
        return None
    try:
        key: object = rule.assertion(value)
    except ValueError:
        return None
    return key


def equality_key(type_: AttributeType, value: bytes, schema: Schema) -> object | None:
    """Return what a value compares by that is said to be one of an attribute type's, or None where it can be none."""
    rule = type_.equality
    if type_.name in CLASS_VALUED:
        known = schema.object_class(value)
        return None if known is None else known.oid
    key = asserted_key(rule, value, schema)
    if rule is None or key is None or rule.syntax != OIDS:
        return key
    is_number = NUMERIC_OID.fullmatch(value) is not None
    if type_.name not in DEFINING:
        return key if is_number else None
    if value[:1].isdigit():
        return key if is_number and b"." in value else None
    defined = DEFINING[type_.name](schema).get(value.decode("latin-1").lower())
    return NOWHERE if defined is None else defined.oid


def _any_value(attribute: Attribute, test: Callable[[AttributeType, bytes], bool]) -> Matcher:
    """Make a matcher that is true where a value passes the test."""
    type_ = attribute.type

    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        if allowed is not None and not allowed(entry, type_):
            return None
        for held, values in entry.matching(attribute):
            for value in values:
                if test(held, value):
                    return True
        return False

    return matches


def _unknown(attribute: Attribute) -> Matcher:
    """Make a matcher that cannot tell of an entry with that attribute."""
    return lambda entry, allowed: None if entry.matching(attribute) else False


def _equality(attribute: Attribute, value: bytes, schema: Schema) -> Matcher:
    type_ = attribute.type
    if type_.name in CLASS_VALUED:
        return _class_membership(attribute, value, schema)
    key = equality_key(type_, value, schema)
    if key is None or type_.equality is None:
        return _undefined
    if key is NOWHERE:
        return _unknown(attribute)
    if type_.name == "subschemaSubentry":
        return _false
    normalise = type_.equality.normalise
    return _any_value(attribute, lambda held, have: normalise(have) == key)


def _class_membership(attribute: Attribute, value: bytes, schema: Schema) -> Matcher:
    """Match entries of a class or of one derived from it."""
    wanted = schema.object_class(value)
    if wanted is None:
        return _undefined

    def is_derived(held: AttributeType, have: bytes) -> bool:
        found = schema.object_class(have)
        return found is not None and wanted in found.chain

    return _any_value(attribute, is_derived)


def _approximation(attribute: Attribute, value: bytes, schema: Schema) -> Matcher:
    equality = attribute.type.equality
    if equality is None or equality.name not in SOUNDING:
        return _equality(attribute, value, schema)
    if asserted_key(equality, value, schema) is None:
        return _undefined
    return _any_value(attribute, lambda held, have: sounds_like(have, value))


def _order(attribute: Attribute, value: bytes, schema: Schema, *, greater: bool) -> Matcher:
    rule = attribute.type.ordering
    key = asserted_key(rule, value, schema)
    if key is None or rule is None:
        return _undefined
    normalise = rule.normalise
    if greater:
        return _any_value(attribute, lambda held, have: normalise(have) >= key)
    return _any_value(attribute, lambda held, have: normalise(have) <= key)


def substring_test(rule: MatchingRule, asserted: filters.Substrings) -> Callable[[str], bool] | None:
    """Make a test for prepared values, or return None where the assertion cannot be prepared."""
    if rule.part is None:
        return None
    try:
        initial = rule.part(asserted.initial, True, False) if asserted.initial is not None else ""
        middle = [rule.part(part, False, False) for part in asserted.any]
        final = rule.part(asserted.final, False, True) if asserted.final is not None else ""
    except ValueError:
        return None
    if not initial and not final and len(middle) == 1:
        single = middle[0]
        return lambda have: single in have

    def matches(have: str) -> bool:
        if not have.startswith(initial):
            return False
        position, end = len(initial), len(have) - len(final)
        for part in middle:
            position = have.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return position <= end and have.endswith(final)

    return matches


def _substrings(attribute: Attribute, asserted: filters.Substrings) -> Matcher:
    rule = attribute.type.substrings
    test = substring_test(rule, asserted) if rule is not None else None
    if rule is None or test is None:
        return _undefined
    normalise = rule.normalise
    return _any_value(attribute, lambda held, have: test(normalise(have)))


def _extensible(asserted: filters.Extensible, schema: Schema) -> Matcher:
    attribute = None
    if asserted.attribute is not None:
        attribute = schema.find_attribute(asserted.attribute)
        if attribute is None:
            return _undefined
    if attribute is not None and attribute.type.name in CLASS_VALUED:
        return _class_membership(attribute, asserted.value, schema) if asserted.rule is None else _undefined
    if asserted.rule is not None:
        rule = schema.rule(asserted.rule)
    else:
        rule = attribute.type.equality if attribute is not None else None
    if rule is None or (attribute is not None and not (rule.extensible and applies(rule, attribute.type))):
        return _undefined
    if asserted.rule is None and attribute is not None:
        key = equality_key(attribute.type, asserted.value, schema)
        if key is NOWHERE:
            return _unknown(attribute)
    elif rule.syntax == OIDS and NUMERIC_OID.fullmatch(asserted.value) is None:
        return _undefined
    else:
        key = asserted_key(rule, asserted.value, schema)
    if key is None:
        return _undefined
    if not rule.extensible:
        return _false
    if attribute is not None and attribute.type.name in COMPUTED - {"entryDN"}:
        return _false
    return _by_rule(rule_test(rule, key), attribute, rule, asserted.dn, schema)


def _chain(asserted: filters.Extensible, schema: Schema, linked: Linked) -> Matcher:
    """Match entries from which the asserted one is reached over values of the attribute, in any number of steps."""
    attribute = schema.find_attribute(asserted.attribute) if asserted.attribute is not None else None
    if attribute is None or not schema.is_dn_valued(attribute.type):
        return _undefined
    key = asserted_key(attribute.type.equality, asserted.value, schema)
    if key is None:
        return _undefined

    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        seen: set[str] = set()
        pending = [entry]
        while pending:
            one = pending.pop()
            if allowed is not None and not allowed(one, attribute.type):
                continue
            for _, values in one.matching(attribute):
                for value in values:
                    step = schema.dn_key(value)
                    if step == key:
                        return True
                    if step not in seen and (below := linked(value)) is not None:
                        pending.append(below)
                    seen.add(step)
        return False

    return matches


def applies(rule: MatchingRule, type_: AttributeType) -> bool:
    """Tell whether a rule can compare the values of an attribute type: the syntaxes are the same or near enough."""
    have, want = type_.syntax.oid, rule.syntax
    return have == want or want in COMPATIBLE.get(have, ()) or (type_.equality is not None and type_.equality is rule)


def _near(*numbers: str) -> tuple[str, ...]:
    return tuple(PREFIX + number for number in numbers)


# Syntaxes whose values a rule for another syntax can compare.
COMPATIBLE: dict[str, tuple[str, ...]] = {PREFIX + number: _near("15") for number in ("11", "44", "50")}


def rule_test(rule: MatchingRule, key: object) -> Callable[[bytes], bool | None]:
    """Make a test of one value by a rule that a filter names."""
    normalise = rule.normalise

    def test(value: bytes) -> bool | None:
        try:
            have = normalise(value)
        except ValueError:
            return False
        return rule.relation(have, key)

    return test


def _by_rule(
    test: Callable[[bytes], bool | None], attribute: Attribute | None, rule: MatchingRule, dn: bool, schema: Schema
) -> Matcher:
    generated = [
        (type_, make)
        for name, make in GENERATED.items()
        if name not in COMPUTED | CLASS_VALUED and applies(rule, type_ := schema.attribute(name).type)
    ]

    def held(entry: Entry) -> Iterator[tuple[AttributeType, Values]]:
        for one, values in entry.attributes.items():
            if applies(rule, one.type) and one.type.name not in CLASS_VALUED:
                yield one.type, values
        for type_, make in generated:
            value = make(entry)
            if value is not None:
                yield type_, (value,)

    def matches(entry: Entry, allowed: Allowed) -> bool | None:
        if attribute is not None and allowed is not None and not allowed(entry, attribute.type):
            return None
        for type_, values in held(entry) if attribute is None else entry.matching(attribute):
            if allowed is not None and not allowed(entry, type_):
                continue
            for value in values:
                if (one := test(value)) is not False:
                    return one
        return dn and not (attribute is not None and attribute.options) and _in_dn(entry, test, attribute, rule, schema)

    return matches


def _in_dn(
    entry: Entry, test: Callable[[bytes], bool | None], attribute: Attribute | None, rule: MatchingRule, schema: Schema
) -> bool:
    """Tell whether a value in the entry's DN passes the test."""
    for rdn in schema.dn(entry.dn()).rdns:
        for ava in rdn.avas:
            type_ = schema.naming_attribute(ava.attribute.name)
            wanted = type_ is not None and (
                type_ in attribute.type.subtypes if attribute is not None else applies(rule, type_)
            )
            if wanted and test(ava.value):
                return True
    return False
