"""Resources that a project can let others use: all of them by `shared`, single ones by RBAC policies."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import conflict
from nova_fakes.api.network.table import Record
from nova_fakes.exceptions import ApiError

__all__ = ["SHARED", "Shareable", "in_use"]

SHARED = "access_as_shared"


def in_use(object_id: str, details: str) -> ApiError:
    """Return the error of a policy that somebody's use of the object depends on."""
    return conflict(
        "RbacPolicyInUse",
        f"RBAC policy on object {object_id} cannot be removed because other objects depend on it.\nDetails: {details}",
    )


class Shareable(Collection):
    """One kind of resource that can be shared.

    A record is `shared` as long as there is a policy that shares it with all projects (`neutron/objects/rbac_db.py`).
    """

    object_type: ClassVar[str]
    """What policies call this kind."""
    actions: ClassVar[tuple[str, ...]] = (SHARED,)
    """What policies may allow."""

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the resource is the caller's, or shared with him."""
        return caller.owns(record["project_id"]) or self.state.is_shared(caller.project_id, record)

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a resource, which says whether it is shared with the caller's project."""
        return {**super().view(caller, record), "shared": self.state.is_shared(caller.project_id, record)}

    @abstractmethod
    def users(self, record: Record) -> set[str]:
        """Return the projects that use a resource."""

    def check_target(self, record: Record, action: str, target: str) -> None:
        """Refuse a policy that makes no sense for this resource; ApiError 400."""

    def check_removal(self, policy: Record, new_target: str | None = None) -> None:
        """Refuse to take a resource from projects that use it.

        Args:
            policy: the one that is to go.
            new_target: the project that it is to be for instead; None where it is deleted.

        Raises:
            ApiError: 409.
        """
        record, target = self.table[policy["object_id"]], policy["target_tenant"]
        if target == record["project_id"] or new_target == "*":
            return
        others = self.targets(record["id"], SHARED) - {target}
        used = self.users(record)
        if used - others if target == "*" else target in used and "*" not in others:
            raise in_use(record["id"], f"project_id={target}")

    def granted(self, policy: Record) -> None:
        """Follow a policy that has come."""
        if policy["action"] == SHARED and policy["target_tenant"] == "*":
            self.table.update(policy["object_id"], {"shared": True})

    def revoked(self, policy: Record) -> None:
        """Follow a policy that has gone."""
        if policy["action"] == SHARED and policy["target_tenant"] == "*":
            self.table.update(policy["object_id"], {"shared": False})

    def targets(self, record_id: str, action: str) -> set[str]:
        """Return the projects that policies name for an action on a resource; "*" is all."""
        policies = self.state.rbac_policys.find("object_id", record_id)
        return {one["target_tenant"] for one in policies if one["action"] == action}

    # Parts for subclasses.

    def _insert(self, record: Record) -> Record:
        """Add a new resource, with a policy where it is shared from its beginning."""
        self.table.insert(record)
        if record["shared"]:
            self._grant(record, SHARED)
        return record

    def _change(self, old: Record, values: Mapping[str, Any]) -> Record:
        """Change a resource, and the policy that shares it with all; ApiError 409, it is used by virtue of that."""
        if values.get("shared", old["shared"]) and not old["shared"]:
            self._grant(old, SHARED)
        elif old["shared"] and not values.get("shared", True):
            self._revoke(old, SHARED, check=True)
        return self.state.update(self.table, old["id"], values)

    def _remove(self, record: Record) -> None:
        """Remove a resource with its policies."""
        for policy in self.state.rbac_policys.find("object_id", record["id"]):
            self.state.rbac_policys.delete(policy["id"])
        self.table.delete(record["id"])

    def _grant(self, record: Record, action: str) -> None:
        """Let all projects do something with a resource."""
        self.state.rbac_policys.insert(
            {
                "id": self._new_id(),
                "object_type": self.object_type,
                "object_id": record["id"],
                "action": action,
                "target_tenant": "*",
                "project_id": record["project_id"],
                "tenant_id": record["project_id"],
            }
        )

    def _revoke(self, record: Record, action: str, *, check: bool = False) -> None:
        """Take back what all projects may do; resources of an older state may have no policy for it."""
        for policy in self._of_action(record["id"], action):
            if policy["target_tenant"] == "*":
                if check:
                    self.check_removal(policy)
                self.state.rbac_policys.delete(policy["id"])

    def _of_action(self, record_id: str, action: str) -> Iterable[Record]:
        return [one for one in self.state.rbac_policys.find("object_id", record_id) if one["action"] == action]
