"""One log file a service, although the services share a process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ServiceLogs"]

# Longest prefix wins. nova's own modules tell by their name which service runs them; what several services share
# (objects, RPC, SQLAlchemy) goes to the daemon's log.
LOGGERS = {
    "nova.api": "nova-api",
    "nova.wsgi": "nova-api",
    "nova.conductor": "nova-conductor",
    "nova.scheduler": "nova-scheduler",
    "nova.compute": "nova-compute",
    "nova.virt": "nova-compute",
    "nova.network": "nova-compute",
    "nova.volume": "nova-compute",
    "nova.image": "nova-compute",
    "nova_fakes.virt": "nova-compute",
    "placement": "placement",
    "nova_fakes.api.identity": "identity",
    "nova_fakes.api.image": "image",
    "nova_fakes.api.network": "network",
    "nova_fakes.api.volume": "volume",
}

_REST = "daemon"

_LEVELS = {
    # Says with every call that it is deprecated; nova 34 calls it all the same.
    "neutronclient.v2_0.client": logging.ERROR,
    # nova's own request log has the line already.
    "nova_fakes.api.connection": logging.WARNING,
    # Looks for memcached libraries that nobody needs here.
    "stevedore.extension": logging.CRITICAL,
}
_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s [%(threadName)s] %(message)s"


class _Router(logging.Handler):
    """Hands a record to the file of the service that its logger belongs to."""

    def __init__(self, files: Mapping[str, logging.FileHandler]) -> None:
        super().__init__()
        self._files = files
        self._by_logger: dict[str, logging.FileHandler] = {}

    def emit(self, record: logging.LogRecord) -> None:
        handler = self._by_logger.get(record.name)
        if handler is None:
            prefix = record.name
            while prefix and prefix not in LOGGERS:
                prefix = prefix.rpartition(".")[0]
            handler = self._files[LOGGERS.get(prefix, _REST)]
            self._by_logger[record.name] = handler
        handler.handle(record)


class ServiceLogs:
    """The log files below one directory.

    :param directory: must exist before :meth:`install`
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._router: _Router | None = None

    @staticmethod
    def names() -> list[str]:
        """Return the services that have a log, sorted."""
        return sorted({*LOGGERS.values(), _REST})

    def path(self, service: str) -> Path:
        """Return the file of one service's log."""
        return self._directory / f"{service}.log"

    def install(self) -> None:
        """Send this process's records to the files, and nowhere else.

        To be called again after nova or placement has set logging up for a process of its own.
        """
        if self._router is None:
            self._router = _Router({name: self._open(name) for name in self.names()})
        root = logging.getLogger()
        for handler in list(root.handlers):
            root.removeHandler(handler)
        root.addHandler(self._router)
        root.setLevel(logging.INFO)
        for name, level in _LEVELS.items():
            logging.getLogger(name).setLevel(level)

    def _open(self, name: str) -> logging.FileHandler:
        handler = logging.FileHandler(self.path(name), encoding="utf-8")
        handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
        return handler
