"""Clients and fakes in one process, without a socket: requests' transport adapter over a WSGI application.

Whatever builds on requests can be given it: keystoneauth, and by that openstacksdk, the openstack command's plugins,
glanceclient, cinderclient and novaclient.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPHeaderDict
from urllib3.response import HTTPResponse

from nova_fakes.api.connection import environ_base

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["WSGIAdapter", "session"]

URL = "http://nova-fakes.test"
DEFAULT_PORTS = {"http": 80, "https": 443}


def session(application: WSGIApplication, url: str = URL) -> requests.Session:
    """Return a session of requests whose every request below `url` goes to `application`.

    `keystoneauth1.session.Session(auth, session=…)` takes it. Requests to other addresses go where they always went.

    Args:
        application: what answers; a `nova_fakes.api.stack.Stack` for a whole cloud.
        url: root of its addresses; nothing needs to listen there.
    """
    made = requests.Session()
    made.mount(url, WSGIAdapter(application))
    return made


class WSGIAdapter(BaseAdapter):
    """Answer prepared requests by calling a WSGI application, in the caller's thread.

    Answers are handed on as the application yields them, requests' bodies as the client writes them. Time-outs,
    proxies and certificates have no meaning here and are passed over.
    """

    def __init__(self, application: WSGIApplication) -> None:
        super().__init__()
        self._application = application

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Return the application's response to a prepared request.

        Raises:
            requests.ConnectionError: the application raised an exception, which is the cause.
            Exception: what the client's own body raised.
        """
        answer = _Answer()
        sent = None if request.body is None or isinstance(request.body, bytes | str) else _Stream(request.body)
        try:
            parts = self._application(_environ(request, sent), answer.start)
            body = _Body(parts, answer)
            body.begin()
        except Exception as error:
            raise requests.ConnectionError(f"the application failed: {error!r}", request=request) from error
        if sent is not None and sent.error is not None:
            raise sent.error
        return _response(request, answer, body, self)

    def close(self) -> None:
        """Hold nothing that would have to be given up."""


class _Answer:
    """Status and headers, once the application has told them."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.written: list[bytes] = []

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        self.status, self.headers = status, headers
        return self.written.append


class _Body(io.RawIOBase):
    """An application's iterable as a file that is read once."""

    def __init__(self, parts: Iterable[bytes], answer: _Answer) -> None:
        self._parts = parts
        self._blocks: Iterator[bytes] = iter(parts)
        self._answer = answer
        self._rest = b""

    def begin(self) -> None:
        """Let the application work until it has told the status, before its first block at the latest (PEP 3333)."""
        while not self._answer.status or not self._rest:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest = block
        self._rest = b"".join(self._answer.written) + self._rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            close = getattr(self._parts, "close", None)
            if close is not None:
                close()
        super().close()


class _Stream(io.RawIOBase):
    """A request's body that the client yields block by block, or lets be read from a file."""

    def __init__(self, blocks: Any) -> None:
        self._file = blocks if hasattr(blocks, "read") else None
        self._blocks = iter(blocks) if self._file is None else iter(())
        self._rest = b""
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                block = next(self._blocks, None) if self._file is None else self._file.read(len(buffer)) or None
            except Exception as error:
                # The application cannot tell it from a client that has gone; the caller gets it as it is.
                self.error = error
                raise ConnectionError("the request's body failed") from error
            if block is None:
                return 0
            self._rest = block.encode() if isinstance(block, str) else block
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _environ(request: requests.PreparedRequest, sent: _Stream | None) -> dict[str, Any]:
    """Return the environ of a request (PEP 3333)."""
    url = urlsplit(str(request.url))
    host, port = url.hostname or "", url.port or DEFAULT_PORTS.get(url.scheme, 80)
    environ = environ_base(host, port)
    environ |= {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": url.scheme,
        "HTTP_HOST": url.netloc.rpartition("@")[2],
        **_headers(request.headers),
    }
    body: Any = request.body
    if sent is None:
        environ["wsgi.input"] = io.BytesIO(body.encode() if isinstance(body, str) else body or b"")
    else:
        environ["wsgi.input"] = io.BufferedReader(sent)
    return environ


def _headers(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        found[key] = value.decode("latin-1") if isinstance(value, bytes) else value
    return found


def _response(
    request: requests.PreparedRequest, answer: _Answer, body: _Body, adapter: WSGIAdapter
) -> requests.Response:
    code, _, reason = answer.status.partition(" ")
    raw = HTTPResponse(
        body=io.BufferedReader(body),
        headers=HTTPHeaderDict(answer.headers),
        status=int(code),
        reason=reason,
        preload_content=False,
        request_method=request.method,
    )
    response = requests.Response()
    response.status_code = int(code)
    response.reason = reason
    response.url = str(request.url)
    response.request = request
    response.raw = raw
    response.headers = requests.structures.CaseInsensitiveDict(answer.headers)
    response.encoding = requests.utils.get_encoding_from_headers(response.headers)
    response.connection = adapter  # type: ignore[assignment]
    return response
