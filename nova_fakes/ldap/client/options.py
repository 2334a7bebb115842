"""The client library's options: which there are, what they take, and what they are before anybody sets them."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from nova_fakes.ldap.client import constants as c
from nova_fakes.ldap.client.arguments import controls_of, number

__all__ = ["get", "set_option"]

READ_ONLY = {c.OPT_API_INFO, c.OPT_API_FEATURE_INFO, c.OPT_DESC, c.OPT_X_SASL_SSF, c.OPT_X_TLS_PEERCERT}
WRITE_ONLY = {c.OPT_X_SASL_SECPROPS, c.OPT_X_SASL_SSF_EXTERNAL}
# Not known before a connection has them, or not to OpenLDAP's library for reading.
WITHOUT_VALUE = {c.OPT_X_SASL_SSF, c.OPT_X_SASL_USERNAME, c.OPT_X_TLS_CRLCHECK}
FLAGS = {c.OPT_REFERRALS: -1, c.OPT_RESTART: 0, c.OPT_X_SASL_NOCANON: 0, c.OPT_CONNECT_ASYNC: 0}
NUMBERS = {
    c.OPT_DEREF: c.DEREF_NEVER,
    c.OPT_SIZELIMIT: 0,
    c.OPT_TIMELIMIT: 0,
    c.OPT_PROTOCOL_VERSION: c.VERSION2,
    c.OPT_ERROR_NUMBER: 0,
    c.OPT_DEBUG_LEVEL: 0,
    c.OPT_TCP_USER_TIMEOUT: 0,
    c.OPT_X_TLS: 0,
    c.OPT_X_TLS_REQUIRE_CERT: c.OPT_X_TLS_DEMAND,
    c.OPT_X_TLS_CRLCHECK: 0,
    c.OPT_X_TLS_NEWCTX: 0,
    c.OPT_X_TLS_PROTOCOL_MIN: 0,
    c.OPT_X_TLS_PROTOCOL_MAX: 0,
    c.OPT_X_TLS_REQUIRE_SAN: c.OPT_X_TLS_ALLOW,
    c.OPT_X_KEEPALIVE_IDLE: 0,
    c.OPT_X_KEEPALIVE_PROBES: 0,
    c.OPT_X_KEEPALIVE_INTERVAL: 0,
    c.OPT_X_SASL_SSF_MIN: 0,
    c.OPT_X_SASL_SSF_MAX: 2**31 - 1,
    c.OPT_X_SASL_SSF_EXTERNAL: 0,
}
TEXTS = {
    c.OPT_HOST_NAME, c.OPT_URI, c.OPT_DEFBASE, c.OPT_ERROR_STRING, c.OPT_MATCHED_DN, c.OPT_X_TLS_CACERTFILE,
    c.OPT_X_TLS_CACERTDIR, c.OPT_X_TLS_CERTFILE, c.OPT_X_TLS_KEYFILE, c.OPT_X_TLS_CIPHER_SUITE,
    c.OPT_X_TLS_RANDOM_FILE, c.OPT_X_TLS_DHFILE, c.OPT_X_TLS_CRLFILE, c.OPT_X_TLS_ECNAME, c.OPT_X_SASL_SECPROPS,
}  # fmt: skip
# Texts that can be read and not set.
TOLD = {
    c.OPT_X_SASL_MECH, c.OPT_X_SASL_REALM, c.OPT_X_SASL_AUTHCID, c.OPT_X_SASL_AUTHZID, c.OPT_X_TLS_VERSION,
    c.OPT_X_TLS_CIPHER, c.OPT_X_TLS_PEERCERT,
}  # fmt: skip
TIMES = {c.OPT_TIMEOUT, c.OPT_NETWORK_TIMEOUT}
CONTROLS = {c.OPT_SERVER_CONTROLS, c.OPT_CLIENT_CONTROLS}
API_INFO = {
    "info_version": 1,
    "api_version": c.API_VERSION,
    "protocol_version": c.VERSION_MAX,
    "vendor_name": "OpenLDAP",
    "vendor_version": c.VENDOR_VERSION,
    "extensions": ("X_OPENLDAP", "THREAD_SAFE", "SESSION_THREAD_SAFE", "OPERATION_THREAD_SAFE"),
}


def get(options: Mapping[int, Any], option: int) -> Any:
    """Return an option's value.

    :raises ValueError: where there is no such option, or it cannot be read
    """
    if option in WRITE_ONLY:
        raise ValueError("write-only option")
    if option == c.OPT_API_INFO:
        return dict(API_INFO)
    if option in options:
        return options[option]
    if option in WITHOUT_VALUE:
        raise ValueError("option error")
    if option in CONTROLS:
        return []
    if option in TEXTS or option in TOLD or option in TIMES:
        return None
    if option == c.OPT_X_TLS_PACKAGE:
        return "none"
    if option in FLAGS:
        return FLAGS[option]
    if option == c.OPT_DESC:
        return -1
    if option not in NUMBERS or option == c.OPT_X_TLS_NEWCTX:
        raise ValueError(f"unknown option {option}")
    return NUMBERS[option]


def set_option(options: MutableMapping[int, Any], option: int, value: Any) -> None:
    """Set an option.

    :raises ValueError: where there is no such option, or it does not take the value
    :raises TypeError: where the value is of another type
    """
    if option in READ_ONLY:
        raise ValueError("read-only option")
    options[option] = _checked(option, value)


def _checked(option: int, value: Any) -> Any:
    if option in FLAGS:
        # libldap keeps -1 for on, whatever was given.
        return -1 if value else 0
    if option in NUMBERS:
        wanted = number(value)
        if option == c.OPT_PROTOCOL_VERSION and not c.VERSION_MIN <= wanted <= c.VERSION_MAX:
            raise ValueError("option error")
        return wanted
    if option in TEXTS:
        if not isinstance(value, str):
            kind = "None" if value is None else type(value).__name__
            raise TypeError(f"set_option() argument must be str, not {kind}")
        return value
    if option in TIMES:
        return _time(value)
    if option in CONTROLS:
        controls_of(list(value))
        return list(value)
    raise ValueError(f"unknown option {option}")


def _time(value: Any) -> float | None:
    """Return a time in seconds, None for as long as it takes."""
    if value is None or value == -1:
        return None
    if not isinstance(value, int | float):
        raise TypeError(f"A float or None is expected for timeout, got {type(value).__name__}")
    if value < 0:
        raise ValueError(f"timeout must be >= 0 or -1/None for infinity, got {value}")
    return float(value)
