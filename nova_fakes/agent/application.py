"""The WSGI application: from HTTP to the service and back. It trusts nothing that it reads.

``POST /v2/<verb>`` and ``POST /v2/batch`` are for clients; ``GET /health`` and ``GET /metrics`` are for whoever watches
the machine, as closed to other users as the verbs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from nova_fakes.agent import calls, checks, failures, protocol
from nova_fakes.agent.peers import Peer
from nova_fakes.agent.service import Service
from nova_fakes.exceptions import AgentError, InvalidInput, NovaFakesError, PeerRefused, ProtocolMismatch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Application"]

LOG = logging.getLogger(__name__)

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class _HttpError(Exception):
    """What is wrong is the request's form, so the status says it."""

    def __init__(self, status: HTTPStatus, cure: str) -> None:
        super().__init__(cure)
        self.status = status


class Application:
    """Answers requests.

    :param allowed: the user ids that are served
    :param peer_of: tells the peer of a request
    """

    def __init__(
        self, service: Service, allowed: Collection[int], peer_of: Callable[[Mapping[str, Any]], Peer]
    ) -> None:
        self._service = service
        self._allowed = frozenset(allowed)
        self._peer_of = peer_of

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; every error becomes an answer."""
        verb = ""
        kind = "application/json"
        try:
            path = environ.get("PATH_INFO", "")
            verb = path.rpartition("/")[2]
            peer = self._admit(environ, path)
            if path == "/metrics":
                self._require(environ, "GET")
                status, kind, body = HTTPStatus.OK, _TEXT, self._service.render_metrics().encode()
            else:
                status, body = HTTPStatus.OK, _encode({"result": self._answer(environ, peer, path, verb)})
        except _HttpError as error:
            status, body = error.status, _encode({"error": failures.encode(AgentError(str(error)), verb)})
        except NovaFakesError as error:
            status, body = failures.status(error), _encode({"error": failures.encode(error, verb)})
        except Exception as error:
            LOG.exception("%a failed", verb)  # whatever its sender has called it
            status, body = HTTPStatus.INTERNAL_SERVER_ERROR, _encode({"error": failures.encode(error, verb)})
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _admit(self, environ: WSGIEnvironment, path: str) -> Peer:
        peer = self._peer_of(environ)
        if peer.uid not in self._allowed:
            self._service.refused(peer, path)
            raise PeerRefused(
                f"the agent does not serve user {peer.uid} (process {peer.pid}); start it with --allow-uid {peer.uid}"
            )
        return peer

    def _answer(self, environ: WSGIEnvironment, peer: Peer, path: str, verb: str) -> Any:
        if path == "/health":
            self._require(environ, "GET")
            return protocol.Health().encode_result(self._service.health())
        _check_version(path)
        self._require(environ, "POST")
        if verb == calls.BATCH:
            return self._service.serve_batch(peer, calls.decode_batch(_body(environ)))
        call = calls.decode_call(verb, _body(environ))
        return self._service.serve(peer, call)

    def _require(self, environ: WSGIEnvironment, method: str) -> None:
        if environ["REQUEST_METHOD"] != method:
            raise _HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"use {method}")


def _check_version(path: str) -> None:
    """Refuse a path that is no verb of this protocol, telling whether an older or a newer client asked."""
    parts = path.split("/")
    if len(parts) != 3 or parts[0] or not parts[1].startswith("v") or not parts[1][1:].isdecimal():
        raise _HttpError(HTTPStatus.NOT_FOUND, f"there is nothing here; POST to /v{protocol.PROTOCOL}/<verb>")
    version = parts[1][1:]
    if version != str(protocol.PROTOCOL):
        raise ProtocolMismatch(
            f"the agent speaks protocol {protocol.PROTOCOL}, the client {version[:10]}; "
            "install the same version of nova-fakes on both sides"
        )
    if parts[2] not in protocol.VERBS and parts[2] != calls.BATCH:
        raise _HttpError(HTTPStatus.NOT_FOUND, f"there is no such verb; use one of {', '.join(protocol.VERBS)}")


def _body(environ: WSGIEnvironment) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise InvalidInput("Content-Length", checks.shorten(environ["CONTENT_LENGTH"]), "give a number") from None
    if not 0 <= length <= calls.MAX_BODY_BYTES:
        raise _HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {calls.MAX_BODY_BYTES} bytes")
    body: bytes = environ["wsgi.input"].read(length)
    return body


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
