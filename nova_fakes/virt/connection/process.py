"""The connection of a process, whole."""

from __future__ import annotations

from typing import Any, ClassVar

from nova_fakes.virt.connection.lifecycle import LifecycleMethods
from nova_fakes.virt.connection.moves import MoveMethods
from nova_fakes.virt.connection.sights import SightMethods

__all__ = ["FakeConnection", "get_connection"]


def get_connection(_: Any) -> FakeConnection:
    """Return the process's connection, whatever it is asked for."""
    return FakeConnection.instance()


class FakeConnection(LifecycleMethods, MoveMethods, SightMethods):
    """One host's guests by their names.

    :param hypervisor: the host, in a fleet; None: one of its own, until :meth:`init_host` named ``localhost``
    """

    _instance: ClassVar[FakeConnection | None] = None

    @classmethod
    def instance(cls) -> FakeConnection:
        """Return the one connection of this process."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    @classmethod
    def reset(cls) -> None:
        """Forget the process's connection and its guests: the next test begins with another."""
        cls._instance = None
