"""Where a fabric's thread is, and what it has open inside instances.

Entering a namespace moves the thread. It is brought home when there is nothing more to do and not after each step: who
goes from instance to instance need not pass by home.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from nova_fakes.exceptions import RealizerError
from nova_fakes.virt.vif import namespaces, netlink
from nova_fakes.virt.vif.announcement import Announcer
from nova_fakes.virt.vif.plan import Interface

__all__ = ["Inside", "Stays"]


@dataclass(slots=True)
class Inside:
    """The way into an instance: its namespace's descriptor, and a netlink socket that works there from anywhere."""

    fd: int
    socket: netlink.Socket

    def close(self) -> None:
        """Close both."""
        self.socket.close()
        os.close(self.fd)


class Stays:
    """What is open inside instances; made in the thread that enters them, where that is at home."""

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._insides: dict[str, Inside] = {}
        self._announcers: dict[str, list[Announcer]] = {}
        #: The instance in which the thread is, empty for a place that has no name any more, None at home.
        self._place: str | None = None

    def make(self, uuid: str, path: str) -> int:
        """Make the instance's namespace, and return its inode.

        :raises RealizerError: it cannot be made; nothing of it is left
        """
        self._place = ""
        namespaces.make(path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._insides[uuid] = Inside(fd, netlink.Socket())
            except BaseException:
                os.close(fd)
                raise
            self._place = uuid
            return os.fstat(fd).st_ino
        except BaseException:
            self.let_go(uuid)
            namespaces.remove(path)
            raise

    def reach(self, uuid: str, path: str) -> Inside:
        """Return the way into an instance, which may take the thread there.

        :raises RealizerError: there is no such namespace
        """
        inside = self._insides.get(uuid)
        if inside is None:
            fd = namespaces.open_namespace(path)
            try:
                namespaces.enter(fd)
                self._place = uuid
                inside = self._insides[uuid] = Inside(fd, netlink.Socket())
            except BaseException:
                os.close(fd)
                raise
        return inside

    def enter(self, uuid: str, path: str) -> None:
        """Take the thread into an instance.

        :raises RealizerError: there is no such namespace
        """
        inside = self.reach(uuid, path)
        if self._place != uuid:
            namespaces.enter(inside.fd)
            self._place = uuid

    def ready_to_announce(self, uuid: str, interfaces: Iterable[Interface]) -> None:
        """Open what the announcements of the instance in which the thread is need.

        :raises RealizerError: an interface cannot send
        """
        announcers = self._announcers.setdefault(uuid, [])
        try:
            for interface in interfaces:
                announcers.append(Announcer(interface))
        except OSError as error:
            raise RealizerError(f"instance {uuid} cannot announce its new place: {error}") from error

    def announce(self, uuid: str) -> None:
        """Send what was made ready.

        :raises OSError: an interface is gone
        """
        for announcer in self._announcers.get(uuid, ()):
            announcer.send()

    def let_go(self, uuid: str) -> None:
        """Close what is open for an instance."""
        for announcer in self._announcers.pop(uuid, ()):
            announcer.close()
        inside = self._insides.pop(uuid, None)
        if inside is not None:
            inside.close()
        if self._place == uuid:
            self._place = ""

    def leave(self) -> None:
        """Close what is open for any instance, and go home."""
        for uuid in [*self._insides, *self._announcers]:
            self.let_go(uuid)
        if self._place is not None:
            namespaces.enter(self._home)
            self._place = None

    def close(self) -> None:
        """Leave, and forget the way home."""
        self.leave()
        os.close(self._home)
