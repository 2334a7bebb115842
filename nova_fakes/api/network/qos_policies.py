"""Policies of quality of service: rules for ports, networks and floating IPs. Records; no packet is delayed."""

from __future__ import annotations

from collections.abc import Iterator

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.refusals import conflict, forbidden, not_found, refuse
from nova_fakes.api.network.schema import Attribute, Schema
from nova_fakes.api.network.shareable import Shareable
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["QosPolicies", "manages"]

_USERS = {"ports": "port", "networks": "network", "floatingips": "floatingip"}


def manages(caller: Caller, project_id: str) -> bool:
    """Whether a caller may change the policies of a project: an administrator, or the project's manager."""
    return caller.is_privileged or ("manager" in caller.roles and caller.owns(project_id))


class QosPolicies(Shareable):
    """Policies, of which a project may have one that its new networks get by default."""

    kind = "QosPolicy"
    object_type = "qos_policy"
    schema = Schema(
        "policy",
        {
            "name": Attribute(values.string(), default=""),
            "shared": Attribute(values.boolean, default=False),
            "is_default": Attribute(values.boolean, default=False),
            "rules": Attribute(post=False, put=False, filters=False),
        },
    )

    @property
    def plural(self) -> str:
        """Plural name, which wraps lists."""
        return "policies"

    @property
    def path(self) -> str:
        """Path of the collection below the version's."""
        return "qos/policies"

    @property
    def table(self) -> Table:
        """The policies."""
        return self.state.qos_policies

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a policy with its rules."""
        rules = [dict(rule) for rule in self.state.qos_rules.find("qos_policy_id", record["id"])]
        return {**super().view(caller, record), "rules": rules}

    def users(self, record: Record) -> set[str]:
        """Return the projects with networks, ports or floating IPs that have a policy."""
        return {user["project_id"] for _, user in self._bound(record["id"])}

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("QosPolicyNotFound", f"QoS policy {record_id} could not be found.")

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller manages the policy's project."""
        if not manages(caller, record["project_id"]):
            raise forbidden(f"{action}_policy")

    def change(self, caller: Caller, old_id: str | None, new_id: str | None) -> None:
        """Check that a caller may put one policy in another's place on something of his.

        Raises:
            ApiError: 404, he sees no such policy; 403, he does not see the old one.
        """
        if new_id == old_id:
            return
        if new_id is not None:
            self.find(caller, new_id)
        old = self.table.get(old_id) if old_id else None
        if old is not None and not self.visible(caller, old):
            raise refuse(
                403,
                "PolicyRemoveAuthorizationError",
                f"Failed to remove provided policy {old_id} because you are not authorized.",
            )

    def default(self, project_id: str) -> str | None:
        """Return the id of the policy that a project's new networks get, or None."""
        return next((one["id"] for one in self.table.find("project_id", project_id) if one["is_default"]), None)

    def _create(self, caller: Caller, values: Record) -> Record:
        if not manages(caller, values["project_id"]):
            raise forbidden("create_policy")
        self._check_default(values["project_id"], None, values["is_default"])
        return self._insert(self._record(values))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        self._check_default(old["project_id"], old["id"], values.get("is_default", False))
        return self._change(old, values)

    def _delete(self, caller: Caller, record: Record) -> None:
        for kind, user in self._bound(record["id"]):
            raise conflict("QosPolicyInUse", f"QoS Policy {record['id']} is used by {kind} {user['id']}.")
        for rule in self.state.qos_rules.find("qos_policy_id", record["id"]):
            self.state.qos_rules.delete(rule["id"])
        self._remove(record)

    def _bound(self, policy_id: str) -> Iterator[tuple[str, Record]]:
        """Yield what has a policy, each with the name of its kind."""
        for plural, kind in _USERS.items():
            users: Table = getattr(self.state, plural)
            for user in users.find("qos_policy_id", policy_id):
                yield kind, user

    def _check_default(self, project_id: str, policy_id: str | None, wanted: bool) -> None:
        if wanted and self.default(project_id) not in (None, policy_id):
            raise conflict("QoSPolicyDefaultAlreadyExists", f"A default QoS policy exists for project {project_id}.")
