"""The realizer that has another process make the interfaces: the privileged agent behind a unix socket.

For a nova-compute without privileges, or in a container whose mounts the host does not see: namespaces that it made
itself would be dead files there. What the agent makes stays when nova-compute ends.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nova_fakes.agent import protocol
from nova_fakes.agent.client import DEFAULT_DEADLINE_S, DEFAULT_SOCKET, Client
from nova_fakes.exceptions import InvalidInput, NovaFakesError
from nova_fakes.virt.nic import leave_behind
from nova_fakes.virt.vif import base
from nova_fakes.virt.vif.acceptance import Acceptance, flag
from nova_fakes.virt.vif.base import VIF, InterfaceCounters, Realizer, RealizerDescription

__all__ = ["RemoteRealizer"]


class RemoteRealizer:
    """Hands the VIFs of one host to an agent, whose realizer does the rest.

    Every method raises, beside what the agent's realizer raises, `AgentError`: the agent cannot be reached, refuses, or
    does not answer within the deadline.

    :param host: the name of the hypervisor; one agent may serve several
    :param fabric: accepted because every realizer is made with the same options; what is shared is at the agent
    :param socket: the agent's socket
    :param deadline_s: how long the agent may take for one call, seconds
    :param allow_substitute: ask for a plain port where a VIF is of a type that is no ordinary interface
    :param addressing: of VIFs that say nothing of it; None leaves that to the agent's realizer
    :raises InvalidInput: the deadline is none, or another option cannot be used
    """

    name = "remote"

    def __init__(
        self,
        host: str = "localhost",
        fabric: object = None,
        *,
        socket: str | os.PathLike[str] = DEFAULT_SOCKET,
        deadline_s: float | str = DEFAULT_DEADLINE_S,
        allow_substitute: bool | str = False,
        addressing: str | None = None,
    ) -> None:
        self._acceptance = None
        if flag(allow_substitute, "allow_substitute"):
            self._acceptance = Acceptance(self.name, allow_substitute=True, host_addressing=addressing)
        self._addressing = None if addressing is None else base.addressing(addressing, "addressing")
        self.host = host
        self.fabric = fabric
        self._client = Client(socket, deadline_s=_seconds(deadline_s))

    def describe(self) -> RealizerDescription:
        """Tell what the agent's realizer can do; nothing is needed on this side."""
        there: RealizerDescription = self._client.call(protocol.Describe(self.host))
        return RealizerDescription(
            name=self.name,
            vif_types=there.vif_types if self._acceptance is None else self._acceptance.vif_types,
            vnic_types=there.vnic_types if self._acceptance is None else self._acceptance.vnic_types,
            needs_namespaces=False,
            real_counters=there.real_counters,
            hot_plug=there.hot_plug,
            live_migration=there.live_migration,
            summary=f"by the agent at {self._client.path}: {there.summary}",
        )

    def plug(self, instance: str, vifs: Sequence[VIF], *, up: bool = True) -> None:
        """Make whatever of these VIFs is missing; all of them or none."""
        self._client.call(protocol.Plug(self.host, instance, self._told(vifs), up))

    def unplug(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove these VIFs, or all of them and the namespace where None; what is not there is no error."""
        self._remove(instance, vifs, moved=False)

    def depart(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Remove what `unplug` removes, of an instance that lives on elsewhere: its leases are not given back."""
        self._remove(instance, vifs, moved=True)

    def set_link(self, instance: str, up: bool) -> None:
        """Give the instance its link or take it."""
        self._client.call(protocol.SetLink(self.host, instance, up))

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Read the guest's interface counters by VIF id; empty where there are no real interfaces."""
        found: Mapping[str, InterfaceCounters] = self._client.call(protocol.Counters(self.host, instance))
        return found

    def prepare_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Have this host, the destination, prepared."""
        self._client.call(protocol.PrepareMigration(self.host, instance, self._told(vifs)))

    def migrate(self, instance: str, vifs: Sequence[VIF], source: Realizer) -> None:
        """Take the instance over: within one agent as its realizer does it, from another agent with its namespace where
        both are on one machine; else it is made anew here. Then it is removed there.

        :raises RealizerError: it failed; the instance is plugged again where it was
        """
        if isinstance(source, RemoteRealizer) and source._client.path == self._client.path:
            self._client.call(protocol.Migrate(self.host, instance, self._told(vifs), source.host))
            return
        if isinstance(source, RemoteRealizer):
            self._take_over(instance, vifs, source)
        else:
            self.plug(instance, vifs)
        leave_behind(source, instance)

    def abort_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Have what `prepare_migration` made removed, where nothing else uses it."""
        self._client.call(protocol.AbortMigration(self.host, instance, self._told(vifs)))

    def namespace(self, instance: str) -> str | None:
        """Return the path of the instance's network namespace as the agent sees it, None where there is none."""
        found: str | None = self._client.call(protocol.Namespace(self.host, instance))
        return found

    def execute(self, instance: str, argv: Sequence[str]) -> protocol.Execution:
        """Run a command in the instance's network namespace, as our own user; it ends by the deadline.

        :raises PeerRefused: the agent runs no commands
        :raises DeadlineExceeded: it did not end in time, and has been killed
        """
        done: protocol.Execution = self._client.call(protocol.Execute(self.host, instance, tuple(argv)))
        return done

    def _remove(self, instance: str, vifs: Sequence[VIF] | None, *, moved: bool) -> None:
        told = None if vifs is None else self._told(vifs)
        self._client.call(protocol.Unplug(self.host, instance, told, moved))

    def _take_over(self, instance: str, vifs: Sequence[VIF], source: "RemoteRealizer") -> None:
        there = os.path.abspath(source._client.path)
        try:
            self._client.call(protocol.TakeOver(self.host, instance, self._told(vifs), source.host, there))
        except NovaFakesError as error:
            try:
                # It may have lost its interfaces already; what is there still is plugged as it was.
                source.unplug(instance, vifs)
                source.plug(instance, vifs)
            except NovaFakesError as second:
                error.add_note(f"it could not be plugged again on {source.host}: {second}")
            raise

    def _told(self, vifs: Sequence[VIF]) -> tuple[VIF, ...]:
        """Return the VIFs as the agent is told of them."""
        if self._acceptance is not None:
            return tuple(self._acceptance.accept(vifs))
        if self._addressing is None:
            return tuple(vifs)
        return tuple(replace(vif, addressing=vif.addressing or self._addressing) for vif in vifs)

    def close(self) -> None:
        """Close the connections; what the agent made stays."""
        self._client.close()


def _seconds(value: float | str) -> float:
    """Read the deadline: options from nova.conf are text."""
    try:
        return float(value)
    except ValueError:
        raise InvalidInput("deadline_s", value, "give a number of seconds") from None
