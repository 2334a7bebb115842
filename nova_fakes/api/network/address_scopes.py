"""Address scopes: within one, the prefixes of subnet pools are unlike each other."""

from __future__ import annotations

from ipaddress import ip_network

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import bad_request, conflict
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.shareable import Shareable
from nova_fakes.api.network.table import Record, Table

__all__ = ["AddressScopes"]


class AddressScopes(Shareable):
    """Address scopes, and what subnet pools may be in them."""

    kind = "AddressScope"
    object_type = "address_scope"
    schema = Schema(
        "address_scope",
        {
            "id": Attribute(post=False, put=False),
            "name": Attribute(values.string(), default=""),
            "ip_version": Attribute(values.one_of((4, 6)), default=REQUIRED, put=False),
            "shared": Attribute(values.boolean, default=False, guarded=True),
        },
        standard=False,
    )

    @property
    def table(self) -> Table:
        """The address scopes."""
        return self.state.address_scopes

    def users(self, record: Record) -> set[str]:
        """Return the projects that have subnet pools in a scope."""
        return {one["project_id"] for one in self.state.subnetpools if one["address_scope_id"] == record["id"]}

    def admit(self, caller: Caller, scope_id: str, pool_id: str | None, prefixes: list[str]) -> None:
        """Refuse to put a subnet pool into a scope where it does not fit.

        Args:
            caller: who wants it there.
            scope_id: the scope.
            pool_id: the pool; None for one that is being made.
            prefixes: what it has, or is to have.

        Raises:
            ApiError: 404, he sees no such scope; 400, it is of the other IP version; 409, another pool there
                has such a prefix.
        """
        scope = self.find(caller, scope_id)
        nets = [ip_network(prefix) for prefix in prefixes]
        if nets[0].version != scope["ip_version"]:
            raise bad_request(
                f"Illegal subnetpool association: subnetpool {pool_id} cannot associate with address scope {scope_id} "
                f"because subnetpool ip_version is not {scope['ip_version']}.",
                "IllegalSubnetPoolIpVersionAssociationToAddressScope",
            )
        others = [
            ip_network(prefix)
            for one in self.state.subnetpools
            if one["address_scope_id"] == scope_id and one["id"] != pool_id
            for prefix in one["prefixes"]
        ]
        if any(net.overlaps(other) for net in nets for other in others):
            raise conflict(
                "AddressScopePrefixConflict",
                "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.",
            )

    def _create(self, caller: Caller, values: Record) -> Record:
        return self._insert(self._record(values))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if old["shared"] and values.get("shared") is False:
            raise bad_request(
                f"Unable to update address scope {old['id']} : Shared address scope can't be unshared.",
                "AddressScopeUpdateError",
            )
        return self._change(old, values)

    def _delete(self, caller: Caller, record: Record) -> None:
        if any(one["address_scope_id"] == record["id"] for one in self.state.subnetpools):
            raise conflict(
                "AddressScopeInUse",
                f"Unable to complete operation on address scope {record['id']}. There are one or more subnet pools in "
                f"use on the address scope.",
            )
        self._remove(record)
