"""What `ldap.sasl` has: objects that tell a SASL mechanism's name and what it has to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "CB_AUTHNAME", "CB_ECHOPROMPT", "CB_GETREALM", "CB_LANGUAGE", "CB_NOECHOPROMPT", "CB_PASS", "CB_USER", "cram_md5",
    "digest_md5", "external", "gssapi", "sasl",
]  # fmt: skip

# Numbers of the questions (sasl.h).
CB_USER, CB_AUTHNAME, CB_LANGUAGE, CB_PASS = 0x4001, 0x4002, 0x4003, 0x4004
CB_ECHOPROMPT, CB_NOECHOPROMPT, CB_GETREALM = 0x4005, 0x4006, 0x4008


class sasl:
    """Answers a mechanism's questions.

    :param cb_value_dict: answers by the questions' numbers
    :param mech: the mechanism
    """

    def __init__(self, cb_value_dict: Mapping[int, str | bytes] | None, mech: str | bytes) -> None:
        self.cb_value_dict = dict(cb_value_dict or {})
        self.mech = mech if isinstance(mech, bytes) else mech.encode()

    def callback(self, cb_id: int, challenge: Any, prompt: Any, defresult: Any) -> bytes:
        """Answer a question."""
        answer = self.cb_value_dict.get(cb_id, defresult) or b""
        return answer if isinstance(answer, bytes) else str(answer).encode()


class _WithPassword(sasl):
    """A mechanism that asks for a name and a password."""

    mechanism = ""

    def __init__(self, authc_id: str, password: str, authz_id: str = "") -> None:
        super().__init__({CB_AUTHNAME: authc_id, CB_PASS: password, CB_USER: authz_id}, self.mechanism)


class cram_md5(_WithPassword):
    """SASL CRAM-MD5."""

    mechanism = "CRAM-MD5"


class digest_md5(_WithPassword):
    """SASL DIGEST-MD5."""

    mechanism = "DIGEST-MD5"


class _WithoutPassword(sasl):
    """A mechanism that knows by itself who asks."""

    mechanism = ""

    def __init__(self, authz_id: str = "") -> None:
        super().__init__({CB_USER: authz_id}, self.mechanism)


class gssapi(_WithoutPassword):
    """SASL GSSAPI."""

    mechanism = "GSSAPI"


class external(_WithoutPassword):
    """SASL EXTERNAL."""

    mechanism = "EXTERNAL"
