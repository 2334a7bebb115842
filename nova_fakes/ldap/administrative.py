"""Entries that are not in the tree: the root DSE (RFC 4512 §5.1) and the subschema subentry (RFC 4512 §4.2)."""

from __future__ import annotations

from collections.abc import Iterable

from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry, Values, stamp
from nova_fakes.ldap.rules import MatchingRule
from nova_fakes.ldap.schema import Attribute, Schema

__all__ = ["Administrative"]

FEATURES = (
    "1.3.6.1.1.14",  # increment
    "1.3.6.1.4.1.4203.1.5.1",  # all operational attributes
    "1.3.6.1.4.1.4203.1.5.2",  # attributes by object class
    "1.3.6.1.4.1.4203.1.5.3",  # true and false filters
    "1.3.6.1.4.1.4203.1.5.4",  # language tags
    "1.3.6.1.4.1.4203.1.5.5",  # language ranges
)


class Administrative:
    """Makes the root DSE and the subschema subentry of a directory.

    :param controls: OIDs of the controls that it names
    :param extensions: OIDs of the extended operations that it names
    :param mechanisms: SASL mechanisms that it names
    :param now_s: since when the schema is what it is
    """

    def __init__(
        self,
        schema: Schema,
        suffix: Dn,
        controls: Iterable[str],
        extensions: Iterable[str],
        mechanisms: Iterable[str],
        now_s: float,
    ) -> None:
        self._schema = schema
        self._suffix = suffix
        self.subschema_dn = schema.dn("cn=Subschema")
        self.controls = list(controls)
        self.extensions = list(extensions)
        self.mechanisms = list(mechanisms)
        self._begun_s = now_s

    def _entry(self, name: str, class_name: str, values: dict[str, list[str]]) -> Entry:
        attributes: dict[Attribute, Values] = {
            self._schema.attribute(key): tuple(one.encode() for one in given) for key, given in values.items() if given
        }
        dn = self._schema.dn(name)
        entry = Entry(0, dn.text, dn.key, attributes)
        entry.structural = self._schema.classes[class_name.lower()]
        return entry

    def entry(self, dn: Dn) -> Entry | None:
        """Return the entry of a DN that is not in the tree, or None."""
        if not dn.rdns:
            return self.root_dse()
        return self.subschema() if dn == self.subschema_dn else None

    def root_dse(self) -> Entry:
        """Make the root DSE."""
        return self._entry(
            "",
            "OpenLDAProotDSE",
            {
                "objectClass": ["top", "OpenLDAProotDSE"],
                "structuralObjectClass": ["OpenLDAProotDSE"],
                "configContext": ["cn=config"],
                "namingContexts": [self._suffix.text],
                "supportedControl": self.controls,
                "supportedExtension": self.extensions,
                "supportedFeatures": list(FEATURES),
                "supportedLDAPVersion": ["3"],
                "supportedSASLMechanisms": self.mechanisms,
            },
        )

    def subschema(self) -> Entry:
        """Make the subschema subentry: all that the directory knows, as definitions."""
        schema = self._schema
        rules = [rule for rule in dict.fromkeys(schema.rules.values()) if not rule.hidden]
        begun = stamp(self._begun_s).decode()
        entry = self._entry(
            "cn=Subschema",
            "subentry",
            {
                "structuralObjectClass": ["subentry"],
                "objectClass": ["top", "subentry", "subschema", "extensibleObject"],
                "cn": ["Subschema"],
                "createTimestamp": [begun],
                "modifyTimestamp": [begun],
                "ldapSyntaxes": [syntax.definition() for syntax in schema.syntaxes.values() if syntax.validate],
                "matchingRules": [rule.definition() for rule in rules],
                "matchingRuleUse": [use for rule in rules if (use := self._use(rule))],
                "attributeTypes": [type_.definition for type_ in schema.attribute_types],
                "objectClasses": [one.definition for one in schema.object_classes],
            },
        )
        entry.created_s = entry.modified_s = self._begun_s
        return entry

    def _use(self, rule: MatchingRule) -> str:
        """List the attribute types that a rule compares (RFC 4512 §4.1.4)."""
        used = [
            type_.name
            for type_ in self._schema.attribute_types
            if rule in (type_.equality, type_.ordering, type_.substrings)
        ]
        return f"( {rule.oid} NAME '{rule.name}' APPLIES ( {' $ '.join(used)} ) )" if used else ""
