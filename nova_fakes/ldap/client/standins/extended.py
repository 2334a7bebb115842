"""Extended requests and responses as python-ldap has them."""

from __future__ import annotations

from typing import Any

from nova_fakes.ldap import ber, messages

__all__ = ["ExtendedRequest", "ExtendedResponse", "PasswordModifyResponse", "RefreshRequest", "RefreshResponse"]

REFRESH = "1.3.6.1.4.1.1466.101.119.1"
DAY_S = 86400


class ExtendedRequest:
    """An extended request.

    :param requestName: its OID
    :param requestValue: its value
    """

    def __init__(self, requestName: str, requestValue: bytes | None) -> None:
        self.requestName = requestName
        self.requestValue = requestValue

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.requestName},{self.requestValue!r})"

    def encodedRequestValue(self) -> bytes | None:
        """Return the value as it is sent."""
        return self.requestValue


class ExtendedResponse:
    """An extended response.

    :param responseName: its OID
    :param encodedResponseValue: its value
    """

    responseName: str | None = None

    def __init__(self, responseName: str | None, encodedResponseValue: bytes) -> None:
        self.responseName = responseName
        self.responseValue: Any = self.decodeResponseValue(encodedResponseValue)

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.responseName},{self.responseValue!r})"

    def decodeResponseValue(self, value: bytes) -> Any:
        """Read the value."""
        return value


class PasswordModifyResponse(ExtendedResponse):
    """The answer to a request for another password (RFC 3062)."""

    responseName = None
    genPasswd: bytes

    def decodeResponseValue(self, value: bytes) -> bytes:
        """Return the password that was made up."""
        self.genPasswd = dict(ber.elements(ber.one(value, ber.SEQUENCE))).get(0x80, b"")
        return self.genPasswd


class RefreshRequest(ExtendedRequest):
    """Lets a dynamic entry live on (RFC 2589)."""

    requestName = REFRESH
    defaultRequestTtl = DAY_S

    def __init__(self, requestName: str | None = None, entryName: str = "", requestTtl: int | None = None) -> None:
        super().__init__(requestName or REFRESH, b"")
        self.entryName = entryName
        self.requestTtl = requestTtl or self.defaultRequestTtl

    def encodedRequestValue(self) -> bytes:
        """Return the value as it is sent."""
        name = ber.octets(messages.encode_text(self.entryName), 0x80)
        return ber.sequence((name, ber.integer(self.requestTtl, 0x81)))


class RefreshResponse(ExtendedResponse):
    """Tells how long a dynamic entry lives."""

    responseName = REFRESH
    responseTtl: int

    def decodeResponseValue(self, value: bytes) -> int:
        """Return the seconds."""
        self.responseTtl = ber.to_integer(dict(ber.elements(ber.one(value, ber.SEQUENCE)))[0x81])
        return self.responseTtl
