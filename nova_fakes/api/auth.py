"""Who asks: tokens, and the check that every API fake makes before it answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import flask

from nova_fakes.exceptions import ApiError

__all__ = ["TOKEN_KEY", "Token", "TokenValidator", "authenticate", "current_token", "require_admin"]

#: WSGI environment key of the token of a request that never came over a socket: one service of a process asks another.
TOKEN_KEY = "nova_fakes.token"


@dataclass(frozen=True, slots=True)
class Token:
    """A valid token, as much of it as a service needs to decide.

    Times are unix seconds. `project_id` and `project_name` are None where the token has no project scope; `domain_id`
    is the domain of the project, else the domain that the token is scoped to, else the user's.
    """

    id: str
    user_id: str
    user_name: str
    project_id: str | None
    project_name: str | None
    domain_id: str
    roles: tuple[str, ...]
    issued_at: float
    expires_at: float

    @property
    def is_admin(self) -> bool:
        """Whether one of the roles is "admin", which is what the services' default policies ask for."""
        return "admin" in self.roles

    @property
    def is_service(self) -> bool:
        """Whether one of the roles is "service": the caller is another service of the cloud."""
        return "service" in self.roles


class TokenValidator(Protocol):
    """What can tell a valid token from another string; `IdentityService` is one."""

    def validate(self, token_id: str) -> Token | None:
        """Return the token of that id, None if there is none, it was revoked or has expired."""
        ...


def authenticate(
    app: flask.Flask, tokens: TokenValidator, *, public: Collection[str] = (), identity_url: str | None = None
) -> None:
    """Refuse requests to `app` that carry no valid token in X-Auth-Token; leave the token in `flask.g.token`.

    The refusal is an `ApiError` 401 with a WWW-Authenticate header, in the body that the application gives to its
    errors (`nova_fakes.api.wsgi.application`).

    Args:
        app: the application, of which every path is guarded, unknown ones too.
        tokens: who knows the tokens.
        public: paths below the mount point that need none ("/", "/v3"), without a trailing slash.
        identity_url: named in WWW-Authenticate; the "/identity" next to the application if None.
    """
    free = frozenset(path.rstrip("/") for path in public)

    def check() -> None:
        request = flask.request
        token: Token | None = request.environ.get(TOKEN_KEY)
        if token is None:
            token_id = request.headers.get("X-Auth-Token")
            token = tokens.validate(token_id) if token_id else None
        flask.g.token = token
        if token is not None or request.path.rstrip("/") in free:
            return
        url = identity_url or request.host_url + "identity"
        raise ApiError(
            401,
            "The request you have made requires authentication.",
            headers={"WWW-Authenticate": f'Keystone uri="{url}"'},
        )

    app.before_request(check)


def current_token() -> Token:
    """Return the token of the present request.

    Raises:
        ApiError: 401, the request has none.
    """
    token: Token | None = flask.g.get("token")
    if token is None:
        raise ApiError(401, "The request you have made requires authentication.")
    return token


def require_admin(action: str) -> Token:
    """Return the present request's token if it is an administrator's.

    Args:
        action: what is asked for, in the policy's words ("identity:list_users"); named in the refusal.

    Raises:
        ApiError: 403, it is not; 401, there is none.
    """
    token = current_token()
    if not token.is_admin:
        raise ApiError(403, f"You are not authorized to perform the requested action: {action}.", kind="Forbidden")
    return token
