"""An NBD server on a UNIX socket, for whoever wants to read and write volumes as block devices: qemu, libnbd."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from pathlib import Path

from nova_fakes.exceptions import InvalidInput, NotFound
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.volume.connections import nbd_uri
from nova_fakes.volume.medium import Medium
from nova_fakes.volume.nbd_session import Export, Session

__all__ = ["NbdServer"]

LOG = logging.getLogger(__name__)

#: How long a client may take to leave when the server stops, seconds.
_PATIENCE_S = 5.0
#: How long a server without descriptors waits before it takes the next client, seconds.
_BREATH_S = 0.1


class NbdServer:
    """Exports of media under names; a thread for each client.

    :param path: of the socket; its directory has to exist. None but its owner may connect
    :param ledger: where the socket is written down before it is made
    :raises InvalidInput: the socket cannot be made there
    """

    def __init__(self, path: str | os.PathLike[str], ledger: Ledger | None = None) -> None:
        self.path = Path(path)
        self._ledger = ledger or Ledger()
        self._exports: dict[str, Export] = {}
        self._clients: dict[socket.socket, tuple[Session, threading.Thread]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._entry = self._ledger.add("socket", str(self.path))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._listen()
        except OSError as error:
            self._listener.close()
            self._ledger.done(self._entry)
            raise InvalidInput("path", str(path), f"give a path where a socket can be made ({error})") from error
        self._acceptor = threading.Thread(target=self._accept, name=f"nbd {self.path.name}", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> NbdServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def export(self, name: str, medium: Medium, *, read_only: bool = False, description: str = "") -> str:
        """Export a medium; return its address.

        :raises InvalidInput: the name is taken or cannot be one
        """
        if not name or len(name.encode()) > 4096 or "\0" in name:
            raise InvalidInput("name", name, "give a name of 1 to 4096 bytes, none of them zero")
        with self._lock:
            if name in self._exports:
                raise InvalidInput("name", name, "it is taken: withdraw that export first")
            self._exports[name] = Export(name, medium, read_only, description)
        return nbd_uri(str(self.path), name)

    def withdraw(self, name: str) -> None:
        """Export that no more; who uses it loses the connection.

        :raises NotFound: there is none
        """
        with self._lock:
            if self._exports.pop(name, None) is None:
                raise NotFound(f"there is no export {name}")
            leaving = [
                (client, thread)
                for client, (session, thread) in self._clients.items()
                if session.export is not None and session.export.name == name
            ]
        _part_with(leaving)

    def stop(self) -> None:
        """Part with every client and remove the socket; twice is no error."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            leaving = [(client, thread) for client, (_session, thread) in self._clients.items()]
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(_PATIENCE_S)
        self._listener.close()
        _part_with(leaving)
        self.path.unlink(missing_ok=True)
        self._ledger.done(self._entry)

    def _listen(self) -> None:
        mask = os.umask(0o177)
        try:
            self._listener.bind(str(self.path))
        finally:
            os.umask(mask)
        self._entry = self._ledger.note(self._entry, inode=os.lstat(self.path).st_ino)
        self._listener.listen()

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError as error:
                if self._ended.wait(0 if error.errno == errno.ECONNABORTED else _BREATH_S):
                    return
                LOG.warning("no client of %s is taken: %s", self.path, error)
                continue
            session = Session(client, self._exports)
            thread = threading.Thread(target=self._serve, args=(client, session), name="nbd client", daemon=True)
            with self._lock:
                if self._ended.is_set():
                    client.close()
                    return
                self._clients[client] = (session, thread)
            thread.start()

    def _serve(self, client: socket.socket, session: Session) -> None:
        try:
            session.run()
        finally:
            with self._lock:
                del self._clients[client]
            client.close()


def _part_with(leaving: list[tuple[socket.socket, threading.Thread]]) -> None:
    for client, _thread in leaving:
        try:
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # it has gone by itself
    for _client, thread in leaving:
        thread.join(_PATIENCE_S)
