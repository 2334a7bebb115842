"""Subnet pools: ranges out of which subnets are cut, so that none of them overlap."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.address_scopes import AddressScopes
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request, conflict, invalid_input
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.shareable import Shareable
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table

__all__ = ["SubnetPools"]

Network = IPv4Network | IPv6Network
_LENGTHS: Final = {4: (8, 32), 6: (64, 128)}
_LENGTH: Final = values.integer(0, 128)


def _prefixes(value: Any) -> list[str]:
    """Accept a list of subnets that is not empty; those that touch are joined."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"'{value}' is not a list of subnets, or is empty")
    nets = [ip_network(values.cidr(item)) for item in value]
    if len({net.version for net in nets}) > 1:
        raise ValueError("Cannot mix IPv4 and IPv6 prefixes in a subnet pool")
    return [str(net) for net in collapse_addresses(nets)]  # type: ignore[type-var]


class SubnetPools(Shareable):
    """Subnet pools, and the subnets that are cut out of them."""

    kind = "SubnetPool"
    object_type = "subnetpool"
    schema = Schema(
        "subnetpool",
        {
            "name": Attribute(values.string(), default=REQUIRED),
            "prefixes": Attribute(_prefixes, default=REQUIRED, filters=False),
            "min_prefixlen": Attribute(_LENGTH),
            "max_prefixlen": Attribute(_LENGTH),
            "default_prefixlen": Attribute(_LENGTH),
            "default_quota": Attribute(values.optional(values.integer(0, 2**31 - 1)), default=None),
            "shared": Attribute(values.boolean, default=False, guarded=True, put=False),
            "is_default": Attribute(values.boolean, default=False, guarded=True),
            "address_scope_id": Attribute(values.optional(values.uuid_string), default=None),
            "ip_version": Attribute(post=False, put=False),
        },
    )

    def __init__(self, state: State, scopes: AddressScopes) -> None:
        super().__init__(state)
        self._scopes = scopes

    @property
    def table(self) -> Table:
        """The subnet pools."""
        return self.state.subnetpools

    def users(self, record: Record) -> set[str]:
        """Return the projects that have subnets of a pool."""
        return {one["project_id"] for one in self.state.subnets if one["subnetpool_id"] == record["id"]}

    def check_target(self, record: Record, action: str, target: str) -> None:
        """Refuse to share a pool with projects that its address scope is not shared with; ApiError 400."""
        scope_id = record["address_scope_id"]
        if scope_id is not None and self._scopes.targets(scope_id, action).isdisjoint(("*", target)):
            raise invalid_input(
                f"Failed to create RBAC policy on object {record['id']} because target project doesn't have access to "
                f"associated address scope"
            )

    def default(self, version: int) -> Record | None:
        """Return the pool for those who name none, if there is one."""
        return next((one for one in self.table if one["is_default"] and one["ip_version"] == version), None)

    def cut(self, pool: Record, project_id: str, length: int | None, wanted: str | None) -> str:
        """Return a subnet of a pool that no other subnet overlaps.

        Args:
            pool: which.
            project_id: whose quota counts.
            length: of its prefix; the pool's default if None.
            wanted: the only subnet that will do, if one is.

        Raises:
            ApiError: 400, the prefix is too long or too short; 409, there is no such room, or the quota is used up.
        """
        size = ip_network(wanted).prefixlen if wanted is not None else length
        size = pool["default_prefixlen"] if size is None else size
        if size < pool["min_prefixlen"]:
            raise bad_request(
                f"Unable to allocate subnet with prefix length {size}, minimum allowed prefix is "
                f"{pool['min_prefixlen']}.",
                "MinPrefixSubnetAllocationError",
            )
        if size > pool["max_prefixlen"]:
            raise bad_request(
                f"Unable to allocate subnet with prefix length {size}, maximum allowed prefix is "
                f"{pool['max_prefixlen']}.",
                "MaxPrefixSubnetAllocationError",
            )
        taken = [ip_network(one["cidr"]) for one in self.state.subnets if one["subnetpool_id"] == pool["id"]]
        self._check_quota(pool, project_id, size)
        ranges = [ip_network(prefix) for prefix in pool["prefixes"]]
        if wanted is not None:
            found: Network | None = ip_network(wanted)
            inside = any(_within(ip_network(wanted), one) for one in ranges)
            if not inside or any(one.overlaps(ip_network(wanted)) for one in taken):
                found = None
        else:
            found = next(_free(ranges, taken, size), None)
        if found is None:
            what = (
                "Cannot allocate requested subnet from the available set of prefixes"
                if wanted
                else (f"Insufficient prefix space to allocate subnet size /{size}")
            )
            raise conflict("SubnetAllocationError", f"Failed to allocate subnet: {what}.")
        return str(found)

    def _check_quota(self, pool: Record, project_id: str, size: int) -> None:
        """Count addresses of IPv4, and subnets of 64 bits of IPv6, as Neutron does; ApiError 409."""
        if pool["default_quota"] is None:
            return
        whole = 32 if pool["ip_version"] == 4 else 64
        used = sum(
            2 ** max(0, whole - ip_network(one["cidr"]).prefixlen)
            for one in self.state.subnets
            if one["subnetpool_id"] == pool["id"] and one["project_id"] == project_id
        )
        if used + 2 ** max(0, whole - size) > pool["default_quota"]:
            raise conflict("SubnetPoolQuotaExceeded", "Per-tenant subnet pool prefix quota exceeded.")

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        version = ip_network(values["prefixes"][0]).version
        shortest, longest = _LENGTHS[version]
        values.setdefault("min_prefixlen", shortest)
        values.setdefault("max_prefixlen", longest)
        values.setdefault("default_prefixlen", values["min_prefixlen"])
        self._check(values, version)
        if values["address_scope_id"] is not None:
            self._scopes.admit(caller, values["address_scope_id"], None, values["prefixes"])
        if values["is_default"]:
            self._check_default(version)
        return self._insert(self._record(values, ip_version=version))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        new = {**old, **values}
        self._check(new, old["ip_version"])
        if values.get("is_default") and not old["is_default"]:
            self._check_default(old["ip_version"])
        if "prefixes" in values:
            ranges = [ip_network(prefix) for prefix in values["prefixes"]]
            if ranges[0].version != old["ip_version"]:
                raise bad_request("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
            if not all(any(_within(ip_network(prefix), one) for one in ranges) for prefix in old["prefixes"]):
                raise bad_request(
                    "Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.",
                    "IllegalSubnetPoolPrefixUpdate",
                )
        if new["address_scope_id"] is not None and {"address_scope_id", "prefixes"} & values.keys():
            self._scopes.admit(caller, new["address_scope_id"], old["id"], new["prefixes"])
        return self._change(old, values)

    def _delete(self, caller: Caller, record: Record) -> None:
        if any(one["subnetpool_id"] == record["id"] for one in self.state.subnets):
            raise bad_request(
                "Unable to delete subnet pool: Subnet pool has existing allocations.", "SubnetPoolDeleteError"
            )
        self._remove(record)

    @staticmethod
    def _check(pool: Record, version: int) -> None:
        most = 32 if version == 4 else 128
        low, high, default = pool["min_prefixlen"], pool["max_prefixlen"], pool["default_prefixlen"]
        if high > most:
            raise bad_request(
                f"Illegal prefix bounds: max_prefixlen={high}, ip_version={version}.", "IllegalSubnetPoolPrefixBounds"
            )
        if not low <= default <= high:
            raise bad_request(
                f"Illegal prefix bounds: default_prefixlen={default}, min_prefixlen={low}, max_prefixlen={high}.",
                "IllegalSubnetPoolPrefixBounds",
            )

    def _check_default(self, version: int) -> None:
        if self.default(version) is not None:
            raise invalid_input(f"A default subnetpool for IPv{version} has already been set")


def _within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _free(ranges: list[Network], taken: list[Network], size: int) -> Iterator[Network]:
    """Yield subnets of that size which nothing overlaps, out of the smallest range first."""
    for one in sorted(ranges, key=lambda net: (-net.prefixlen, int(net.network_address))):
        if one.prefixlen > size:
            continue
        step = 1 << (one.max_prefixlen - size)
        address, end = int(one.network_address), int(one.broadcast_address)
        busy = sorted((int(net.network_address), int(net.broadcast_address)) for net in taken if net.overlaps(one))
        for first, last in busy:
            while address + step <= first:
                yield IPv4Network((address, size)) if one.version == 4 else IPv6Network((address, size))
                address += step
            if last >= address:
                address = -(-(last + 1) // step) * step
        while address + step - 1 <= end:
            yield IPv4Network((address, size)) if one.version == 4 else IPv6Network((address, size))
            address += step
