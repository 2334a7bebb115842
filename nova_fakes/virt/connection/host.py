"""The host as nova asked for it in 2011: its identity, its resources, the filters of its guests' traffic."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_DNS, uuid5
from xml.etree import ElementTree

from nova import exception

from nova_fakes import exceptions
from nova_fakes.virt.connection.base import Connected, with_novas_exceptions
from nova_fakes.virt.connection.instances import name_of
from nova_fakes.virt.hypervisor import Hypervisor

__all__ = ["HostMethods"]


class HostMethods(Connected):
    """What concerns the host."""

    @with_novas_exceptions
    def init_host(self, host: str) -> None:
        """Become that host's connection; its guests are found again.

        :raises InvalidInput: guests of another name's host would be lost
        """
        if host in self._fleet.hosts:
            self._hypervisor = self._fleet.hypervisor(host)
        elif self._hypervisor.guests:
            raise exceptions.InvalidInput(
                "host", host, f"{self._hypervisor.name} has guests: name the host before them"
            )
        else:
            self._hypervisor = self._fleet.add(Hypervisor(host, self._hypervisor.inventory))

    def get_host_ip_addr(self) -> str:
        """Return the host's address."""
        return "127.0.0.1"

    @with_novas_exceptions
    def update_available_resource(self, ctxt: Any, host: str) -> dict[str, Any]:
        """Return what a host of the fleet has and what of it is used.

        :raises HostNotFound: there is no such host
        """
        found = self._fleet.hypervisor(host)
        found.check("get_available_resource")
        inventory, used = found.inventory, found.capacity.used
        return {
            "vcpus": inventory.vcpus + inventory.pcpus,
            "memory_mb": inventory.memory_mb,
            "local_gb": inventory.disk_gb,
            "vcpus_used": used.vcpus + used.pcpus,
            "memory_mb_used": used.memory_mb,
            "local_gb_used": used.disk_gb,
            "hypervisor_type": "fake",
            "hypervisor_version": inventory.hypervisor_version,
            "cpu_info": {
                "arch": inventory.architecture,
                "model": inventory.cpu_model,
                "features": list(inventory.cpu_features),
                "topology": inventory.topology(),
            },
        }

    def compare_cpu(self, xml: str) -> None:
        """Accept the description of a processor whose guests could run here, in libvirt's words.

        :param xml: ``<cpu><arch>x86_64</arch><feature name="avx"/></cpu>``
        :raises InvalidCPUInfo: it is of another architecture, or has features that this host lacks
        """
        try:
            root = ElementTree.fromstring(xml)
        except ElementTree.ParseError as error:
            raise exception.InvalidCPUInfo(reason=f"{xml!r} is no XML: {error}") from error
        inventory = self._hypervisor.inventory
        architecture = root.findtext(".//arch")
        if architecture not in (None, inventory.architecture):
            raise exception.InvalidCPUInfo(reason=f"it is {architecture}, the host {inventory.architecture}")
        wanted = {feature.get("name", "") for feature in root.iter("feature")}
        if missing := sorted(wanted - set(inventory.cpu_features)):
            raise exception.InvalidCPUInfo(reason=f"the host lacks {', '.join(missing)}")

    def get_console_pool_info(self, console_type: str) -> dict[str, str]:
        """Return how a console proxy reaches this host's consoles of a type."""
        name = self._hypervisor.name
        password = uuid5(NAMESPACE_DNS, f"{self._hypervisor.node_uuid}.{console_type}").hex
        return {"address": self.get_host_ip_addr(), "username": f"{name}-{console_type}", "password": password}

    @with_novas_exceptions
    def ensure_filtering_rules_for_instance(self, instance_ref: Any) -> None:
        """Filter a guest's traffic from now on; the guest may be about to come."""
        self._hypervisor.check("filter")
        self._filtered.add(name_of(instance_ref))

    @with_novas_exceptions
    def unfilter_instance(self, instance_ref: Any) -> None:
        """Let a guest's traffic pass; one that is not filtered is no error."""
        self._hypervisor.check("unfilter")
        self._filtered.discard(name_of(instance_ref))

    @property
    def filtered(self) -> frozenset[str]:
        """Names of the guests whose traffic is filtered."""
        return frozenset(self._filtered)

    @with_novas_exceptions
    def refresh_security_group_rules(self, security_group_id: Any) -> bool:
        """Note in the journal that a group's rules have changed; tell that its guests here follow them."""
        return self._refresh("security_group_rules", security_group_id)

    @with_novas_exceptions
    def refresh_security_group_members(self, security_group_id: Any) -> bool:
        """Note in the journal that a group has other members; tell that the guests here follow."""
        return self._refresh("security_group_members", security_group_id)

    def _refresh(self, what: str, group: Any) -> bool:
        self._hypervisor.check(what)
        self._record(None, what, security_group_id=group, instances=sorted(self._filtered))
        return True
