"""The client library's exceptions: python-ldap's own classes where it is installed, equal ones where it is not.

As there, every one but `TIMEOUT` and `LDAPError` has one argument, a dictionary: `result` (the code), `desc` (its
words), `msgid`, `msgtype`, `ctrls`, and, where the server gave them, `matched` and `info`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["CLASSES", "IS_INSTALLED", "TEXTS", "LDAPError", "class_of", "local_error"]

# Number and words of each, as OpenLDAP has them (ldap.h, ldap_err2string).
NUMBERS = {
    "REFERRAL_LIMIT_EXCEEDED": -17,
    "CLIENT_LOOP": -16,
    "MORE_RESULTS_TO_RETURN": -15,
    "NO_RESULTS_RETURNED": -14,
    "CONTROL_NOT_FOUND": -13,
    "NOT_SUPPORTED": -12,
    "CONNECT_ERROR": -11,
    "NO_MEMORY": -10,
    "PARAM_ERROR": -9,
    "USER_CANCELLED": -8,
    "FILTER_ERROR": -7,
    "AUTH_UNKNOWN": -6,
    "TIMEOUT": -5,
    "DECODING_ERROR": -4,
    "ENCODING_ERROR": -3,
    "LOCAL_ERROR": -2,
    "SERVER_DOWN": -1,
    "SUCCESS": 0,
    "OPERATIONS_ERROR": 1,
    "PROTOCOL_ERROR": 2,
    "TIMELIMIT_EXCEEDED": 3,
    "SIZELIMIT_EXCEEDED": 4,
    "COMPARE_FALSE": 5,
    "COMPARE_TRUE": 6,
    "AUTH_METHOD_NOT_SUPPORTED": 7,
    "STRONG_AUTH_NOT_SUPPORTED": 7,
    "STRONG_AUTH_REQUIRED": 8,
    "PARTIAL_RESULTS": 9,
    "REFERRAL": 10,
    "ADMINLIMIT_EXCEEDED": 11,
    "UNAVAILABLE_CRITICAL_EXTENSION": 12,
    "CONFIDENTIALITY_REQUIRED": 13,
    "SASL_BIND_IN_PROGRESS": 14,
    "NO_SUCH_ATTRIBUTE": 16,
    "UNDEFINED_TYPE": 17,
    "INAPPROPRIATE_MATCHING": 18,
    "CONSTRAINT_VIOLATION": 19,
    "TYPE_OR_VALUE_EXISTS": 20,
    "INVALID_SYNTAX": 21,
    "NO_SUCH_OBJECT": 32,
    "ALIAS_PROBLEM": 33,
    "INVALID_DN_SYNTAX": 34,
    "IS_LEAF": 35,
    "ALIAS_DEREF_PROBLEM": 36,
    "X_PROXY_AUTHZ_FAILURE": 47,
    "INAPPROPRIATE_AUTH": 48,
    "INVALID_CREDENTIALS": 49,
    "INSUFFICIENT_ACCESS": 50,
    "BUSY": 51,
    "UNAVAILABLE": 52,
    "UNWILLING_TO_PERFORM": 53,
    "LOOP_DETECT": 54,
    "NAMING_VIOLATION": 64,
    "OBJECT_CLASS_VIOLATION": 65,
    "NOT_ALLOWED_ON_NONLEAF": 66,
    "NOT_ALLOWED_ON_RDN": 67,
    "ALREADY_EXISTS": 68,
    "NO_OBJECT_CLASS_MODS": 69,
    "RESULTS_TOO_LARGE": 70,
    "AFFECTS_MULTIPLE_DSAS": 71,
    "VLV_ERROR": 76,
    "OTHER": 80,
    "CANCELLED": 118,
    "NO_SUCH_OPERATION": 119,
    "TOO_LATE": 120,
    "CANNOT_CANCEL": 121,
    "ASSERTION_FAILED": 122,
    "PROXIED_AUTHORIZATION_DENIED": 123,
}
TEXTS = {
    -17: "Referral Limit Exceeded",
    -16: "Client Loop",
    -15: "More results to return",
    -14: "No results returned",
    -13: "Control not found",
    -12: "Not Supported",
    -11: "Connect error",
    -10: "Out of memory",
    -9: "Bad parameter to an ldap routine",
    -8: "User cancelled operation",
    -7: "Bad search filter",
    -6: "Unknown authentication method",
    -5: "Timed out",
    -4: "Decoding error",
    -3: "Encoding error",
    -2: "Local error",
    -1: "Can't contact LDAP server",
    0: "Success",
    1: "Operations error",
    2: "Protocol error",
    3: "Time limit exceeded",
    4: "Size limit exceeded",
    5: "Compare False",
    6: "Compare True",
    7: "Authentication method not supported",
    8: "Strong(er) authentication required",
    9: "Partial results and referral received",
    10: "Referral",
    11: "Administrative limit exceeded",
    12: "Critical extension is unavailable",
    13: "Confidentiality required",
    14: "SASL bind in progress",
    16: "No such attribute",
    17: "Undefined attribute type",
    18: "Inappropriate matching",
    19: "Constraint violation",
    20: "Type or value exists",
    21: "Invalid syntax",
    32: "No such object",
    33: "Alias problem",
    34: "Invalid DN syntax",
    35: "Entry is a leaf",
    36: "Alias dereferencing problem",
    47: "Proxy Authorization Failure (X)",
    48: "Inappropriate authentication",
    49: "Invalid credentials",
    50: "Insufficient access",
    51: "Server is busy",
    52: "Server is unavailable",
    53: "Server is unwilling to perform",
    54: "Loop detected",
    64: "Naming violation",
    65: "Object class violation",
    66: "Operation not allowed on non-leaf",
    67: "Operation not allowed on RDN",
    68: "Already exists",
    69: "Cannot modify object class",
    70: "Results too large",
    71: "Operation affects multiple DSAs",
    76: "Virtual List View error",
    80: "Other (e.g., implementation specific) error",
    118: "Cancelled",
    119: "No Operation to Cancel",
    120: "Too Late to Cancel",
    121: "Cannot Cancel",
    122: "Assertion Failed",
    123: "Proxied Authorization Denied",
}


def _classes() -> tuple[dict[str, type[Exception]], bool]:
    """Return the classes by name, and whether they are python-ldap's."""
    try:
        theirs = import_module("_ldap")
    except ImportError:
        return _made(), False
    names = ("LDAPError", *NUMBERS)
    return {name: getattr(theirs, name) for name in names}, True


def _made() -> dict[str, type[Exception]]:
    root = type("LDAPError", (Exception,), {"__module__": "ldap"})
    made = {name: type(name, (root,), {"__module__": "ldap", "errnum": number}) for name, number in NUMBERS.items()}
    return {"LDAPError": root, **made}


CLASSES, IS_INSTALLED = _classes()
LDAPError = CLASSES["LDAPError"]
# Of two names for one number the later one is raised, as in python-ldap.
BY_NUMBER = {number: CLASSES[name] for name, number in NUMBERS.items()}


def class_of(number: int) -> type[Exception]:
    """Return the exception of a result code."""
    return BY_NUMBER.get(number, LDAPError)


def local_error(name: str, **more: Any) -> Exception:
    """Make an exception that the client library raises without having asked the server."""
    number = NUMBERS[name]
    return CLASSES[name]({"result": number, "desc": TEXTS[number], "ctrls": [], **more})
