"""One HTTP/1.1 connection of the server: requests in, WSGI calls, responses out.

Werkzeug's own server closes the connection after every response, and `wsgiref` speaks HTTP/1.0; nova and its clients
keep connections open, and a new one per request would cost more than most requests do. This is RFC 9112 as far as
clients on loopback use it: keep-alive, chunked bodies both ways, `Expect: 100-continue`, pipelined requests in order.
"""

from __future__ import annotations

import io
import logging
import socket
import sys
import time
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["BadRequest", "ChunkedBody", "Connection", "SizedBody"]

LOG = logging.getLogger(__name__)

LINE_LIMIT_BYTES = 65536
HEADER_LIMIT = 200
# A body up to this size is read before the application is called, which costs one copy and saves all book-keeping.
EAGER_BODY_BYTES = 65536
# The first part of a response's body travels in the same segment as its head, up to this size.
JOINED_BODY_BYTES = 65536
DRAIN_BYTES = 262144
# A client that was refused may finish this much of what it was sending, in this time.
REFUSAL_DRAIN_BYTES = 1048576
REFUSAL_PATIENCE_S = 1.0


class BadRequest(Exception):
    """The peer does not speak HTTP/1.1; the connection is answered with `status` and closed."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class SizedBody(io.RawIOBase):
    """A request body of known length, read from the connection as the application asks for it."""

    def __init__(self, source: io.BufferedReader, length_bytes: int) -> None:
        self._source = source
        self._left = length_bytes

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is left; 0 at the end.

        Raises:
            ConnectionError: the client went away before it had sent everything.
        """
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        got = self._source.readinto1(memoryview(buffer)[:wanted])
        if not got:
            raise ConnectionError(f"the client closed the connection with {self._left} bytes of its request unsent")
        self._left -= got
        return got


class ChunkedBody(io.RawIOBase):
    """A request body in chunks (RFC 9112 §7.1), read from the connection as the application asks for it."""

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._left = 0
        self._started = False
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with what is left of the present chunk; 0 at the end.

        Raises:
            ConnectionError: the client went away, or what it sent is no chunk.
        """
        if self._ended or not len(buffer):
            return 0
        if not self._left and not self._next_chunk():
            return 0
        wanted = min(len(buffer), self._left)
        got = self._source.readinto1(memoryview(buffer)[:wanted])
        if not got:
            raise ConnectionError(f"the client closed the connection with {self._left} bytes of a chunk unsent")
        self._left -= got
        return got

    def _next_chunk(self) -> bool:
        if self._started and self._source.readline(3) not in (b"\r\n", b"\n"):
            raise ConnectionError("a chunk of the request is longer than its size line says")
        self._started = True
        line = self._source.readline(1024)
        digits = line.split(b";", 1)[0].strip()
        if not line.endswith(b"\n") or not digits.isalnum():
            raise ConnectionError(f"{line[:40]!r} is no chunk size")
        try:
            self._left = int(digits, 16)
        except ValueError:
            raise ConnectionError(f"{line[:40]!r} is no chunk size") from None
        if self._left:
            return True
        while self._source.readline(LINE_LIMIT_BYTES) not in (b"\r\n", b"\n", b""):
            continue  # trailers: nobody here uses them
        self._ended = True
        return False


class Connection:
    """Serve one accepted socket until either side has had enough.

    Args:
        sock: the accepted socket; closed at the end of `serve`.
        peer: the client's address and port.
        application: what answers.
        base: environ keys that every request of this server shares.
    """

    def __init__(
        self, sock: socket.socket, peer: tuple[str, int], application: WSGIApplication, base: dict[str, Any]
    ) -> None:
        self._sock = sock
        self._reader = cast(io.BufferedReader, sock.makefile("rb", buffering=65536))
        self._peer = peer
        self._application = application
        self._base = base
        self._idle = True
        self._closing = False

    def serve(self) -> None:
        """Answer requests, one after the other; return when the connection is closed."""
        try:
            while not self._closing and self._serve_one():
                continue
        except BadRequest as error:
            self._refuse(error)
        except (ConnectionError, TimeoutError) as error:
            LOG.debug("connection from %s:%d lost: %s", *self._peer, error)
        except (OSError, ValueError) as error:
            if not self._closing:
                LOG.debug("connection from %s:%d lost: %s", *self._peer, error)
        finally:
            self._reader.close()
            self._sock.close()

    def finish(self) -> None:
        """Take no further request after the one under way."""
        self._closing = True

    def close_if_idle(self) -> None:
        """Close the connection at once if no request is under way."""
        if self._idle:
            self.abort(socket.SHUT_RD)

    def abort(self, how: int = socket.SHUT_RDWR) -> None:
        """Shut the socket down without waiting."""
        try:
            self._sock.shutdown(how)
        except OSError:
            pass  # the client was faster

    def _serve_one(self) -> bool:
        reader = self._reader
        line = reader.readline(LINE_LIMIT_BYTES)
        if line in (b"\r\n", b"\n"):  # RFC 9112 §2.2: an empty line before a request is ignored
            line = reader.readline(LINE_LIMIT_BYTES)
        if not line:
            return False
        self._idle = False
        started = time.perf_counter()
        environ = self._environ(line)
        version_1_1 = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        connection = environ.get("HTTP_CONNECTION", "").lower()
        keep = "close" not in connection if version_1_1 else "keep-alive" in connection
        body = self._body(environ)
        response = _Response(self._sock, environ, keep)
        try:
            sent_all = response.run(self._application, self)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            LOG.exception("%s %s failed", environ["REQUEST_METHOD"], environ["REQUEST_URI"])
            if not response.fail():
                return False
            sent_all = True
        if LOG.isEnabledFor(logging.INFO):
            LOG.info(
                '%s "%s %s" %s %d bytes %.1f ms',
                self._peer[0],
                environ["REQUEST_METHOD"],
                environ["REQUEST_URI"],
                response.status[:3],
                response.body_bytes,
                (time.perf_counter() - started) * 1000,
            )
        if body is not None:
            # What the application left unread stands between us and the next request, and closing a socket with
            # unread data would reset it before the client has read the answer.
            while body.read(DRAIN_BYTES):
                continue
        self._idle = True
        return sent_all and response.keep and not self._closing

    def keep_alive(self) -> bool:
        """Tell whether the server still wants another request on this connection."""
        return not self._closing

    def _environ(self, line: bytes) -> dict[str, Any]:
        if not line.endswith(b"\n"):
            raise BadRequest(HTTPStatus.REQUEST_URI_TOO_LONG, f"the request line exceeds {LINE_LIMIT_BYTES} bytes")
        try:
            method, target, version = line.decode("latin-1").split()
        except ValueError:
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"{line[:80]!r} is no request line") from None
        if version not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadRequest(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, f"{version[:40]!r} is neither HTTP/1.1 nor HTTP/1.0"
            )
        host = None
        if target[0] != "/":
            if not target.startswith("http://"):
                raise BadRequest(HTTPStatus.BAD_REQUEST, f"{target[:80]!r} is no path")
            host, _, rest = target[7:].partition("/")  # the absolute form that proxies use
            target = "/" + rest
        path, _, query = target.partition("?")
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        environ = self._base.copy()
        environ["REQUEST_METHOD"] = method
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["REQUEST_URI"] = target
        environ["SERVER_PROTOCOL"] = version
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = self._peer
        self._read_headers(environ)
        if host is not None:
            environ["HTTP_HOST"] = host
        return environ

    def _read_headers(self, environ: dict[str, Any]) -> None:
        readline = self._reader.readline
        for _ in range(HEADER_LIMIT):
            line = readline(LINE_LIMIT_BYTES)
            if line in (b"\r\n", b"\n"):
                return
            if not line:
                raise ConnectionError("the client closed the connection in the middle of a request's head")
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name[-1].isspace() or name[0].isspace() or not line.endswith(b"\n"):
                raise BadRequest(HTTPStatus.BAD_REQUEST, f"{line[:80]!r} is no header")
            if "_" in name:
                continue  # it would be taken for the header with a dash
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = "HTTP_" + key
            value = value.strip()
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        raise BadRequest(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request may have {HEADER_LIMIT} headers at most"
        )

    def _body(self, environ: dict[str, Any]) -> io.RawIOBase | None:
        """Put the request's body into `environ`; return it where it is not read yet."""
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        coding = environ.get("HTTP_TRANSFER_ENCODING")
        if coding is not None:
            if coding.lower() != "chunked":
                raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, f"transfer coding {coding[:40]!r} is not known here")
            environ.pop("CONTENT_LENGTH", None)  # RFC 9112 §6.3: the coding overrides it
            chunked = ChunkedBody(self._reader)
            environ["wsgi.input"] = io.BufferedReader(chunked, DRAIN_BYTES)
            return environ["wsgi.input"]  # type: ignore[no-any-return]
        text = environ.get("CONTENT_LENGTH", "0") or "0"
        if not (text.isascii() and text.isdigit()):
            raise BadRequest(HTTPStatus.BAD_REQUEST, f"Content-Length {text[:40]!r} is no number of bytes")
        length_bytes = int(text)
        if length_bytes <= EAGER_BODY_BYTES:
            data = self._reader.read(length_bytes) if length_bytes else b""
            if len(data) < length_bytes:
                raise ConnectionError(f"the client sent {len(data)} of the {length_bytes} bytes it had announced")
            environ["wsgi.input"] = io.BytesIO(data)
            return None
        environ["wsgi.input"] = io.BufferedReader(SizedBody(self._reader, length_bytes), DRAIN_BYTES)
        return environ["wsgi.input"]  # type: ignore[no-any-return]

    def _refuse(self, error: BadRequest) -> None:
        body = f"{error}\n".encode()
        head = (
            f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            self._sock.sendall(head.encode("latin-1") + body)
            self._sock.shutdown(socket.SHUT_WR)
            # Closing with bytes unread would reset the connection, and the client might never see the answer.
            self._sock.settimeout(REFUSAL_PATIENCE_S)
            self._reader.read(REFUSAL_DRAIN_BYTES)
        except OSError:
            pass  # it has gone already


class _Response:
    """What the application answers, on its way out."""

    def __init__(self, sock: socket.socket, environ: dict[str, Any], keep: bool) -> None:
        self.keep = keep
        self.status = ""
        self.body_bytes = 0
        self._sock = sock
        self._environ = environ
        self._headers: list[tuple[str, str]] = []
        self._head_sent = False
        self._chunked = False
        self._bodiless = environ["REQUEST_METHOD"] == "HEAD"

    def run(self, application: WSGIApplication, connection: Connection) -> bool:
        """Call the application and send what it returns; False where the connection cannot be used any more."""
        result = application(self._environ, self._start)
        try:
            self.keep = self.keep and connection.keep_alive()
            if isinstance(result, (list, tuple)):
                self._send(b"".join(result), last=True)
            else:
                self._stream(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return self._complete()

    def fail(self) -> bool:
        """Answer 500 after the application has raised; False if its own answer is already half sent."""
        if self._head_sent:
            return False
        self._headers = [("Content-Type", "text/plain; charset=utf-8")]
        self.status = "500 Internal Server Error"
        self._send(b"The server failed to answer this request; its log tells why.\n", last=True)
        return True

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /) -> Any:
        if exc_info is not None and self._head_sent and exc_info[1] is not None:
            raise exc_info[1]
        self.status = status
        self._headers = headers
        return self._write

    def _write(self, data: bytes) -> None:
        self._send(data, last=False)

    def _stream(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            if part:
                self._send(part, last=False)
        if not self._head_sent:
            self._send(b"", last=True)
        elif self._chunked:
            self._sock.sendall(b"0\r\n\r\n")

    def _send(self, data: bytes, last: bool) -> None:
        head = b"" if self._head_sent else self._head(len(data) if last else None)
        if self._bodiless:
            data = b""
        self.body_bytes += len(data)
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if head and len(data) <= JOINED_BODY_BYTES:
            self._sock.sendall(head + data)
            return
        if head:
            self._sock.sendall(head)
        if data:
            self._sock.sendall(data)

    def _head(self, length_bytes: int | None) -> bytes:
        self._head_sent = True
        names = {name.lower() for name, _ in self._headers}
        code = int(self.status[:3])
        empty = code in (204, 304) or code < 200
        lines = [f"HTTP/1.1 {self.status}"]
        lines += [f"{name}: {value}" for name, value in self._headers]
        if "date" not in names:
            lines.append(f"Date: {formatdate(usegmt=True)}")
        if "content-length" not in names and not empty:
            if length_bytes is not None:
                lines.append(f"Content-Length: {length_bytes}")
            elif self._environ["SERVER_PROTOCOL"] == "HTTP/1.1":
                if not self._bodiless:
                    self._chunked = True
                    lines.append("Transfer-Encoding: chunked")
            else:
                self.keep = False
        if empty:
            self._bodiless = True
        if not self.keep:
            lines.append("Connection: close")
        elif self._environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _complete(self) -> bool:
        """Tell whether as many bytes went out as the head had announced; else the next response would be misread."""
        if self._bodiless:
            return True
        for name, value in self._headers:
            if name.lower() == "content-length":
                return self.body_bytes == int(value)
        return True


def environ_base(host: str, port: int) -> dict[str, Any]:
    """Return the environ keys that all requests to a server on `host` and `port` share (PEP 3333)."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_SOFTWARE": "nova-fakes",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        # Bodies end where the request ends: werkzeug and webob need not count.
        "wsgi.input_terminated": True,
    }
