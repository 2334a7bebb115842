"""The daemon's control interface: JSON over HTTP on a unix socket that its owner alone can open."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from nova_fakes.exceptions import NotFound, NovaFakesError

if TYPE_CHECKING:
    from nova_fakes.sandbox.cloud import Cloud

__all__ = ["ControlServer", "create_app"]


class _Handler(WSGIRequestHandler):
    """Writes no access log, and knows that a unix socket's peer has no address."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: the services' logs tell what was done."""

    def address_string(self) -> str:
        """Return a name for the peer."""
        return "control"


def create_app(cloud: Cloud, stop: Callable[[], None]) -> flask.Flask:
    """Return the control application of a running cloud.

    :param stop: called, after its request was answered, when the cloud is to end
    """
    app = flask.Flask("nova_fakes.control")

    @app.errorhandler(NovaFakesError)
    def refuse(error: NovaFakesError) -> tuple[dict[str, Any], int]:
        status = 404 if isinstance(error, NotFound) else 409
        return {"error": {"type": type(error).__name__, "message": str(error)}}, status

    @app.get("/status")
    def status() -> dict[str, Any]:
        return cloud.status()

    @app.get("/instances")
    def instances() -> dict[str, Any]:
        return {"instances": cloud.instances()}

    @app.post("/instances/<uuid>/crash")
    def guest_crash(uuid: str) -> tuple[str, int]:
        cloud.guest_crash(uuid)
        return "", 204

    @app.get("/instances/<uuid>/disks/<device>")
    def read_disk(uuid: str, device: str) -> dict[str, str]:
        asked = flask.request.args
        data = cloud.read_disk(uuid, device, asked.get("offset", 0, int), asked.get("length", 0, int))
        return {"data": base64.b64encode(data).decode()}

    @app.put("/instances/<uuid>/disks/<device>")
    def write_disk(uuid: str, device: str) -> tuple[str, int]:
        asked = flask.request.get_json()
        cloud.write_disk(uuid, device, asked["offset"], base64.b64decode(asked["data"]))
        return "", 204

    @app.post("/hosts/<name>/down")
    def host_down(name: str) -> tuple[str, int]:
        cloud.host_down(name)
        return "", 204

    @app.post("/hosts/<name>/hang")
    def host_hang(name: str) -> tuple[str, int]:
        cloud.host_hang(name, **flask.request.get_json())
        return "", 204

    @app.post("/hosts/<name>/up")
    def host_up(name: str) -> tuple[str, int]:
        cloud.host_up(name)
        return "", 204

    @app.get("/faults")
    def faults() -> dict[str, Any]:
        return {"faults": cloud.faults()}

    @app.post("/faults")
    def add_faults() -> tuple[dict[str, Any], int]:
        return {"faults": cloud.add_faults(**flask.request.get_json())}, 201

    @app.delete("/faults/<int:number>")
    def remove_fault(number: int) -> tuple[str, int]:
        cloud.remove_fault(number)
        return "", 204

    @app.delete("/faults")
    def clear_faults() -> tuple[str, int]:
        cloud.clear_faults()
        return "", 204

    @app.get("/events")
    def events() -> dict[str, Any]:
        asked = flask.request.args
        latest, events = cloud.events_after(
            asked.get("after", 0, int),
            host=asked.get("host"),
            guest=asked.get("guest"),
            operation=asked.get("operation"),
            since_s=asked.get("since", None, float),
            count=asked.get("count", None, int),
        )
        return {"latest": latest, "events": events}

    @app.post("/down")
    def down() -> tuple[str, int]:
        stop()
        return "", 202

    return app


class ControlServer:
    """Serves the control application until stopped.

    :param path: of the socket; a stale one is replaced, since only the state directory's owner gets here
    """

    def __init__(self, path: Path, app: flask.Flask) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        previous = os.umask(0o177)
        try:
            self._server: BaseWSGIServer = make_server(
                f"unix://{path}", 0, app, threaded=True, request_handler=_Handler
            )
        finally:
            os.umask(previous)
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and remove the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._path.unlink(missing_ok=True)
