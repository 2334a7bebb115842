"""Random programs about groups and their members: entries that name each other, renamed, moved and deleted."""

from __future__ import annotations

from dataclasses import dataclass

from ldap_client import attribute, write_filter
from programs import ROOT, Author, Request
from vocabulary import DEEP, GROUPS, PEOPLE, SUFFIX

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.filters import parse_filter

REFERRING = ("member", "owner", "manager", "seeAlso", "roleOccupant")
NAMES = (
    f"uid=alice,{PEOPLE}", f"uid=bob,{PEOPLE}", f"uid=carol,{PEOPLE}", f"uid=new,{PEOPLE}", f"cn=admins,{GROUPS}",
    f"cn=devs,{GROUPS}", f"cn=role,{GROUPS}", f"cn=crew,{GROUPS}", f"ou=L1,{DEEP}", f"ou=L2,ou=L1,{DEEP}",
    f"cn=leaf,ou=L2,ou=L1,{DEEP}", f"uid=ghost,{PEOPLE}", f"cn=crew,ou=L2,ou=L1,{DEEP}",
)  # fmt: skip


@dataclass
class GroupAuthor(Author):
    """Writes programs about groups by chance; after each change all is looked at."""

    def program(self, length: int) -> list[Request]:
        """Write a program that begins with a bind."""
        self.written = [self._bind((ROOT, "secret"))]
        makers = (self._new_group, self._new_member, self._change_members, self._rename_or_move, self._remove)
        while len(self.written) < length:
            self.written += [self.rng.choices(makers, (2, 1, 5, 4, 2))[0](), self._look()]
        return self.written

    def _some(self) -> list[bytes]:
        return [name.encode() for name in self.rng.sample(NAMES, self.rng.randrange(1, 4))]

    def _look(self) -> Request:
        parts = (
            ber.octets(SUFFIX.encode()), ber.enumerated(2), ber.enumerated(0), ber.integer(0), ber.integer(0),
            ber.boolean(False), write_filter(parse_filter("(objectClass=*)")),
            ber.sequence(ber.octets(name.encode()) for name in (*REFERRING, "memberOf", "modifiersName")),
        )  # fmt: skip
        return self._request(ber.sequence(parts, messages.SEARCH), "look")

    def _add(self, dn: str, given: dict[str, list[bytes]]) -> Request:
        listed = ber.sequence(attribute(name, values) for name, values in given.items())
        return self._request(ber.sequence((ber.octets(dn.encode()), listed), messages.ADD), f"add {dn} {given}")

    def _new_group(self) -> Request:
        parent = self.rng.choice((GROUPS, f"ou=L2,ou=L1,{DEEP}"))
        given = {"objectClass": [b"groupOfNames"], "cn": [b"crew"], "member": self._some()}
        if self._maybe(0.3):
            given["owner"] = self._some()[:1]
        return self._add(f"cn=crew,{parent}", given)

    def _new_member(self) -> Request:
        given = {"objectClass": [b"inetOrgPerson"], "cn": [b"New"], "sn": [b"N"], "manager": self._some()[:1]}
        return self._add(f"uid=new,{PEOPLE}", given)

    def _change_members(self) -> Request:
        dn = self.rng.choice((f"cn=admins,{GROUPS}", f"cn=devs,{GROUPS}", f"cn=crew,{GROUPS}", f"uid=bob,{PEOPLE}"))
        kind, name = self.rng.randrange(3), self.rng.choice(("member", "member", "member", "owner", "seeAlso"))
        values = [] if kind == 1 and self._maybe(0.2) else self._some()
        listed = ber.sequence([ber.sequence((ber.enumerated(kind), attribute(name, values)))])
        operation = ber.sequence((ber.octets(dn.encode()), listed), messages.MODIFY)
        return self._request(operation, f"modify {dn} {kind} {name} {values}")

    def _rename_or_move(self) -> Request:
        dn = self.rng.choice(NAMES)
        rdn = dn.split(",")[0] if self._maybe(0.4) else dn.split("=")[0] + "=" + self.rng.choice(("x", "crew", "L1"))
        parts = [ber.octets(dn.encode()), ber.octets(rdn.encode()), ber.boolean(True)]
        above = self.rng.choice((PEOPLE, GROUPS, DEEP, f"ou=Empty,{SUFFIX}", f"ou=L1,{DEEP}"))
        if self._maybe(0.5):
            parts.append(ber.octets(above.encode(), 0x80))
        return self._request(ber.sequence(parts, messages.RENAME), f"rename {dn} to {rdn} under {above} ({len(parts)})")

    def _remove(self) -> Request:
        dn = self.rng.choice(NAMES)
        return self._request(ber.octets(dn.encode(), messages.DELETE), f"delete {dn}")
