"""The fixed IPs of a port: which subnets it gets addresses from, and which it keeps when it changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nova_fakes.api.network.addresses import eui64, is_automatic
from nova_fakes.api.network.refusals import bad_request, conflict, invalid_input
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record

__all__ = ["FixedIp", "FixedIps"]

FixedIp = dict[str, str]
"""{"subnet_id": …, "ip_address": …}"""

_ROUTER_OWNERS = frozenset({"network:router_interface", "network:router_gateway"})


class FixedIps:
    """Address allocation as Neutron does it (`neutron/db/ipam_pluggable_backend.py`).

    Asked for nothing in particular, a port gets one address of the first IPv4 subnet that has one left, one of the
    first such IPv6 subnet without address autoconfiguration, and the autoconfigured address of every subnet that has
    it.

    Args:
        state: the service's tables and pools.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def allocate(
        self,
        network_id: str,
        mac: str,
        owner: str,
        wanted: Sequence[FixedIp] | None,
        current: Sequence[FixedIp] = (),
    ) -> list[FixedIp]:
        """Return the addresses of a port; those that are not in `current` have been taken from their pools.

        Addresses of `current` that are not in the result are still taken: the caller releases them once all else is
        done.

        Args:
            network_id: the port's network.
            mac: the port's MAC address.
            owner: the port's device_owner; routers get no autoconfigured addresses.
            wanted: checked "fixed_ips" of the request; None to choose.
            current: what the port has.

        Raises:
            ApiError: 400 for addresses that do not fit, 409 for taken ones or none left; nothing was taken.
        """
        subnets = self._state.subnets.find("network_id", network_id)
        automatic = [subnet for subnet in subnets if is_automatic(subnet)] if owner not in _ROUTER_OWNERS else []
        kept = list(current)
        fresh: list[FixedIp] = []
        result: list[FixedIp] = []

        def keep_or_reserve(subnet: Record, address: str) -> None:
            entry = {"subnet_id": subnet["id"], "ip_address": address}
            if entry in kept:
                kept.remove(entry)
            else:
                self._state.pools[subnet["id"]].reserve(address)
                fresh.append(entry)
            result.append(entry)

        def keep_or_take(subnet: Record) -> bool:
            for entry in kept:
                if entry["subnet_id"] == subnet["id"]:
                    kept.remove(entry)
                    result.append(entry)
                    return True
            address = self._state.pools[subnet["id"]].take()
            if address is None:
                return False
            entry = {"subnet_id": subnet["id"], "ip_address": address}
            fresh.append(entry)
            result.append(entry)
            return True

        try:
            if wanted is None:
                stateful = [subnet for subnet in subnets if not is_automatic(subnet)]
                for version in (4, 6):
                    family = [subnet for subnet in stateful if subnet["ip_version"] == version]
                    if family and not any(keep_or_take(subnet) for subnet in family):
                        raise self._exhausted(network_id)
            else:
                chosen = [(self._subnet_of(network_id, subnets, entry), entry.get("ip_address")) for entry in wanted]
                for subnet, address in chosen:
                    if subnet in automatic:
                        self._check_automatic(subnet, mac, address)
                    elif address is not None:
                        keep_or_reserve(subnet, address)
                for subnet, address in chosen:
                    if subnet not in automatic and address is None and not keep_or_take(subnet):
                        raise self._exhausted(network_id)
            for subnet in automatic:
                keep_or_reserve(subnet, eui64(subnet["cidr"], mac))
        except Exception:
            self.release(fresh)
            raise
        return result

    def release(self, entries: Iterable[FixedIp]) -> None:
        """Give addresses back to their pools."""
        for entry in entries:
            pool = self._state.pools.get(entry["subnet_id"])
            if pool is not None:
                pool.release(entry["ip_address"])

    def is_automatic(self, entry: FixedIp) -> bool:
        """Whether an address is one that the port formed itself."""
        return is_automatic(self._state.subnets[entry["subnet_id"]])

    def _subnet_of(self, network_id: str, subnets: Sequence[Record], entry: FixedIp) -> Record:
        subnet_id, address = entry.get("subnet_id"), entry.get("ip_address")
        if subnet_id is None:
            for subnet in subnets:
                if address is not None and address in self._state.pools[subnet["id"]]:
                    return subnet
            raise bad_request(
                f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
                "InvalidIpForNetwork",
            )
        for subnet in subnets:
            if subnet["id"] == subnet_id:
                if address is not None and address not in self._state.pools[subnet_id]:
                    raise bad_request(
                        f"IP address {address} is not a valid IP for the specified subnet.", "InvalidIpForSubnet"
                    )
                return subnet
        raise invalid_input(
            f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet {subnet_id}"
        )

    @staticmethod
    def _check_automatic(subnet: Record, mac: str, address: str | None) -> None:
        if address is not None and address != eui64(subnet["cidr"], mac):
            raise bad_request(
                f"IPv6 address {address} cannot be directly assigned to a port on subnet {subnet['id']} as the "
                f"subnet is configured for automatic addresses",
                "AllocationOnAutoAddressSubnet",
            )

    @staticmethod
    def _exhausted(network_id: str) -> Exception:
        return conflict("IpAddressGenerationFailure", f"No more IP addresses available on network {network_id}.")
