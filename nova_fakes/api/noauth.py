"""Who asks, where there is no identity service: every token counts, and so does none.

As nova's noauth2 and Cinder's noauth have it: a token "USER:PROJECT" says who asks, and the user admin may do
everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nova_fakes.api.auth import Token
from nova_fakes.clock import Clock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["NoAuth"]

ADMINISTRATOR = "admin:admin"
LIFETIME_S = 3600.0


class NoAuth:
    """Take everybody for what he says he is.

    Args:
        clock: dates the tokens.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def validate(self, token_id: str) -> Token | None:
        """Return the token that "USER:PROJECT" stands for; any other text stands for the administrator."""
        user, colon, project = token_id.partition(":")
        if not (user and colon and project):
            user = project = "admin"
        now = self._clock.now()
        return Token(
            id=token_id,
            user_id=user,
            user_name=user,
            project_id=project,
            project_name=project,
            domain_id="default",
            roles=("admin", "manager", "member", "reader", "service") if user == "admin" else ("member", "reader"),
            issued_at=now,
            expires_at=now + LIFETIME_S,
        )

    def open(self, application: WSGIApplication) -> WSGIApplication:
        """Return the application with the administrator's token in every request that bears none."""

        def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ.setdefault("HTTP_X_AUTH_TOKEN", ADMINISTRATOR)
            return application(environ, start_response)

        return call
