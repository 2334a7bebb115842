"""LDAP result codes (RFC 4511 appendix A) and the exception that carries one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import NovaFakesError

if TYPE_CHECKING:
    from nova_fakes.ldap.options import Entries

__all__ = ["LdapError", "ResultCode"]


class ResultCode(IntEnum):
    """What an operation ends with."""

    SUCCESS = 0
    OPERATIONS_ERROR = 1
    PROTOCOL_ERROR = 2
    TIME_LIMIT_EXCEEDED = 3
    SIZE_LIMIT_EXCEEDED = 4
    COMPARE_FALSE = 5
    COMPARE_TRUE = 6
    AUTH_METHOD_NOT_SUPPORTED = 7
    STRONGER_AUTH_REQUIRED = 8
    REFERRAL = 10
    ADMIN_LIMIT_EXCEEDED = 11
    UNAVAILABLE_CRITICAL_EXTENSION = 12
    CONFIDENTIALITY_REQUIRED = 13
    SASL_BIND_IN_PROGRESS = 14
    NO_SUCH_ATTRIBUTE = 16
    UNDEFINED_TYPE = 17
    INAPPROPRIATE_MATCHING = 18
    CONSTRAINT_VIOLATION = 19
    TYPE_OR_VALUE_EXISTS = 20
    INVALID_SYNTAX = 21
    NO_SUCH_OBJECT = 32
    ALIAS_PROBLEM = 33
    INVALID_DN_SYNTAX = 34
    ALIAS_DEREF_PROBLEM = 36
    INAPPROPRIATE_AUTH = 48
    INVALID_CREDENTIALS = 49
    INSUFFICIENT_ACCESS = 50
    BUSY = 51
    UNAVAILABLE = 52
    UNWILLING_TO_PERFORM = 53
    NAMING_VIOLATION = 64
    OBJECT_CLASS_VIOLATION = 65
    NOT_ALLOWED_ON_NONLEAF = 66
    NOT_ALLOWED_ON_RDN = 67
    ALREADY_EXISTS = 68
    NO_OBJECT_CLASS_MODS = 69
    AFFECTS_MULTIPLE_DSAS = 71
    VLV_ERROR = 76
    OTHER = 80
    # No answer but the end of the connection: a client's own code, which no message carries.
    SERVER_DOWN = 81
    CANCELED = 118
    NO_SUCH_OPERATION = 119
    TOO_LATE = 120
    CANNOT_CANCEL = 121
    ASSERTION_FAILED = 122
    PROXIED_AUTHORIZATION_DENIED = 123
    SYNC_REFRESH_REQUIRED = 4096
    TXN_SPECIFY_OKAY = 16672
    TXN_ID_INVALID = 16673


class LdapError(NovaFakesError):
    """An operation that ended with another result code than success.

    :param code: the result code
    :param text: the diagnostic message, as slapd words it
    :param matched: the DN of the last entry that was found on the way to the one asked for
    :param referrals: URLs of the servers that may know more
    """

    def __init__(self, code: ResultCode, text: str = "", *, matched: str = "", referrals: Sequence[str] = ()) -> None:
        super().__init__(
            f"{code.name.lower().replace('_', ' ')}: {text}" if text else code.name.lower().replace("_", " ")
        )
        self.code = code
        self.text = text
        self.matched = matched
        self.referrals = tuple(referrals)
        self.controls: list[Any] = []
        #: Of a search that fails on its way: after how many entries, and what it found until then.
        self.after: int | None = None
        self.partial: Entries | None = None
