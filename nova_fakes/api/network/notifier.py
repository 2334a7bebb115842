"""The way of events to nova: a thread that posts them to os-server-external-events."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Any, Final

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions

from nova_fakes.api.network.events import Event

__all__ = ["NovaNotifier"]

LOG = logging.getLogger(__name__)

_RETRY_DELAYS_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_BATCH: Final = 100


class NovaNotifier:
    """Send events to nova in the background, in order, those that come close together in one request.

    Calling it takes milliseconds off nobody: the events are put in a queue. Where nova cannot be reached, or fails,
    the request is repeated with growing delays for about three seconds, and then given up with an error in the log.
    What nova refuses is logged and not repeated.

    Args:
        session: a `keystoneauth1.session.Session` of a user with the admin or service role.
        window_s: how long to wait for more events before a request is sent.
        adapter_options: what else `keystoneauth1.adapter.Adapter` is to know ("endpoint_override", "region_name").
    """

    def __init__(self, session: Any, *, window_s: float = 0.005, **adapter_options: Any) -> None:
        options = {"service_type": "compute", "default_microversion": "2.1", **adapter_options}
        self._nova = adapter.Adapter(session, **options)
        self._window_s = window_s
        self._queue: queue.SimpleQueue[list[Event] | None] = queue.SimpleQueue()
        self._condition = threading.Condition()
        self._pending = 0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="network-events", daemon=True)
        self._thread.start()

    def __call__(self, events: Sequence[Event]) -> None:
        """Take events; they are dropped with a warning once the notifier is closed."""
        if self._closed.is_set():
            LOG.warning("The notifier is closed; dropped %s", events)
            return
        with self._condition:
            self._pending += len(events)
        self._queue.put(list(events))

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until all events taken so far have been sent or given up; False if that took longer."""
        with self._condition:
            return self._condition.wait_for(lambda: self._pending == 0, timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what is left, without repeating what fails, and end the thread. May be called twice."""
        if not self._closed.is_set():
            self._closed.set()
            self._queue.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        ended = False
        while not ended:
            batch: list[Event] = []
            entry = self._queue.get()
            while entry is not None:
                batch += entry
                if len(batch) >= _BATCH:
                    break
                try:
                    entry = self._queue.get(timeout=self._window_s)
                except queue.Empty:
                    break
            ended = entry is None
            if not batch:
                continue
            try:
                self._send(batch)
            except Exception:
                LOG.exception("Failed to notify nova of %s", batch)
            finally:
                with self._condition:
                    self._pending -= len(batch)
                    self._condition.notify_all()

    def _send(self, batch: list[Event]) -> None:
        for delay_s in (*_RETRY_DELAYS_S, None):
            try:
                response = self._nova.post("/os-server-external-events", json={"events": batch}, raise_exc=False)
            except (ksa_exceptions.RetriableConnectionFailure, ksa_exceptions.EndpointNotFound) as error:
                reason = str(error)
            else:
                if response.status_code < 500:
                    self._log(batch, response)
                    return
                reason = f"nova answered {response.status_code}: {response.text}"
            if delay_s is None or self._closed.wait(delay_s):
                LOG.error("Gave up notifying nova of %s: %s", batch, reason)
                return

    @staticmethod
    def _log(batch: list[Event], response: Any) -> None:
        if response.status_code not in (200, 207):
            LOG.warning("nova refused the events %s with %s: %s", batch, response.status_code, response.text)
            return
        for event in response.json().get("events", ()):
            code = event.get("code")
            if code == 404:  # servers that are being deleted are unknown by the time their ports go
                LOG.debug("nova knows no server for the event %s", event)
            elif code != 200:
                LOG.warning("nova refused the event %s", event)
