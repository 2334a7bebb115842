"""Which attributes of an entry a search gives (RFC 4511 §4.5.1.8, RFC 3673, RFC 4529)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nova_fakes.ldap.entry import COMPUTED, GENERATED, Entry, Values
from nova_fakes.ldap.options import Attributes
from nova_fakes.ldap.schema import Attribute, AttributeType, ObjectClass, Schema

__all__ = ["Selection"]

ValueFilter = Callable[[Attribute, Values], Values] | None


class Selection:
    """The attributes that a client asked for.

    :param names: as in a search request; unknown ones are left out
    """

    def __init__(self, schema: Schema, names: Iterable[str], types_only: bool = False) -> None:
        wanted = list(names)
        self._schema = schema
        self.types_only = types_only
        self.all_user = not wanted or "*" in wanted
        self.all_operational = "+" in wanted
        self.attributes: list[Attribute] = []
        self.by_class: set[AttributeType] = set()
        for name in wanted:
            if name.startswith("@"):
                self._add_class(schema, name[1:])
            elif name not in ("*", "+") and (attribute := schema.find_attribute(name)) is not None:
                self.attributes.append(attribute)
        self._generated = [
            (name, GENERATED[name], schema.attribute(name).type)
            for name in GENERATED
            if self.all_operational or any(schema.attribute(name).is_a(one) for one in self.attributes)
        ]
        self.is_plain = self.all_user and not (types_only or self.attributes or self._generated or self.all_operational)

    def _add_class(self, schema: Schema, name: str) -> None:
        found: ObjectClass | None = schema.classes.get(name.lower())
        if found is None:
            return
        if found.name == "extensibleObject":
            self.all_user = self.all_operational = True
        self.by_class.update(found.all_must, found.all_may)

    def __contains__(self, attribute: Attribute) -> bool:
        operational = attribute.type.operational
        if self.all_operational if operational else self.all_user:
            return True
        return attribute.type in self.by_class or any(attribute.is_a(one) for one in self.attributes)

    def read(
        self,
        entry: Entry,
        visible: Callable[[Entry, AttributeType], bool] | None = None,
        value_filter: ValueFilter = None,
    ) -> Attributes:
        """Give the attributes of an entry.

        :param visible: tells whether an attribute may be read; None where all may
        :param value_filter: gives those of an attribute's values that are asked for
        """
        if self.is_plain and visible is None and value_filter is None:
            return {held.name: [*values] for held, values in entry.attributes.items() if not held.type.operational}
        result: Attributes = {}
        for held, values in entry.attributes.items():
            if held not in self or (visible is not None and not visible(entry, held.type)):
                continue
            if value_filter is not None:
                values = value_filter(held, values)
                if not values:
                    continue
            result[held.name] = [] if self.types_only else [*values]
        for name, generated, type_ in self._generated:
            value = generated(entry)
            if value is None or (visible is not None and not visible(entry, type_)):
                continue
            if value_filter is not None and not value_filter(self._schema.attribute(name), (value,)):
                if name in COMPUTED:
                    result[name] = []
                continue
            result[name] = [] if self.types_only else [value]
        return result
