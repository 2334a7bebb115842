"""What callers give the client library, checked as python-ldap checks it: same types, same words in the errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nova_fakes.ldap.client.errors import local_error
from nova_fakes.ldap.messages import Control, encode_text

__all__ = ["attribute_names", "changes", "controls_of", "given_values", "number", "octets", "text", "values_of"]


def text(value: Any, function: str, position: int, *, optional: bool = False) -> bytes:
    """Return a string argument as it is sent.

    :raises TypeError: where it is something else
    :raises ValueError: where a NUL is in it
    """
    if value is None and optional:
        return b""
    if not isinstance(value, str):
        kind = "None" if value is None else type(value).__name__
        wanted = "str or None" if optional else "str"
        raise TypeError(f"{function}() argument {position} must be {wanted}, not {kind}")
    if "\0" in value:
        raise ValueError("embedded null character")
    return encode_text(value)


def octets(value: Any, *, optional: bool = False) -> bytes | None:
    """Return an argument that may be a string or bytes; None where nothing was given and nothing has to be.

    :raises TypeError: where it is something else
    """
    if value is None and optional:
        return None
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(f"a bytes-like object is required, not '{type(value).__name__}'")


def number(value: Any) -> int:
    """Return an integer argument.

    :raises TypeError: where it is something else
    """
    if not isinstance(value, int):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    return int(value)


def attribute_names(names: Any) -> tuple[str, ...]:
    """Return the attributes that are asked for.

    :raises TypeError: where they are not a list of strings
    """
    if names is None:
        return ()
    if isinstance(names, str):
        raise TypeError("attrs_from_List(): expected *list* of strings, not a string", names)
    try:
        listed = tuple(names)
    except TypeError:
        raise TypeError("expected list of strings or None") from None
    for name in listed:
        if not isinstance(name, str):
            raise TypeError("attrs_from_List(): expected string in list", name)
    return listed


def changes(listed: Any, count: int) -> list[tuple[Any, ...]]:
    """Return a list of tuples: attribute and values, before them the kind of change where three are wanted.

    :raises TypeError: where it is not such a list
    """
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise TypeError("List_to_LDAPMods(): expected list of tuples", listed)
    return [_change(one, count) for one in listed]


def _change(one: Any, count: int) -> tuple[Any, ...]:
    function = "Tuple_to_LDAPMod"
    if not isinstance(one, tuple):
        raise TypeError(f"{function}(): expected a tuple", one)
    if len(one) != count:
        raise TypeError(f"{function}() takes exactly {count} arguments ({len(one)} given)")
    kind = [number(one[0])] if count == 3 else []
    return (*kind, text(one[-2], function, count - 1), values_of(one[-1]))


def values_of(values: Any) -> list[bytes] | None:
    """Return the values of an attribute; None where there is not even a list of them.

    :raises TypeError: where a value is not bytes
    """
    if values is None:
        return None
    if isinstance(values, bytes):
        return [values]
    if not isinstance(values, Sequence):
        return None
    for value in values:
        if not isinstance(value, bytes):
            raise TypeError("Tuple_to_LDAPMod(): expected a byte string in the list", value)
    return list(values)


def given_values(values: list[bytes] | None) -> list[bytes]:
    """Return the values of an attribute of a new entry.

    :raises LDAPError: PARAM_ERROR where there is no list of them
    """
    if values is None:
        raise local_error("PARAM_ERROR")
    return values


def controls_of(listed: Any) -> list[Control]:
    """Return controls, given as tuples of OID, criticality and value.

    :raises TypeError: where they are something else
    """
    if listed is None:
        return []
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        raise TypeError("LDAPControls_from_object(): expected a list", listed)
    return [_control(one) for one in listed]


def _control(one: Any) -> Control:
    function = "Tuple_to_LDAPControl"
    if not isinstance(one, tuple):
        raise TypeError(f"{function}(): expected a tuple", one)
    if len(one) != 3:
        raise TypeError(f"{function}() takes exactly 3 arguments ({len(one)} given)")
    oid, critical, value = one
    if value is not None and not isinstance(value, bytes):
        raise TypeError(f"{function}(): expected bytes", value)
    return Control(text(oid, function, 1).decode(), bool(critical), value)
