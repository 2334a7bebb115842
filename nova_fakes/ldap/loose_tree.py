"""Directories in which an entry may be added before those above it, under any name."""

from __future__ import annotations

from nova_fakes.clock import Clock
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.open_schema import OpenSchema
from nova_fakes.ldap.options import Change, Modification, Options
from nova_fakes.ldap.registry import Registry
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["GLUE", "NOT_GLUE", "LooseTree"]

# The class of entries that hold others together and are none themselves; slapd's name for it.
GLUE = b"glue"
NOT_GLUE = "(!(objectClass=glue))"
OBJECT_CLASS = "objectClass"


class LooseTree:
    """A directory for each topmost RDN, made when it is first named.

    :param root: name and password that may do everything
    :param schema: an open one where none is given
    :param clock: tells the times that entries get
    """

    def __init__(self, root: tuple[str, str], *, schema: OpenSchema | None = None, clock: Clock | None = None) -> None:
        self.registry = Registry(make=None)
        self.root = root
        self.schema = schema if schema is not None else OpenSchema()
        self._clock = clock
        self._places: dict[str, str] = {}

    def place(self, dn: str) -> str:
        """Return the URI, in the tree's registry, of the directory for a DN.

        :raises LdapError: INVALID_DN_SYNTAX
        """
        parsed = self._parsed(dn)
        top = parsed.rdns[-1].text if parsed.rdns else ""
        key = parsed.rdns[-1].key if parsed.rdns else ""
        if key not in self._places:
            uri = f"tree://{len(self._places)}"
            name, password = self.root
            directory = Directory(
                top or "o=none",
                root_dn=name,
                root_password=password,
                schema=self.schema,
                clock=self._clock,
                check_schema=False,
                tree_delete=True,
            )
            self.registry.put(uri, directory)
            self._places[key] = uri
        return self._places[key]

    def directories(self) -> list[Directory]:
        """Return the directories that there are."""
        return [self.registry.directory(uri) for uri in self._places.values()]

    def directory(self, dn: str) -> Directory:
        """Return the directory for a DN."""
        return self.registry.directory(self.place(dn))

    def _parsed(self, dn: str) -> Dn:
        try:
            return self.schema.dn(dn)
        except ValueError:
            raise LdapError(ResultCode.INVALID_DN_SYNTAX, "invalid DN") from None

    def is_glue(self, dn: str) -> bool:
        """Tell whether there is no entry at a DN that somebody has added."""
        entry, _ = self.directory(dn).find(self._parsed(dn))
        return entry is None or entry.attributes.get(self.schema.attribute(OBJECT_CLASS)) == (GLUE,)

    def has_children(self, dn: str) -> bool:
        """Tell whether there are entries below a DN."""
        entry, _ = self.directory(dn).find(self._parsed(dn))
        return entry is not None and bool(entry.children)

    def make_room(self, dn: str) -> None:
        """Make what an entry is to be added under, where it is not there."""
        parsed = self._parsed(dn)
        directory = self.directory(dn)
        root = directory.identity(directory.root_dn)
        for depth in range(1, len(parsed.rdns)):
            above = Dn(parsed.rdns[-depth:])
            if directory.find(above)[0] is None:
                directory.add(root, above.text, [(OBJECT_CLASS, [GLUE])])

    def clear_place(self, dn: str) -> bool:
        """Take an entry that only holds others out of the way of one with its name; tell whether it was there.

        It keeps what is below it: whoever adds the entry changes it instead.
        """
        return self.directory(dn).find(self._parsed(dn))[0] is not None and self.is_glue(dn)

    def remove(self, dn: str, *, with_children: bool = False) -> None:
        """Delete an entry; what is below it is deleted too, or is kept.

        :raises LdapError: where it is not there
        """
        directory = self.directory(dn)
        root = directory.identity(directory.root_dn)
        if self.is_glue(dn):
            raise LdapError(ResultCode.NO_SUCH_OBJECT)
        if with_children or not self.has_children(dn):
            directory.delete(root, dn, Options(tree_delete=with_children))
            return
        entry = directory.get(self._parsed(dn))
        emptied = [
            Modification(Change.DELETE, attribute.name)
            for attribute in entry.attributes
            if attribute is not self.schema.attribute(OBJECT_CLASS)
        ]
        directory.modify(root, dn, [*emptied, Modification(Change.REPLACE, OBJECT_CLASS, (GLUE,))])
