"""WSGI applications side by side, told apart by the first segment of the path, as DevStack mounts them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Mounts"]


class Mounts:
    """Hand each request to the application whose prefix it bears.

    Args:
        url: under which all of it is reached, without a trailing slash.
        mounts: application by prefix ("/identity"); one segment with a leading slash. More can be added by `mount`.

    Raises:
        InvalidInput: a prefix is not one segment with a leading slash.
    """

    def __init__(self, url: str, mounts: Mapping[str, WSGIApplication] | None = None) -> None:
        self.url = url
        self._mounts: dict[str, WSGIApplication] = {}
        for prefix, application in (mounts or {}).items():
            self.mount(prefix, application)

    def mount(self, prefix: str, application: WSGIApplication) -> None:
        """Serve `application` under `prefix` ("/compute") from now on, in place of what was there.

        Raises:
            InvalidInput: the prefix is not one segment with a leading slash.
        """
        if not prefix.startswith("/") or "/" in prefix[1:] or len(prefix) < 2:
            raise InvalidInput("prefix", prefix, "give one path segment with a leading slash, such as '/identity'")
        self._mounts = {**self._mounts, prefix: application}

    def unmount(self, prefix: str) -> None:
        """Answer 404 under `prefix` from now on."""
        self._mounts = {key: application for key, application in self._mounts.items() if key != prefix}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand a request to the application that its path names (PEP 3333)."""
        path: str = environ["PATH_INFO"]
        end = path.find("/", 1)
        prefix = path if end < 0 else path[:end]
        application = self._mounts.get(prefix)
        if application is not None:
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = "/" if end < 0 else path[end:]
            return application(environ, start_response)
        return self._index(path, start_response)

    def _index(self, path: str, start_response: StartResponse) -> list[bytes]:
        body: dict[str, Any] = {"services": {prefix[1:]: self.url + prefix for prefix in sorted(self._mounts)}}
        status = "200 OK"
        if path != "/":
            status = "404 Not Found"
            known = ", ".join(sorted(self._mounts)) or "none"
            body["error"] = {
                "code": 404,
                "title": "Not Found",
                "message": f"{path}: no service is mounted there; there are: {known}",
            }
        data = json.dumps(body, indent=2).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]
