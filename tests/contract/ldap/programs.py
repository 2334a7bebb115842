"""Random programs of LDAP operations on the recorded directory: lists of requests that any server can be asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ldap_client import attribute, write_filter
from vocabulary import (
    ATTRIBUTES,
    BASES,
    CLASSES,
    ENTRIES,
    FILTER_RULES,
    NEW,
    PASSWORDS,
    PEOPLE,
    RDNS,
    SELECTIONS,
    SORT_KEYS,
    SUFFIX,
    VALUES,
)  # fmt: skip

from nova_fakes.ldap import ber, filters, messages, offered
from nova_fakes.ldap.filters import Filter
from nova_fakes.ldap.messages import Control

ROOT = f"cn=admin,{SUFFIX}"
BY_CHANGE = ber.sequence((ber.octets(b"entryCSN"), ber.octets(b"CSNOrderingMatch", 0x80)))


@dataclass(frozen=True)
class Request:
    """One request, and how it reads."""

    operation: bytes
    text: str
    controls: tuple[Control, ...] = ()
    is_sorted: bool = False
    # Goes on with the cookie of the page before.
    follows: bool = False

    def __str__(self) -> str:
        shown = [f"{one.oid}{'!' if one.critical else ''}={one.value!r}" for one in self.controls]
        return " ".join((self.text, *shown))


@dataclass
class Author:
    """Writes programs by chance."""

    rng: random.Random
    written: list[Request] = field(default_factory=list)

    def program(self, length: int) -> list[Request]:
        """Write a program that begins with a bind."""
        self.written = [self._bind(self.rng.choices(((ROOT, "secret"), PASSWORDS[0], ("", "")), (8, 2, 1))[0])]
        makers: Sequence[Callable[[], Request]] = (
            self.search, self.add, self.modify, self.delete, self.rename, self.compare, self.bind, self.extended,
            self.paged, self.transaction,
        )  # fmt: skip
        while len(self.written) < length:
            maker = self.rng.choices(makers, (30, 18, 22, 6, 12, 8, 3, 3, 4, 2))[0]
            self.written.append(maker())
        return self.written

    def _maybe(self, probability: float) -> bool:
        return self.rng.random() < probability

    # -- names -------------------------------------------------------------

    def dn(self) -> str:
        """Choose a name: mostly of an entry, spelled as it may be."""
        kind = self.rng.random()
        if kind < 0.7:
            return self._spelled(self.rng.choice(ENTRIES))
        if kind < 0.85:
            return self._spelled(f"{self.rng.choice(RDNS)},{self.rng.choice(ENTRIES)}")
        return self.rng.choice(BASES)

    def new_dn(self) -> str:
        parent = (
            self.rng.choice(ENTRIES)
            if self._maybe(0.15)
            else f"ou={self.rng.choice(('People', 'Groups', 'Empty'))},{SUFFIX}"
        )
        return self._spelled(f"{self.rng.choice(RDNS)},{parent}") if self._maybe(0.9) else self.rng.choice(BASES)

    def _spelled(self, dn: str) -> str:
        kind = self.rng.random()
        if kind < 0.75:
            return dn
        if kind < 0.83:
            return dn.upper() if dn.isascii() else dn
        if kind < 0.9:
            return dn.replace(",", " , ").replace("\\ ,", "\\,")
        return dn.replace("uid=", "userid=").replace("ou=", "2.5.4.11=").replace("cn=", "commonName=")

    def name(self) -> str:
        """Choose an attribute."""
        return self.rng.choice(ATTRIBUTES)

    def value(self, name: str) -> bytes:
        """Choose a value that the attribute may have, or not."""
        known = VALUES.get(name.split(";")[0])
        if known is None or self._maybe(0.06):
            known = VALUES[self.rng.choice(list(VALUES))]
        return self.rng.choice(known)

    def values(self, name: str, most: int = 3) -> list[bytes]:
        return [self.value(name) for _ in range(self.rng.choice((1, 1, 1, 1, 2, most)))]

    # -- filters -----------------------------------------------------------

    def filter(self, depth: int = 0, names: Sequence[str] = ATTRIBUTES) -> Filter:
        """Make up a filter."""
        kind = self.rng.random()
        if depth < 3 and kind < 0.3:
            parts = tuple(self.filter(depth + 1, names) for _ in range(self.rng.randrange(4)))
            return filters.And(parts) if self._maybe(0.5) else filters.Or(parts)
        if depth < 3 and kind < 0.4:
            return filters.Not(self.filter(depth + 1, names))
        name = self.rng.choice(names)
        if kind < 0.48:
            return filters.Present(name)
        if kind < 0.66:
            return self._substrings(name)
        if kind < 0.76:
            return self._extensible(name)
        made = self.rng.choices(
            (filters.Equality, filters.GreaterOrEqual, filters.LessOrEqual, filters.Approximate), (6, 2, 2, 1)
        )[0]
        return made(name, self._twisted(self.value(name)))

    def _twisted(self, value: bytes) -> bytes:
        kind = self.rng.random()
        if kind < 0.5:
            return value
        if kind < 0.65:
            return value.swapcase()
        if kind < 0.75:
            return b" " + value.replace(b" ", b"  ") + b" "
        if kind < 0.85:
            return value[: self.rng.randrange(len(value) + 1)]
        if kind < 0.9:
            return value.replace(b" ", b"")
        return value

    def _substrings(self, name: str) -> Filter:
        value = self._twisted(self.value(name))
        cuts = sorted(self.rng.randrange(len(value) + 1) for _ in range(self.rng.randrange(1, 5)))
        parts = [value[a:b] for a, b in zip([0, *cuts], [*cuts, len(value)], strict=True)]
        initial, *middle, final = [part[self.rng.choice((0, 0, 0, 1)) :] for part in parts]
        kept = tuple(part for part in middle if part)
        if not (initial or kept or final):
            return filters.Present(name)
        return filters.Substrings(name, initial or None, kept, final or None)

    def _extensible(self, name: str) -> Filter:
        rule = self.rng.choice((None, self.rng.choice(FILTER_RULES), self.rng.choice(FILTER_RULES)))
        attribute_ = name if rule is None or self._maybe(0.8) else None
        return filters.Extensible(rule, attribute_, self._twisted(self.value(name)), self._maybe(0.3))

    # -- operations --------------------------------------------------------

    def _request(self, operation: bytes, text: str, controls: Sequence[Control] = (), **more: bool) -> Request:
        return Request(operation, text, tuple(controls), **more)

    def _search_operation(self) -> tuple[bytes, str]:
        base = self.rng.choice((SUFFIX, PEOPLE)) if self._maybe(0.5) else self.dn()
        limit = self.rng.choice((0, 0, 0, 0, 1, 3))
        wanted = self.filter()
        # Where it follows aliases, slapd finds nothing by a rule without an attribute.
        scope, deref = self.rng.randrange(4), 0 if "(:" in str(wanted) else self.rng.choice((0, 0, 0, 1, 2, 3))
        names = self.rng.choice(SELECTIONS)
        types_only = self._maybe(0.05)
        parts = (
            ber.octets(messages.encode_text(base)), ber.enumerated(scope), ber.enumerated(deref), ber.integer(limit),
            ber.integer(0), ber.boolean(types_only), write_filter(wanted),
            ber.sequence(ber.octets(name.encode()) for name in names),
        )  # fmt: skip
        text = f"search {base!r} scope={scope} deref={deref} limit={limit} {wanted} {names} types={types_only}"
        return ber.sequence(parts, messages.SEARCH), text

    def search(self) -> Request:
        operation, text = self._search_operation()
        controls: list[Control] = []
        is_sorted = self._maybe(0.1)
        if is_sorted:
            controls.append(self._sort())
        if self._maybe(0.4 if is_sorted else 0.01):
            controls = self._window(controls)
        if self._maybe(0.05):
            # slapd keeps unknown names that it meets here, and takes them for known then.
            known = [name for name in VALUES if name != "nosuch"]
            wanted = [write_filter(self.filter(9, known)) for _ in range(self.rng.randrange(1, 3))]
            controls.append(Control(offered.MATCHED_VALUES, True, ber.sequence(wanted)))
        controls += self._general(offered.SUBENTRIES, offered.DOMAIN_SCOPE, offered.NO_COPY)
        return self._request(operation, text, controls, is_sorted=is_sorted)

    def _sort(self) -> Control:
        keys = []
        for _ in range(self.rng.choice((1, 1, 2))):
            name, rule = self.rng.choice(SORT_KEYS)
            parts = [ber.octets(name.encode())] + ([ber.octets(rule.encode(), 0x80)] if rule else [])
            keys.append(ber.sequence([*parts, ber.boolean(True, 0x81)] if self._maybe(0.3) else parts))
        # In the order of their last change come those that are equal otherwise.
        keys.append(BY_CHANGE)
        return Control(offered.SORT, self._maybe(0.5), ber.sequence(keys))

    def _window(self, controls: Sequence[Control]) -> list[Control]:
        """Ask for a part of the sorted entries.

        By a value it is asked for in the order of the last changes alone: slapd dies where an entry lacks the key.
        """
        sizes = [ber.integer(self.rng.randrange(4)) for _ in range(2)]
        if not controls or self._maybe(0.6):
            offset, total = self.rng.randrange(8), self.rng.choice((0, 0, 3, 10, 20))
            target = ber.sequence((ber.integer(offset), ber.integer(total)), 0xA0)
        else:
            controls = [Control(offered.SORT, self._maybe(0.5), ber.sequence((BY_CHANGE,)))]
            year = self.rng.choice((b"2000", b"2999"))
            target = ber.octets(year + b"0101000000.000000Z#000000#000#000000", 0x81)
        return [*controls, Control(offered.VLV, self._maybe(0.5), ber.sequence((*sizes, target)))]

    def transaction(self) -> Request:
        """Begin a transaction, or end it."""
        is_open = any(one.text == "begin transaction" for one in self.written[-6:])
        if not is_open or self._maybe(0.1):
            oid, value, text = offered.START_TRANSACTION, None, "begin transaction"
        else:
            commit = self._maybe(0.7)
            oid, text = offered.END_TRANSACTION, f"end transaction commit={commit}"
            value = ber.sequence((ber.boolean(commit), ber.octets(b"x" if self._maybe(0.1) else b"")))
        parts = [ber.octets(oid.encode(), 0x80)] + ([] if value is None else [ber.octets(value, 0x81)])
        return self._request(ber.sequence(parts, messages.EXTENDED), text)

    def paged(self) -> Request:
        """Ask for a page, the first or the next."""
        before = self.written[-1]
        size = ber.integer(self.rng.choice((1, 2, 3, 5, 100)))
        control = Control(offered.PAGED, self._maybe(0.5), ber.sequence((size, ber.octets(b""))))
        if before.follows or any(one.oid == offered.PAGED for one in before.controls):
            others = tuple(one for one in before.controls if one.oid != offered.PAGED)
            return Request(before.operation, f"next page of {before.text}", (*others, control), follows=True)
        operation, text = self._search_operation()
        controls = [control, self._sort()] if self._maybe(0.15) else [control]
        return self._request(operation, f"page of {text}", controls)

    def _general(self, *more: str) -> list[Control]:
        """Make up controls that do not change what is asked for, mostly none."""
        found: list[Control] = []
        if self._maybe(0.06):
            found.append(Control(offered.MANAGE_DSA_IT, self._maybe(0.5)))
        if self._maybe(0.04):
            found.append(Control(offered.ASSERTION, True, write_filter(self.filter(2))))
        if self._maybe(0.03):
            who = self.rng.choice((f"dn:{PASSWORDS[0][0]}", "dn:", "", "u:alice", "x", f"dn:{ROOT}", "dn:bad"))
            found.append(Control(offered.PROXIED, self._maybe(0.9), who.encode()))
        if more and self._maybe(0.04):
            oid = self.rng.choice(more)
            value = ber.boolean(self._maybe(0.5)) if oid == offered.SUBENTRIES else None
            found.append(Control(oid, self._maybe(0.5), value))
        if self._maybe(0.02):
            oid = self.rng.choice(("1.2.3.4", offered.PAGED, offered.PRE_READ, offered.RELAX, offered.TREE_DELETE))
            found.append(Control(oid, self._maybe(0.5), self.rng.choice((None, b"x"))))
        is_open = any(one.text == "begin transaction" for one in self.written[-4:])
        if not more and self._maybe(0.7 if is_open else 0.01):
            value = b"x" if self._maybe(0.05) else b""
            found.append(Control(offered.TRANSACTION, self._maybe(0.95), value))
        return found

    def _reads(self, *oids: str) -> list[Control]:
        found = []
        for oid in oids:
            if self._maybe(0.08):
                names = [name for name in self.rng.choice(SELECTIONS) if not name.startswith("@")]
                value = ber.sequence(ber.octets(name.encode()) for name in names)
                found.append(Control(oid, self._maybe(0.5), value))
        return found

    def add(self) -> Request:
        dn = self.new_dn()
        given = {name: list(values) for name, values in self.rng.choice(NEW).items()}
        for _ in range(self.rng.choice((0, 0, 1, 1, 2))):
            name = self.name()
            given[name] = self.values(name)
        if self._maybe(0.15):
            given["objectClass"] = [self.rng.choice(CLASSES) for _ in range(self.rng.randrange(1, 4))]
        if self._maybe(0.1):
            del given[self.rng.choice(list(given))]
        listed = ber.sequence(attribute(name, values) for name, values in given.items())
        controls = self._reads(offered.POST_READ, *([offered.PRE_READ] if self._maybe(0.1) else [])) + self._general()
        operation = ber.sequence((ber.octets(messages.encode_text(dn)), listed), messages.ADD)
        return self._request(operation, f"add {dn!r} {given}", controls)

    def modify(self) -> Request:
        dn = self.dn()
        changes = [self._change() for _ in range(self.rng.choice((1, 1, 1, 2, 2, 3)))]
        listed = ber.sequence(
            ber.sequence((ber.enumerated(kind), attribute(name, values))) for kind, name, values in changes
        )
        controls = self._reads(offered.PRE_READ, offered.POST_READ) + self._general()
        if self._maybe(0.1):
            controls.append(Control(offered.PERMISSIVE, self._maybe(0.5)))
        operation = ber.sequence((ber.octets(messages.encode_text(dn)), listed), messages.MODIFY)
        return self._request(operation, f"modify {dn!r} {changes}", controls)

    def _change(self) -> tuple[int, str, list[bytes]]:
        kind = self.rng.choices((0, 1, 2, 3, 4), (8, 7, 6, 2, 0.1))[0]
        name = "objectClass" if self._maybe(0.12) else self.name()
        if kind == 3:
            name = self.rng.choice(("uidNumber", "gidNumber", "uidNumber", name))
            return kind, name, [self.rng.choice((b"1", b"-2", b"0", b"x", b"007"))]
        values = self.values(name)
        if kind in (1, 2) and self._maybe(0.4):
            values = []
        return kind, name, values

    def delete(self) -> Request:
        dn = self.dn()
        controls = self._reads(offered.PRE_READ) + self._general()
        return self._request(ber.octets(messages.encode_text(dn), messages.DELETE), f"delete {dn!r}", controls)

    def rename(self) -> Request:
        dn, rdn, delete_old = self.dn(), self.rng.choice(RDNS), self._maybe(0.5)
        above = self.dn() if self._maybe(0.3) else self.rng.choice((PEOPLE, f"ou=Empty,{SUFFIX}"))
        superior = above if self._maybe(0.4) else None
        parts = [ber.octets(messages.encode_text(dn)), ber.octets(messages.encode_text(rdn)), ber.boolean(delete_old)]
        if superior is not None:
            parts.append(ber.octets(messages.encode_text(superior), 0x80))
        controls = self._reads(offered.PRE_READ, offered.POST_READ) + self._general()
        text = f"rename {dn!r} to {rdn!r} delete_old={delete_old} superior={superior!r}"
        return self._request(ber.sequence(parts, messages.RENAME), text, controls)

    def compare(self) -> Request:
        # What slapd answers for other names depends on the requests that it had before, and it is wrong about one.
        dn, name = self.dn(), self.rng.choice([name for name in VALUES if name != "hasSubordinates"])
        value = self._twisted(self.value(name))
        assertion = ber.sequence((ber.octets(name.encode()), ber.octets(value)))
        operation = ber.sequence((ber.octets(messages.encode_text(dn)), assertion), messages.COMPARE)
        return self._request(operation, f"compare {dn!r} {name} {value!r}", self._general())

    def _bind(self, who: tuple[str, str]) -> Request:
        parts = (ber.integer(3), ber.octets(messages.encode_text(who[0])), ber.octets(who[1].encode(), 0x80))
        return self._request(ber.sequence(parts, messages.BIND), f"bind {who}")

    def bind(self) -> Request:
        if self._maybe(0.7):
            return self._bind(self.rng.choice(((ROOT, "secret"), (ROOT, "secret"), *PASSWORDS)))
        return self._bind((self.dn(), self.rng.choice(("", "x", "alicepw"))))

    def extended(self) -> Request:
        oid = self.rng.choice((offered.WHO_AM_I, offered.CHANGE_PASSWORD, offered.CHANGE_PASSWORD, "1.2.3"))
        value: bytes | None = None
        text = oid
        if oid == offered.CHANGE_PASSWORD:
            given = [
                (0x80, self.dn()),
                (0x81, self.rng.choice(("alicepw", "x", ""))),
                (0x82, self.rng.choice(("n", ""))),
            ]
            chosen = [(tag, one) for tag, one in given if self._maybe(0.6)]
            value = ber.sequence(ber.octets(messages.encode_text(one), tag) for tag, one in chosen)
            text = f"password {chosen}"
        parts = [ber.octets(oid.encode(), 0x80)] + ([] if value is None else [ber.octets(value, 0x81)])
        return self._request(ber.sequence(parts, messages.EXTENDED), text, self._general())
