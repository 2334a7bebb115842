"""Steps of a plan that concern interfaces which are there: their MTU, and where they get their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_fakes.virt.vif.interfaces import Interface

__all__ = ["AskForLeases", "BringNamespace", "HeedRouters", "MtuChange", "SetMtu"]


@dataclass(frozen=True, slots=True)
class MtuChange:
    """A VIF and its MTU, as it is and as it shall be, bytes."""

    vif_id: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Give interfaces another MTU, on the host's side and inside the instance, while they are in use."""

    instance: str
    changes: tuple[MtuChange, ...]

    def reverse(self) -> SetMtu:
        """Return the step that makes it undone."""
        back = tuple(MtuChange(one.vif_id, one.after, one.before) for one in self.changes)
        return SetMtu(self.instance, back)


@dataclass(frozen=True, slots=True)
class HeedRouters:
    """Have each interface heed router advertisements, which give it IPv6 addresses and routes (RFC 4861, RFC 4862)."""

    instance: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class AskForLeases:
    """Start DHCP clients for each interface; they go on by themselves, and the instance has its addresses when it has
    them.
    """

    instance: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class BringNamespace:
    """Take an instance's namespace in from another fabric of this machine, without the interfaces that it had there.

    Processes, sockets and connections inside stay. Where a later step fails, the other fabric has to plug it again.
    """

    instance: str
    host: str
    source: str
    interfaces: tuple[Interface, ...]
