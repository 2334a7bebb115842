"""Who may do what: a subset of slapd's access rules (slapd.access(5))."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.dn import Dn
from nova_fakes.ldap.entry import Entry

__all__ = ["ANONYMOUS", "LEVELS", "Access", "AccessRule", "Identity"]

LEVELS = ("none", "disclose", "auth", "compare", "search", "read", "write", "manage")
"""Levels of access; each includes those before it."""
GRANTEES = ("self", "anonymous", "users", "*")
"""Who may be given access without a DN."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a connection is bound as.

    :param dn: the DN; empty for anonymous
    :param is_root: the directory's root DN, to whom no access rule applies
    """

    dn: Dn
    is_root: bool = False

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody has bound."""
        return not self.dn.rdns


ANONYMOUS = Identity(Dn(()))
DnKey = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a rule is about and what it gives to whom, as `access to … by WHO LEVEL by …` in slapd.conf.

    :param grants: pairs of who (`self`, `anonymous`, `users`, `*` or a DN) and a level
    :param attributes: names of attributes; None for all, and for the entry itself
    :param subtree: DN above the entries; None for all entries
    """

    grants: tuple[tuple[str, str], ...]
    attributes: frozenset[str] | None = None
    subtree: str | None = None

    def __post_init__(self) -> None:
        for who, level in self.grants:
            if level not in LEVELS:
                raise InvalidInput("access", f"by {who} {level}", f"a level is one of {', '.join(LEVELS)}")

    @classmethod
    def parse(cls, text: str) -> AccessRule:
        """Read a rule as slapd.conf has it: `to WHAT by WHO LEVEL by WHO LEVEL …`, with or without `access` before it.

        :param text: WHAT is `*`, `dn.subtree="DN"`, `attrs=NAME,NAME` or both; WHO is `self`, `anonymous`, `users`, `*`
            or `dn.exact="DN"`
        :raises InvalidInput: it says something else
        """
        try:
            words = shlex.split(text.removeprefix("access "))
        except ValueError as error:
            raise InvalidInput("access", text, f"close what is quoted ({error})") from None
        about = words[1 : words.index("by")] if "by" in words else []
        grants = words[1 + len(about) :]
        if words[:1] != ["to"] or not about or len(grants) % 3 or {*grants[::3]} != {"by"}:
            raise InvalidInput("access", text, "write: to WHAT by WHO LEVEL by WHO LEVEL …")
        attributes = subtree = None
        for word in about:
            name, _, value = word.partition("=")
            if name == "dn.subtree":
                subtree = value
            elif name == "attrs":
                attributes = frozenset(value.split(","))
            elif word != "*":
                raise InvalidInput("access", word, 'rules here are about *, dn.subtree="DN" or attrs=NAME,NAME')
        return cls(tuple(zip(map(_who, grants[1::3]), grants[2::3], strict=True)), attributes, subtree)


def _who(word: str) -> str:
    """Return whom a word of a rule names, as a grant has it."""
    if word in GRANTEES:
        return word
    style, separator, dn = word.partition("=")
    if not separator or style not in ("dn", "dn.exact", "dn.base"):
        raise InvalidInput("access", word, f'give access to {", ".join(GRANTEES)} or dn.exact="DN"')
    return dn


class Access:
    """The access rules of a directory. Where there are none, everybody may read and the root DN may write.

    :param rules: looked through in order; the first that is about an attribute decides, and in it the first that names
        whoever asks
    :param key: gives what a DN compares by
    """

    def __init__(self, rules: Iterable[AccessRule], key: DnKey) -> None:
        self._rules = [
            (
                frozenset(name.lower() for name in rule.attributes) if rule.attributes is not None else None,
                key(rule.subtree) if rule.subtree is not None else None,
                [(who if who in GRANTEES else key(who), LEVELS.index(level))
                 for who, level in rule.grants],
            )
            for rule in rules
        ]  # fmt: skip

    def allows(self, who: Identity, entry: Entry, attribute: str, level: str) -> bool:
        """Tell whether somebody has a level of access to an attribute of an entry.

        :param attribute: its name, `entry` for the entry itself or `children` for what is below it
        """
        return who.is_root or self._level(who, entry, attribute.lower()) >= LEVELS.index(level)

    def _level(self, who: Identity, entry: Entry, attribute: str) -> int:
        if not self._rules:
            return LEVELS.index("read")
        key: str | None = None
        for attributes, subtree, grants in self._rules:
            if attributes is not None and attribute not in attributes:
                continue
            if subtree is not None:
                key = key if key is not None else entry.dn_key()
                if key != subtree and not key.endswith("," + subtree):
                    continue
            for grantee, level in grants:
                if _is_granted(grantee, who, entry):
                    return level
            return 0
        return 0


def _is_granted(grantee: str, who: Identity, entry: Entry) -> bool:
    if grantee == "*":
        return True
    if who.is_anonymous or grantee == "anonymous":
        return who.is_anonymous and grantee == "anonymous"
    if grantee == "users":
        return True
    return who.dn.key == (entry.dn_key() if grantee == "self" else grantee)
