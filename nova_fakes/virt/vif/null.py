"""The realizer that plans everything and makes nothing.

It checks what the bridge realizer would check, and it keeps the plans, so that the path from nova's network_info to the
operations on a host is tested without privileges.
"""

from collections.abc import Mapping, Sequence
from threading import Lock
from types import MappingProxyType

from nova_fakes.virt.nic import leave_behind
from nova_fakes.virt.vif import plan
from nova_fakes.virt.vif.acceptance import VIF_TYPES, VNIC_TYPES, Acceptance
from nova_fakes.virt.vif.base import VIF, InterfaceCounters, Realizer, RealizerDescription

__all__ = ["NullRealizer"]


class NullRealizer:
    """Remembers which VIFs are plugged on one host, and the operations that would have made them.

    :param host: the name of the hypervisor, for the plans
    :param fabric: accepted because every realizer is made with the same options; there is nothing to share
    :param addressing: ``dhcp`` plans what asks the network for addresses, for VIFs that say nothing of it
    :param allow_substitute: accepted likewise; nothing has to be substituted
    :raises InvalidInput: the addressing is none
    """

    name = "null"

    def __init__(
        self,
        host: str = "localhost",
        fabric: object = None,
        *,
        addressing: str = "static",
        allow_substitute: bool | str = False,
    ) -> None:
        self._acceptance = Acceptance(self.name, VIF_TYPES, VNIC_TYPES, host_addressing=addressing)
        self.host = host
        self.fabric = fabric
        self._plans: dict[str, dict[str, plan.Interface]] = {}
        self._up: dict[str, bool] = {}
        self._lock = Lock()

    def describe(self) -> RealizerDescription:
        """Tell that everything is accepted and nothing is made."""
        return RealizerDescription(
            name=self.name,
            vif_types=self._acceptance.vif_types,
            vnic_types=self._acceptance.vnic_types,
            needs_namespaces=False,
            real_counters=False,
            hot_plug=True,
            live_migration=True,
            summary="plans the operations and applies none: no interfaces, no privileges",
        )

    def plug(self, instance: str, vifs: Sequence[VIF], *, up: bool = True) -> None:
        """Plan these VIFs.

        :raises InvalidInput: the VIFs clash with each other or with what the instance has
        :raises VIFTypeRefused: one is bound to no host, or its type is none of nova's
        """
        vifs = self._acceptance.accept(vifs)
        with self._lock:
            have = self._plans.get(instance, {})
            added = plan.interfaces(vifs, {vif_id: interface.seat for vif_id, interface in have.items()})
            again = [plan.interface(vif, have[vif.id].ordinal) for vif in vifs if vif.id in have]
            self._plans[instance] = {**have, **{interface.vif.id: interface for interface in (*again, *added)}}
            self._up.setdefault(instance, up)

    def unplug(self, instance: str, vifs: Sequence[VIF] | None = None) -> None:
        """Forget these VIFs, or all of the instance where None."""
        with self._lock:
            if vifs is None:
                self._plans.pop(instance, None)
                self._up.pop(instance, None)
                return
            have = self._plans.get(instance, {})
            for vif in vifs:
                have.pop(vif.id, None)

    def set_link(self, instance: str, up: bool) -> None:
        """Remember whether the instance's interfaces would have link."""
        with self._lock:
            if instance in self._plans:
                self._up[instance] = up

    def counters(self, instance: str) -> Mapping[str, InterfaceCounters]:
        """Return nothing: there are no real interfaces."""
        return MappingProxyType({})

    def prepare_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Check that the VIFs could be planned here."""
        plan.interfaces(self._acceptance.accept(vifs), {})

    def migrate(self, instance: str, vifs: Sequence[VIF], source: Realizer) -> None:
        """Take the instance's plan over from `source`, where that is a realizer of this kind too."""
        if source is self:
            return
        up = True
        if isinstance(source, NullRealizer):
            with source._lock:
                up = source._up.get(instance, True)
        self.plug(instance, vifs, up=up)
        leave_behind(source, instance)

    def abort_migration(self, instance: str, vifs: Sequence[VIF]) -> None:
        """Do as the real thing does where nothing was prepared: leave everything as it is."""

    def namespace(self, instance: str) -> str | None:
        """Return None: there is no namespace."""
        return None

    def close(self) -> None:
        """Forget every plan."""
        with self._lock:
            self._plans.clear()
            self._up.clear()

    def operations(self, instance: str) -> tuple[plan.Operation, ...]:
        """Return the operations that would make what the instance has now, in order; empty where it has nothing."""
        with self._lock:
            interfaces = tuple(self._plans.get(instance, {}).values())
            if instance not in self._plans:
                return ()
            return plan.plug_operations(instance, self.host, interfaces, up=self._up[instance], new=True)
