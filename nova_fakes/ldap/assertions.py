"""What a test holds of a directory's entries, with messages that show what is there instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches, unified_diff

from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.ldif import dump, read, write
from nova_fakes.ldap.schema import Attribute

__all__ = ["assert_content", "assert_entry", "assert_no_entry"]

Wanted = Mapping[str, Iterable[str | bytes]]


def assert_entry(directory: Directory, dn: str, attributes: Wanted | None = None) -> None:
    """Hold that there is an entry, and that it has exactly these values of these attributes, in any order.

    :param attributes: values by name; without values where the entry shall not have the attribute
    :raises AssertionError: it is otherwise
    """
    entry = _find(directory, dn)
    if entry is None:
        raise AssertionError(f"there is no entry {dn}{_near(directory, dn)}")
    wrong = [line for name, values in (attributes or {}).items() for line in _compare(directory, entry, name, values)]
    if wrong:
        raise AssertionError("\n".join((f"the entry {dn} is not as expected:", *wrong)))


def assert_no_entry(directory: Directory, dn: str) -> None:
    """Hold that there is no entry of a name.

    :raises AssertionError: there is one
    """
    entry = _find(directory, dn)
    if entry is not None:
        raise AssertionError(f"there should be no entry {dn}:\n{_text(directory, entry)}")


def assert_content(directory: Directory, ldif: str) -> None:
    """Hold that a directory has the entries of an LDIF text and no other, operational attributes aside.

    :raises AssertionError: it is otherwise; the message is the difference
    """
    root = directory.identity(directory.root_dn)
    expected = Directory(
        directory.suffix.text, schema=directory.schema, root_dn=root.dn.text, check_schema=False, keep_operations=0
    )
    for dn, attributes in read(ldif):
        expected.add(root, dn, attributes)
    wanted, present = _sorted(expected).splitlines(), _sorted(directory).splitlines()
    difference = list(unified_diff(wanted, present, "expected", "present", lineterm=""))
    if difference:
        raise AssertionError("\n".join(("the directory has other entries than expected:", *difference)))


def _sorted(directory: Directory) -> str:
    """Write entries in an order that does not tell when they were added."""
    records = [
        (dn, sorted((name, sorted(values)) for name, values in attributes))
        for dn, attributes in read(dump(directory, operational=False))
    ]
    return write(sorted(records, key=lambda one: (directory.schema.dn(one[0]).key[::-1], one)))


def _find(directory: Directory, dn: str) -> Entry | None:
    return directory.find(directory.parse_dn(dn))[0]


def _near(directory: Directory, dn: str) -> str:
    names = [entry.dn() for entry in directory.entries()]
    near = get_close_matches(dn, names, 3)
    return f"; there is {', '.join(near)}" if near else f"; there are {len(names)} others"


def _compare(directory: Directory, entry: Entry, name: str, values: Iterable[str | bytes]) -> list[str]:
    """Return what is wrong with the values of an attribute, a line each; values compare by the attribute's rule."""
    attribute = directory.schema.find_attribute(name)
    if attribute is None:
        return [f"  {name}: the schema has no such attribute"]
    expected = _by_key(attribute, [one.encode() if isinstance(one, str) else one for one in values])
    present = _by_key(attribute, [value for _, held in entry.matching(attribute) for value in held])
    missing = [f"  {name}: {_shown(value)} is missing" for key, value in expected.items() if key not in present]
    return missing + [f"  {name}: {_shown(value)} is too much" for key, value in present.items() if key not in expected]


def _by_key(attribute: Attribute, values: Iterable[bytes]) -> dict[object, bytes]:
    keys = {}
    for value in values:
        try:
            keys[attribute.type.key(value)] = value
        except ValueError:  # not of the attribute's syntax: no value is equal to it
            keys[value] = value
    return keys


def _shown(value: bytes) -> str:
    try:
        return repr(value.decode())
    except UnicodeDecodeError:
        return repr(value)


def _text(directory: Directory, entry: Entry) -> str:
    dn, attributes = directory.read(directory.identity(directory.root_dn), entry, ())
    return write([(dn, attributes.items())])
