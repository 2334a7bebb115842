"""Who asks the network service for something, and how much he may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_fakes.api.auth import Token

__all__ = ["ADMIN", "Caller"]

_WRITERS = frozenset({"admin", "manager", "member", "service"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and the roles held in it.

    `project_id` is None for a token without project scope, which owns nothing and, unless it is an administrator's,
    sees nothing but shared resources.
    """

    project_id: str | None
    roles: frozenset[str] = frozenset({"member"})

    @classmethod
    def from_token(cls, token: Token) -> Caller:
        """Return the caller that a validated token stands for."""
        return cls(token.project_id, frozenset(token.roles))

    @property
    def is_privileged(self) -> bool:
        """Whether the caller is an administrator or another service, who sees all projects and may bind ports."""
        return "admin" in self.roles or "service" in self.roles

    @property
    def may_write(self) -> bool:
        """Whether any role allows more than reading."""
        return not _WRITERS.isdisjoint(self.roles)

    def owns(self, project_id: str | None) -> bool:
        """Whether a resource of that project may be changed by this caller, as far as the owner goes."""
        return self.is_privileged or (self.project_id is not None and project_id == self.project_id)


ADMIN = Caller(None, frozenset({"admin"}))
"""The cloud itself: what the sandbox and the service's own work run as."""
