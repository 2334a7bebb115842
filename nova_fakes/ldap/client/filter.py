"""What `ldap.filter` has: search filters made of values that may hold anything (RFC 4515)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from nova_fakes.ldap.client.functions import strf_secs

__all__ = ["escape_filter_chars", "filter_format", "time_span_filter"]

SPECIAL = str.maketrans({char: f"\\{ord(char):02x}" for char in "\\*()\0"})


def escape_filter_chars(assertion_value: str, escape_mode: int = 0) -> str:
    """Write a value so that it stands for itself in a filter.

    :param escape_mode: 0 to escape what is special, 1 to escape all but letters, digits and what lies between them in
        ASCII, 2 to escape everything
    :raises TypeError: where the value is not a string
    :raises ValueError: for another mode
    """
    if not isinstance(assertion_value, str):
        raise TypeError("assertion_value must be of type str.")
    if escape_mode == 0:
        return assertion_value.translate(SPECIAL)
    if escape_mode not in (1, 2):
        raise ValueError("escape_mode must be 0, 1 or 2.")
    return "".join(
        f"\\{ord(char):02x}" if escape_mode == 2 or not "0" <= char <= "z" or char == "\\" else char
        for char in assertion_value
    )


def filter_format(filter_template: str, assertion_values: Iterable[str]) -> str:
    """Put values into a filter with `%s` in their places, escaped."""
    return filter_template % tuple(map(escape_filter_chars, assertion_values))


def time_span_filter(
    filterstr: str = "",
    from_timestamp: float = 0,
    until_timestamp: float | None = None,
    delta_attr: str = "modifyTimestamp",
) -> str:
    """Make a filter for what was changed in some time.

    :param filterstr: a filter that shall match, too
    :param from_timestamp: seconds since the epoch; before now where it is negative and no end is given
    :param until_timestamp: seconds since the epoch; now where it is None
    :raises ValueError: where the end is before the beginning
    """
    if until_timestamp is None:
        until_timestamp = time.time()
        if from_timestamp < 0:
            from_timestamp += until_timestamp
    if from_timestamp > until_timestamp:
        raise ValueError(
            f"from_timestamp {from_timestamp!r} must not be greater than until_timestamp {until_timestamp!r}"
        )
    begin, end = strf_secs(from_timestamp), strf_secs(until_timestamp)
    return f"(&{filterstr}({delta_attr}>={begin})(!({delta_attr}>={end})))"
