"""What keeps copies of a directory up to date, as it stands in controls and intermediate messages (RFC 4533 §2)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from nova_fakes.ldap import ber, messages
from nova_fakes.ldap.ber import BerError
from nova_fakes.ldap.messages import Control
from nova_fakes.ldap.offered import SYNC_DONE, SYNC_INFO, SYNC_STATE
from nova_fakes.ldap.results import LdapError, ResultCode

__all__ = [
    "State", "SyncCookie", "SyncRequest", "done_control", "read_sync_request", "refresh_done", "state_control",
    "uuid_set",
]  # fmt: skip

REFRESH_ONLY, REFRESH_AND_PERSIST = 1, 3
REFRESH_DELETE, REFRESH_PRESENT, ID_SET = 0xA1, 0xA2, 0xA3
CSN = re.compile(r"\d{14}\.\d{6}Z#[0-9a-fA-F]{6}#[0-9a-fA-F]{3}#[0-9a-fA-F]{6}")


class State(IntEnum):
    """What has become of an entry."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class SyncCookie:
    """Up to where a copy is up to date, as slapd writes it.

    :param replica: number that the client has given itself; None where its cookie was not one
    :param csn: number of the last change that it has (CSN); empty where it has none
    """

    replica: int | None = 0
    csn: str = ""

    @classmethod
    def parse(cls, text: bytes) -> SyncCookie:
        """Read a cookie; what is not one counts as none."""
        found = dict(part.partition("=")[::2] for part in text.decode("latin-1").split(","))
        replica, csn = found.get("rid", ""), found.get("csn", "").partition(";")[0]
        if not replica.isdecimal() or (csn and CSN.fullmatch(csn) is None):
            return cls(None)
        return cls(int(replica), csn)

    def at(self, csn: str, deleted: str = "") -> bytes:
        """Write the cookie for another number of a change.

        :param deleted: number of the last of the deletions that it comes with
        """
        if self.replica is None:
            return b""
        more = f",delcsn={deleted}" if deleted else ""
        return f"rid={self.replica:03d},csn={csn}{more}".encode()


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """How a copy shall be kept up.

    :param persist: go on telling of changes after the refresh
    :param cookie: where the copy is; None where there is no copy yet
    """

    persist: bool
    cookie: SyncCookie | None = None


def read_sync_request(control: Control) -> SyncRequest:
    """Read the control that asks for it.

    :raises LdapError: PROTOCOL_ERROR, in slapd's words
    """
    if control.value is None:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "Sync control value is absent")
    if not control.value:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "Sync control value is empty")
    try:
        (_, mode), *more = messages.expect(ber.one(control.value, ber.SEQUENCE), 1)
        wanted = ber.to_integer(mode)
    except BerError:
        raise LdapError(ResultCode.PROTOCOL_ERROR, "Sync control : mode decoding error") from None
    if wanted not in (REFRESH_ONLY, REFRESH_AND_PERSIST):
        raise LdapError(ResultCode.PROTOCOL_ERROR, "Sync control : unknown update mode")
    cookie = next((SyncCookie.parse(value) for tag, value in more if tag == ber.OCTETS), None)
    return SyncRequest(wanted == REFRESH_AND_PERSIST, cookie)


def _octets(identifier: str) -> bytes:
    return ber.octets(uuid.UUID(identifier).bytes)


def state_control(state: State, identifier: str, cookie: bytes | None = None) -> Control:
    """Make the control that goes with an entry.

    :param identifier: the entry's UUID
    """
    parts = [ber.enumerated(state), _octets(identifier)]
    if cookie is not None:
        parts.append(ber.octets(cookie))
    return Control(SYNC_STATE, value=ber.sequence(parts))


def done_control(cookie: bytes | None, deletes: bool) -> Control:
    """Make the control that ends a refresh.

    :param deletes: whether what the client was not told of is still as it was; else it is gone
    """
    parts = [] if cookie is None else [ber.octets(cookie)]
    if deletes:
        parts.append(ber.boolean(True))
    return Control(SYNC_DONE, value=ber.sequence(parts))


def _information(number: int, value: bytes) -> bytes:
    parts = (ber.octets(SYNC_INFO.encode(), 0x80), ber.octets(value, 0x81))
    return messages.write_message(number, ber.sequence(parts, messages.INTERMEDIATE))


def refresh_done(number: int, cookie: bytes | None, deletes: bool) -> bytes:
    """Write the message that ends a refresh after which changes will be told of."""
    parts = [] if cookie is None else [ber.octets(cookie)]
    return _information(number, ber.sequence(parts, REFRESH_DELETE if deletes else REFRESH_PRESENT))


def uuid_set(number: int, identifiers: Iterable[str], cookie: bytes | None, deletes: bool) -> bytes:
    """Write the message that tells which entries are still there, or which are gone."""
    parts = [] if cookie is None else [ber.octets(cookie)]
    if deletes:
        parts.append(ber.boolean(True))
    parts.append(ber.set_of(map(_octets, identifiers)))
    return _information(number, ber.sequence(parts, ID_SET))
