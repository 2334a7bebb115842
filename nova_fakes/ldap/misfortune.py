"""Fault rules of a directory: which operations fail or dawdle, by entry, by who asks, or in the middle of a search."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from nova_fakes.exceptions import InvalidInput
from nova_fakes.faults import ErrorMaker, FaultRule, Target, named_error
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = ["OPERATIONS", "DirectoryFault", "Subject", "ldap_error"]

OPERATIONS = (
    "ldap.connect", "ldap.bind", "ldap.search", "ldap.compare", "ldap.add", "ldap.delete", "ldap.modify",
    "ldap.rename", "ldap.passwd", "ldap.whoami", "ldap.starttls",
)  # fmt: skip
"""What rules can be about."""

SPACES = re.compile(r"\s*([,+=])\s*")
SHORT = {"UNWILLING": ResultCode.UNWILLING_TO_PERFORM, "DISCONNECT": ResultCode.SERVER_DOWN}


def ldap_error(name: str, message: str) -> LdapError | None:
    """Make the error of a result code by its name, `busy`, `server down`, `ldap.BUSY`; None where none has it."""
    known = name.removeprefix("ldap.").strip().replace(" ", "_").upper()
    code = SHORT.get(known) or ResultCode.__members__.get(known)
    return LdapError(code, message) if code else None


@dataclass(frozen=True, slots=True)
class Subject:
    """What an operation is about, for fault rules: an entry's name, and who asks.

    :param dn: as the client wrote it
    :param identity: DN of who asks; empty for anonymous
    """

    dn: str
    identity: str
    display_name: str | None = None
    flavor: str | None = None

    @property
    def uuid(self) -> str:
        """The name by which strikes are counted."""
        return _plain(self.dn)

    @property
    def name(self) -> str:
        """The same: what a rule's `guest` is compared with."""
        return _plain(self.dn)


@lru_cache(4096)
def _plain(dn: str) -> str:
    """Write a DN, or a pattern of DNs, as they compare here: in lower case, without spaces that mean nothing."""
    return SPACES.sub(r"\1", dn).strip().lower()


@dataclass(frozen=True, slots=True)
class DirectoryFault(FaultRule):
    """A fault of a directory: a fault rule with what LDAP has beside.

    The operation is one of :data:`OPERATIONS`, or a pattern of them, `ldap.*`; the host is the directory's suffix. An
    error that is a text names a result code (`busy`, `unwilling to perform`, `unavailable` …), with a colon and the
    diagnostic message behind it, or `server down`, which ends the connection without an answer.

    :param dn: name of the entry, or a search's base: a shell pattern, `*,ou=people,dc=example,dc=com`
    :param identity: DN of who asks, such a pattern; empty for who has not bound
    :param entries: how many entries a search gives before it fails; without an error the connection ends there
    """

    dn: str | None = None
    identity: str | None = None
    entries: int | None = None

    def __post_init__(self) -> None:
        FaultRule.__post_init__(self)
        if not any(fnmatchcase(one, self.operation) for one in OPERATIONS):
            raise InvalidInput("operation", self.operation, f"use a pattern of {', '.join(OPERATIONS)}")
        if self.entries is not None and (self.entries < 0 or not fnmatchcase("ldap.search", self.operation)):
            raise InvalidInput("entries", self.entries, "give a number of 0 or more, for ldap.search")
        if isinstance(self.error, str) and ldap_error(self.error.partition(":")[0], "") is None:
            known = ", ".join(code.name.lower().replace("_", " ") for code in ResultCode if code)
            raise InvalidInput("error", self.error, f"name a result code, a colon and a message behind it: {known}")

    def matches(self, operation: str, guest: Target | None = None) -> bool:
        """Tell whether the rule is for an operation on something."""
        if not FaultRule.matches(self, operation, guest):
            return False
        if not isinstance(guest, Subject):
            return self.dn is None and self.identity is None
        return _fits(self.dn, guest.dn) and _fits(self.identity, guest.identity)

    def failure(
        self, operation: str, host: str, uuid: str | None = None, make_error: ErrorMaker = named_error
    ) -> BaseException | None:
        """Return what an operation that the rule strikes raises; None when it only takes longer."""
        if self.error is None and self.entries is not None:
            failure: BaseException | None = LdapError(ResultCode.SERVER_DOWN)
        else:
            # Rules of others may be in force beside it: what they name is not a directory's.
            failure = FaultRule.failure(self, operation, host, uuid, ldap_error)
        if failure is not None and self.entries is not None:
            failure = as_ldap_error(failure)
            failure.after = self.entries
        return failure


def _fits(pattern: str | None, dn: str) -> bool:
    return pattern is None or fnmatchcase(_plain(dn), _plain(pattern))


def as_ldap_error(failure: BaseException) -> LdapError:
    """Return what a client sees of a failure, a new one each time; what LDAP has no code for is `other`."""
    if isinstance(failure, LdapError):
        return LdapError(failure.code, failure.text, matched=failure.matched, referrals=failure.referrals)
    return LdapError(ResultCode.OTHER, str(failure) or type(failure).__name__)
