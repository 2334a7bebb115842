"""Entries that stand for others: referrals to other servers (RFC 3296), and aliases (RFC 4512 §2.6)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry
from nova_fakes.ldap.results import LdapError, ResultCode
from nova_fakes.ldap.schema import Schema

__all__ = ["continuation", "is_alias", "is_referral", "is_subentry", "referral_error"]

# What stands in a URL as it is (RFC 4516).
UNESCAPED = "/;:@&=+$,-_.!~*'()"


def is_referral(entry: Entry) -> bool:
    """Tell whether an entry refers to other servers."""
    return entry.structural is not None and entry.structural.name == "referral"


def is_alias(entry: Entry) -> bool:
    """Tell whether an entry is another name for one."""
    return entry.structural is not None and entry.structural.name == "alias"


def is_subentry(entry: Entry) -> bool:
    """Tell whether an entry holds what the directory is administered by (RFC 3672)."""
    return entry.structural is not None and entry.structural.name == "subentry"


def _urls(schema: Schema, entry: Entry) -> Iterable[str]:
    return (value.decode("utf-8").split(" ", 1)[0] for value in entry.attributes.get(schema.attribute("ref"), ()))


def _pointed(schema: Schema, url: str, entry: Entry, wanted: Dn | None, scope: str) -> str:
    """Write the URL for what was wanted below a referral.

    The DN in the URL stands for the referral's own; without one, the wanted DN is the same there.
    """
    scheme, separator, rest = url.partition("://")
    host, _, path = rest.partition("/")
    base, *more = path.split("?")
    if not separator or scheme not in ("ldap", "ldaps"):
        return url
    own = schema.dn(entry.dn())
    wanted = wanted if wanted is not None else own
    try:
        there = schema.dn(unquote(base)) if base else own
    except ValueError:
        return url
    steps = wanted.rdns[: max(wanted.depth() - own.depth(), 0)]
    target = quote(Dn((*steps, *there.rdns)).text, safe=UNESCAPED, errors="surrogateescape")
    if not scope:
        return f"{scheme}://{host}/{target}"
    names, own_scope, *kept = [*more, "", ""][: max(len(more), 2)]
    return "?".join((f"{scheme}://{host}/{target}", names, own_scope or scope, *kept))


def continuation(schema: Schema, entry: Entry, scope: str) -> list[str]:
    """Return the URLs at which a search goes on that met a referral."""
    return [_pointed(schema, url, entry, None, scope) for url in _urls(schema, entry)]


def referral_error(schema: Schema, entry: Entry, wanted: Dn, scope: str = "") -> LdapError:
    """Make the error that refers to the servers which have what was wanted."""
    urls = [_pointed(schema, url, entry, wanted, scope) for url in _urls(schema, entry)]
    return LdapError(ResultCode.REFERRAL, matched=entry.dn(), referrals=urls)
