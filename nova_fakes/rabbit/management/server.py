"""The management API on a TCP port, in a thread of its own."""

from __future__ import annotations

import contextlib
import threading

from waitress.server import create_server

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.management.app import create_app

__all__ = ["ManagementServer"]


class ManagementServer:
    """Serves one broker's management API; usable as a context manager.

    :param address: ``host:port``, with or without ``http://``; port 0 for a free one
    :raises InvalidInput: it is no such address, or cannot be used
    """

    def __init__(self, broker: Broker, address: str = "127.0.0.1:0") -> None:
        host, colon, port = address.removeprefix("http://").rstrip("/").rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise InvalidInput("management", address, "give HOST:PORT")
        try:
            self._server = create_server(
                create_app(broker),
                host=host.strip("[]"),
                port=int(port),
                threads=4,
                ident=None,
                clear_untrusted_proxy_headers=True,
            )
        except (OSError, ValueError) as error:
            raise InvalidInput(
                "management", address, f"give an address of this machine that is free ({error})"
            ) from None
        self.url = f"http://{host}:{self._server.effective_port}"
        self._thread = threading.Thread(target=self._run, name="rabbit-management", daemon=True)

    def _run(self) -> None:
        # Closing the sockets ends the loop by an error of the selector's.
        with contextlib.suppress(OSError, ValueError):
            self._server.run()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.trigger.pull_trigger(self._close)
        self._thread.join()
        self._server.task_dispatcher.shutdown()

    def _close(self) -> None:
        """Close all sockets, in the thread that selects among them."""
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.close()

    def __enter__(self) -> ManagementServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
