"""Requests handed on to a service in another process of the sandbox."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

__all__ = ["Proxy"]

#: Headers that concern one connection alone (RFC 9110 §7.6.1), and the length, which is told anew.
_HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
_ENTITY = ("CONTENT_TYPE", "CONTENT_LENGTH")


class Proxy:
    """A WSGI application that asks the same of a server on this machine, and answers what it answers.

    While nothing answers there, a client is told 503 and to try again.

    :param port: where the server listens, with the same path
    :param timeout_s: how long an answer may take
    """

    def __init__(self, port: int, timeout_s: float = 120.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._local = threading.local()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Hand a request on (PEP 3333)."""
        target = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if environ.get("QUERY_STRING"):
            target += f"?{environ['QUERY_STRING']}"
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else None
        try:
            response = self._ask(environ["REQUEST_METHOD"], _quoted(target), body, _headers(environ))
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._forget()
            return _unavailable(start_response)
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        length_told = response.getheader("Content-Length")
        kept.append(("Content-Length", str(len(answer)) if answer or length_told is None else length_told))
        start_response(f"{response.status} {response.reason}", kept)
        return [answer]

    def _ask(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            # The other end may have gone since the last request; one that has not been answered is asked again only
            # where nothing can have come of it.
            try:
                connection.request(method, target, body, headers)
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                self._forget()
                if method not in ("GET", "HEAD"):
                    raise
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
        self._local.connection = connection
        connection.request(method, target, body, headers)
        return connection.getresponse()

    def _forget(self) -> None:
        connection = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {name[5:].replace("_", "-").title(): value for name, value in environ.items() if name.startswith("HTTP_")}
    found |= {name.replace("_", "-").title(): environ[name] for name in _ENTITY if environ.get(name)}
    return {name: value for name, value in found.items() if name.lower() not in _HOP_BY_HOP - {"content-length"}}


def _quoted(target: str) -> str:
    """Return a path as the request line carries it; WSGI hands it over decoded, an octet a character."""
    return quote(target.encode("latin-1"), safe="/%:?=&+,;@$!*'()~[]-._")


def _unavailable(start_response: Callable[..., Any]) -> Iterable[bytes]:
    answer = json.dumps(
        {
            "error": {
                "code": 503,
                "message": "nova-api is not running: the sandbox starts it again",
                "title": "Unavailable",
            }
        }
    ).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer))), ("Retry-After", "1")]
    start_response("503 Service Unavailable", headers)
    return [answer]
