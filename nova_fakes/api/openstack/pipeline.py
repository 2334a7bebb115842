"""The API of 2011 from the outside: versions, authentication by key, rate limits, and a router behind them.

Plain WSGI (PEP 3333): nova dropped versions 1.0 and 1.1 of its API, and with them all of this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nova_fakes.api.openstack.accounts import (
    Context,
    FakeAuthDatabase,
    FakeAuthManager,
    FakeRequestContext,
    User,
    token_hash,
)
from nova_fakes.clock import Clock, SystemClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "AuthMiddleware",
    "FakeRateLimiter",
    "FakeRouter",
    "Limit",
    "RateLimitingMiddleware",
    "fake_auth_init",
    "wsgi_app",
]

TOKEN_LIFETIME = timedelta(days=2)
CONTEXT_KEY = "nova.context"


class FakeRouter:
    """Answer every request with 200 and `X-Test-Success: True`."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer (PEP 3333)."""
        return _answer(start_response, "200 OK", {"X-Test-Success": "True"})


class FakeRateLimiter:
    """Let every request through.

    Args:
        application: what answers them.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request on (PEP 3333)."""
        return self.application(environ, start_response)


@dataclass(frozen=True)
class Limit:
    """So many requests in so much time of those with this method whose path and query this pattern matches."""

    verb: str
    pattern: str
    value: int
    unit_s: float


LIMITS = (
    Limit("POST", ".*", 10, 60.0),
    Limit("POST", "^/servers", 50, 86400.0),
    Limit("PUT", ".*", 10, 60.0),
    Limit("GET", ".*changes-since.*", 3, 60.0),
    Limit("DELETE", ".*", 100, 60.0),
)


class RateLimitingMiddleware:
    """Refuse with 413 and Retry-After what a user asks too often (`nova/api/openstack/limits.py`, Cactus).

    Args:
        application: what answers the other requests.
        limits: for each user.
        clock: by which the time passes.
    """

    def __init__(
        self, application: WSGIApplication, limits: Sequence[Limit] = LIMITS, clock: Clock | None = None
    ) -> None:
        self.application = application
        self._limits = tuple(limits)
        self._clock = clock or SystemClock()
        self._asked: dict[tuple[str | None, Limit], list[float]] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request on, or refuse it (PEP 3333)."""
        context = environ.get(CONTEXT_KEY)
        asked = f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
        delay_s = self.delay_s(environ["REQUEST_METHOD"], asked, getattr(context, "user_id", None))
        if delay_s is None:
            return self.application(environ, start_response)
        seconds = str(int(delay_s) + 1)
        fault = {"overLimit": {"code": 413, "message": "This request was rate-limited.", "retryAfter": seconds}}
        return _answer(start_response, "413 Request Entity Too Large", {"Retry-After": seconds}, fault)

    def delay_s(self, verb: str, path: str, user_id: str | None) -> float | None:
        """Count a request, its path with the query, and return None; or how many seconds it comes too early."""
        now = self._clock.now()
        matching = [one for one in self._limits if one.verb == verb and re.match(one.pattern, path)]
        recent = {one: [at for at in self._asked.get((user_id, one), []) if at > now - one.unit_s] for one in matching}
        waits = [times[-one.value] + one.unit_s - now for one, times in recent.items() if len(times) >= one.value]
        if waits:
            return max(waits)
        for one, times in recent.items():
            self._asked[user_id, one] = [*times, now]
        return None


class AuthMiddleware:
    """Authenticate by X-Auth-User and X-Auth-Key, then by the token that was given for them.

    Args:
        application: what answers the requests of those who are known; `nova.context` in their environ tells who asks.
        db: the tokens; a new one unless given.
        auth: the users; a new manager, which knows nobody, unless given.
    """

    def __init__(
        self, application: WSGIApplication, db: FakeAuthDatabase | None = None, auth: FakeAuthManager | None = None
    ) -> None:
        self.application = application
        self.db = db or FakeAuthDatabase()
        self.auth = auth or FakeAuthManager()
        self.context: Any = Context()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Authenticate a request, or hand it on (PEP 3333)."""
        token = environ.get("HTTP_X_AUTH_TOKEN")
        if token is None:
            return self._authenticate(environ, start_response)
        user = self.authorize_token(token)
        if user is None:
            return _unauthorized(start_response)
        asked = environ.get("HTTP_X_AUTH_PROJECT_ID")
        own = self.auth.get_projects(user)
        project = self.auth.get_project(asked) if asked else next(iter(own), None)
        if project is None or not (user.admin or self.auth.is_project_member(user, project)):
            return _unauthorized(start_response)
        environ[CONTEXT_KEY] = FakeRequestContext(user, project)
        return self.application(environ, start_response)

    def authorize_token(self, token: str) -> User | None:
        """Return the user of a token, None if it is unknown or older than two days; it is forgotten then."""
        found = self.db.auth_token_get(self.context, token)
        if found is None:
            return None
        age_s = self.db.clock.now() - found["created_at"].timestamp()
        if age_s > TOKEN_LIFETIME.total_seconds():
            self.db.auth_token_destroy(self.context, found.id)
            return None
        return self.auth.get_user(found["user_id"])

    def _authenticate(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if len([part for part in path.split("/") if part]) > 1:
            return _unauthorized(start_response)  # authentication is asked for at the root of a version alone
        name, key = environ.get("HTTP_X_AUTH_USER"), environ.get("HTTP_X_AUTH_KEY")
        user = self.auth.get_user_from_access_key(key) if key else None
        if user is None or user.name != name:
            return _unauthorized(start_response)
        url = f"http://{environ.get('HTTP_HOST', 'localhost')}{path}"
        token = self.db.auth_token_create(
            self.context,
            {
                "token_hash": token_hash(user, self.db.clock.now()),
                "user_id": user.id,
                "server_management_url": url,
                "storage_url": "",
                "cdn_management_url": "",
            },
        )
        headers = {
            "X-Auth-Token": token["token_hash"],
            "X-Server-Management-Url": url,
            "X-Storage-Url": "",
            "X-CDN-Management-Url": "",
        }
        return _answer(start_response, "204 No Content", headers)


def fake_auth_init(self: Any, application: WSGIApplication) -> None:
    """Initialise an authentication middleware, of whatever class, with fakes of its own.

    To be put in the place of its `__init__`: it has `db`, `context`, `auth` and `application` then.
    """
    self.db = FakeAuthDatabase()
    self.context = Context()
    self.auth = FakeAuthManager()
    self.application = application


def wsgi_app(
    inner_app10: WSGIApplication | None = None,
    inner_app11: WSGIApplication | None = None,
    *,
    auth: FakeAuthManager | None = None,
    db: FakeAuthDatabase | None = None,
    limiter: Callable[[WSGIApplication], WSGIApplication] = FakeRateLimiter,
) -> WSGIApplication:
    """Return the API of 2011: the list of versions at "/", and two versions behind authentication and limits.

    Args:
        inner_app10: what answers below /v1.0; a `FakeRouter` unless given.
        inner_app11: what answers below /v1.1.
        auth: the users of both.
        db: the tokens of both.
        limiter: put before the inner applications.
    """
    auth, db = auth or FakeAuthManager(), db or FakeAuthDatabase()
    versions = {
        "/v1.0": AuthMiddleware(limiter(inner_app10 or FakeRouter()), db, auth),
        "/v1.1": AuthMiddleware(limiter(inner_app11 or FakeRouter()), db, auth),
    }

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        for prefix, application in versions.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
                environ["PATH_INFO"] = path[len(prefix) :]
                return application(environ, start_response)
        if path.strip("/"):
            return _answer(start_response, "404 Not Found", {}, {"itemNotFound": {"code": 404, "message": path}})
        root = f"http://{environ.get('HTTP_HOST', 'localhost')}"
        rows = [
            {
                "id": prefix[1:],
                "status": "CURRENT" if prefix == "/v1.1" else "DEPRECATED",
                "links": [{"rel": "self", "href": f"{root}{prefix}/"}],
            }
            for prefix in reversed(versions)
        ]
        return _answer(start_response, "200 OK", {}, {"versions": rows})

    return call


def _answer(
    start_response: StartResponse, status: str, headers: dict[str, str], body: object = None
) -> Iterable[bytes]:
    data = b"" if body is None else json.dumps(body).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    length = {} if status.startswith("204") else {"Content-Length": str(len(data))}
    start_response(status, [*headers.items(), *kind.items(), *length.items()])
    return [data]


def _unauthorized(start_response: StartResponse) -> Iterable[bytes]:
    fault = {"unauthorized": {"code": 401, "message": "Unauthorized"}}
    return _answer(start_response, "401 Unauthorized", {}, fault)
