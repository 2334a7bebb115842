"""Tokens that were issued: opaque random strings, of which only the digests are kept."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

from nova_fakes.clock import Clock

__all__ = ["Scope", "TokenRecord", "TokenStore"]

# Services may ask for a token that has expired while a long operation used it, this much later at most
# (keystone.conf [token] allow_expired_window).
ALLOW_EXPIRED_WINDOW_S = 172800


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is good for.

    Attributes:
        kind: "project", "domain", "system", or "unscoped".
        id: the project's or domain's id, "all" for the system, "" without scope.
    """

    kind: str = "unscoped"
    id: str = ""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the store knows of a token. Times are unix seconds."""

    user_id: str
    methods: tuple[str, ...]
    scope: Scope
    issued_at: float
    expires_at: float
    audit_ids: tuple[str, ...]
    application_credential_id: str | None = None
    trust_id: str | None = None


class TokenStore:
    """Issue, find and revoke tokens. Not locked: the service that owns it is.

    Args:
        clock: tells the time.
        lifetime_s: how long a token is valid.
    """

    def __init__(self, clock: Clock, lifetime_s: float) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._records: dict[str, TokenRecord] = {}
        self._sweep_at = 1024

    def __len__(self) -> int:
        return len(self._records)

    def issue(
        self,
        user_id: str,
        methods: tuple[str, ...],
        scope: Scope,
        parent: TokenRecord | None = None,
        application_credential_id: str | None = None,
        not_after: float | None = None,
        trust_id: str | None = None,
    ) -> tuple[str, TokenRecord]:
        """Make a token and return its id with what is kept of it.

        Args:
            user_id: whose it is.
            methods: how the user proved it ("password").
            scope: what it is good for.
            parent: the token that was exchanged for it; the new one does not outlive it.
            application_credential_id: the application credential that was used, if one was.
            not_after: unix time that the token must not outlive, if any.
            trust_id: the trust by which it was got, if by one.
        """
        self._sweep()
        now = self._clock.now()
        expires_at = parent.expires_at if parent else now + self._lifetime_s
        audit_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        record = TokenRecord(
            user_id=user_id,
            methods=methods,
            scope=scope,
            issued_at=now,
            expires_at=expires_at if not_after is None else min(expires_at, not_after),
            audit_ids=(audit_id, parent.audit_ids[-1]) if parent else (audit_id,),
            application_credential_id=application_credential_id,
            trust_id=trust_id,
        )
        token_id = secrets.token_urlsafe(48)
        self._records[_digest(token_id)] = record
        return token_id, record

    def find(self, token_id: str, allow_expired: bool = False) -> TokenRecord | None:
        """Return what is known of a token; None if it is unknown, revoked or expired.

        Args:
            token_id: as the client sent it.
            allow_expired: whether it may have expired, within the last two days.
        """
        record = self._records.get(_digest(token_id))
        if record is None:
            return None
        grace_s = ALLOW_EXPIRED_WINDOW_S if allow_expired else 0
        return record if self._clock.now() < record.expires_at + grace_s else None

    def revoke(self, token_id: str) -> None:
        """Forget a token; nothing happens if there is none."""
        self._records.pop(_digest(token_id), None)

    def revoke_user(self, user_id: str) -> None:
        """Forget all tokens of a user."""
        self._records = {digest: record for digest, record in self._records.items() if record.user_id != user_id}

    def dump(self) -> dict[str, Any]:
        """Return the records by digest; the tokens themselves cannot be got back from that."""
        return {digest: asdict(record) for digest, record in self._records.items()}

    def load(self, records: dict[str, Any]) -> None:
        """Replace all records by what `dump` returned."""
        self._records = {}
        for digest, values in records.items():
            record = TokenRecord(**values)
            self._records[digest] = replace(
                record,
                methods=tuple(record.methods),
                audit_ids=tuple(record.audit_ids),
                scope=Scope(**values["scope"]),
            )

    def _sweep(self) -> None:
        if len(self._records) < self._sweep_at:
            return
        horizon = self._clock.now() - ALLOW_EXPIRED_WINDOW_S
        self._records = {digest: record for digest, record in self._records.items() if record.expires_at > horizon}
        self._sweep_at = max(1024, 2 * len(self._records))


def _digest(token_id: str) -> str:
    return hashlib.sha256(token_id.encode("utf-8", "surrogateescape")).hexdigest()
