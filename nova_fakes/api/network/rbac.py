"""Policies that share a network with one project, or with all."""

from __future__ import annotations

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import bad_request, conflict, forbidden, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.table import Record, Table

__all__ = ["RbacPolicies"]


class RbacPolicies(Collection):
    """Who else may use which network."""

    kind = "RbacPolicy"
    schema = Schema(
        "rbac_policy",
        {
            "id": Attribute(post=False, put=False),
            "object_type": Attribute(values.one_of(("network",)), default=REQUIRED, put=False),
            "object_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "action": Attribute(values.one_of(("access_as_shared", "access_as_external")), default=REQUIRED, put=False),
            "target_tenant": Attribute(values.string(), default=REQUIRED),
        },
        standard=False,
    )

    @property
    def plural(self) -> str:
        """Plural name, which wraps lists."""
        return "rbac_policies"

    @property
    def table(self) -> Table:
        """The policies."""
        return self.state.rbac_policys

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        network = self.state.networks.get(values["object_id"])
        if network is None or not caller.owns(network["project_id"]):
            raise not_found("NetworkNotFound", f"Network {values['object_id']} could not be found.")
        if values["action"] == "access_as_external":
            raise bad_request(
                "Invalid input for action. Reason: a network leads outside for all projects here, or for none."
            )
        self._guard(caller, values["target_tenant"])
        same = ("object_id", "action", "target_tenant")
        if any(all(one[name] == values[name] for name in same) for one in self.table):
            raise conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
        made = self._record(values)
        for name in ("tags", "created_at"):
            del made[name]
        return self.table.insert(made)

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        target = str(values.get("target_tenant", old["target_tenant"]))
        if target != old["target_tenant"]:
            self._guard(caller, target)
            self._check_unused(old)
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        self._check_unused(record)
        self.table.delete(record["id"])

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a policy as the API shows it."""
        return {name: value for name, value in record.items() if name not in ("revision_number", "updated_at")}

    @staticmethod
    def _guard(caller: Caller, target: str) -> None:
        if target == "*" and not caller.is_privileged:
            raise forbidden("create_rbac_policy:target_tenant")

    def _check_unused(self, policy: Record) -> None:
        """Refuse to take a network from a project that has ports there; ApiError 409."""
        network = self.state.networks.get(policy["object_id"])
        if network is None or network["shared"]:
            return
        users = {port["project_id"] for port in self.state.ports.find("network_id", network["id"])}
        users -= {network["project_id"], ""}
        if users if policy["target_tenant"] == "*" else policy["target_tenant"] in users:
            raise conflict(
                "RbacPolicyInUse",
                f"RBAC policy on object {policy['object_id']} cannot be removed because other objects depend on it.",
            )
