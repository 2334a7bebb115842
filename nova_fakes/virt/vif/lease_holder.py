"""A DHCP client of one interface with its sockets, whichever its protocol."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["LeaseHolder"]

#: What a client says.
Said = TypeVar("Said")
Said_co = TypeVar("Said_co", covariant=True)


class _Client(Protocol[Said_co]):
    """A client without sockets."""

    due: float
    lease: Any

    def wake(self, now: float) -> Sequence[Said_co]:
        """Do what is due."""

    def reboot(self, now: float) -> None:
        """Have what it holds confirmed."""

    def release(self) -> Said_co | None:
        """Give the lease back."""


class LeaseHolder(ABC, Generic[Said]):
    """An interface that holds a lease or looks for one."""

    _client: _Client[Said]

    @property
    def due(self) -> float:
        """When `wake` is to be called, seconds of the clock."""
        return self._client.due

    @property
    def lease(self) -> Any:
        """What it holds, None where it holds nothing."""
        return self._client.lease

    def wake(self, now: float) -> None:
        """Say what is due."""
        self._send(self._client.wake(now))

    def reboot(self, now: float) -> None:
        """Have the address confirmed."""
        self._client.reboot(now)

    def release(self) -> None:
        """Give the lease back, where there is one."""
        farewell = self._client.release()
        if farewell is not None:
            self._send([farewell])

    @abstractmethod
    def descriptors(self) -> Sequence[int]:
        """Return what becomes readable when something has come."""

    @abstractmethod
    def receive(self, now: float) -> None:
        """Let the client hear what has come, and answer."""

    @abstractmethod
    def apply(self) -> None:
        """Give the interface what the client holds now, and take what it holds no more.

        :raises KernelRefused: the kernel takes some of it not; the rest is as it should be
        """

    @abstractmethod
    def close(self) -> None:
        """Close the sockets."""

    @abstractmethod
    def _send(self, messages: Iterable[Said]) -> None:
        """Send what the client wants to say; what the interface does not take now is said again later."""
