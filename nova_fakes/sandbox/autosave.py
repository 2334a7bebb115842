"""What the API fakes know, kept in JSON files so that a restarted sandbox goes on where it stopped."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox.state import write_private

__all__ = ["Autosave"]

LOG = logging.getLogger(__name__)

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Saved(Protocol):
    """A service whose state can be had as JSON and given back."""

    def dump(self) -> dict[str, Any]:
        """Return everything worth keeping."""

    def load(self, data: dict[str, Any]) -> None:
        """Take over what :meth:`dump` returned."""


class Autosave:
    """Writes each service's state soon after a request may have changed it.

    :param directory: one ``<service>.json`` each
    :param interval_s: how long changes may gather before they are written
    """

    def __init__(self, directory: Path, services: Mapping[str, Saved], interval_s: float = 1.0) -> None:
        self._directory = directory
        self._services = services
        self._interval_s = interval_s
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)

    def restore(self) -> bool:
        """Give each service what was saved; return whether anything was.

        :raises SandboxError: when a file cannot be read back; it is left as it is
        """
        found = False
        for name, service in self._services.items():
            path = self._directory / f"{name}.json"
            if not path.exists():
                continue
            try:
                service.load(json.loads(path.read_text()))
            except (ValueError, KeyError, TypeError) as error:
                raise SandboxError(
                    f"{path} cannot be read back ({error!r}): "
                    "restore it, or start afresh with 'nova-fakes down --purge'"
                ) from error
            found = True
        return found

    def start(self) -> None:
        """Begin to write changes."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and stop."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in self._services:
            self.mark(name)
        self._write()

    def mark(self, name: str) -> None:
        """Tell that a service may have changed."""
        with self._lock:
            self._changed.add(name)
        self._wake.set()

    def watch(self, name: str, application: WSGIApplication) -> WSGIApplication:
        """Return the application, marking its service after every request that may change it."""

        def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            try:
                return application(environ, start_response)
            finally:
                if environ["REQUEST_METHOD"] not in _SAFE_METHODS:
                    self.mark(name)

        return call

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait()
            self._stopping.wait(self._interval_s)
            self._wake.clear()
            self._write()

    def _write(self) -> None:
        with self._writing:
            with self._lock:
                changed, self._changed = self._changed, set()
            for name in sorted(changed):
                try:
                    write_private(self._directory / f"{name}.json", json.dumps(self._services[name].dump()))
                except Exception:
                    LOG.exception("the state of %s was not saved", name)
