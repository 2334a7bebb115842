"""Policies that let one project, or all, use what is another's (`neutron/db/rbac_db_mixin.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import conflict, forbidden, invalid_input, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.shareable import Shareable
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["OBJECT_TYPES", "RbacPolicies"]

OBJECT_TYPES = ("address_scope", "network", "qos_policy", "security_group", "subnetpool")
_SAME = ("object_id", "action", "target_tenant")


def _object_type(value: Any) -> str:
    if isinstance(value, str) and value.strip().lower() in OBJECT_TYPES:
        return value.strip().lower()
    raise invalid_input(f"'{value}' is not a valid RBAC object type")


def _target(value: Any) -> str:
    if value == "*":
        return "*"
    try:
        values.uuid_string(value)
    except ValueError:
        raise invalid_input(f"'{value}' is not a valid target project ID; expected a UUID or '*'") from None
    return str(value)


class RbacPolicies(Collection):
    """Who else may use what.

    Args:
        state: the service's tables.
        kinds: the collections of what can be shared.
    """

    kind = "RbacPolicy"
    schema = Schema(
        "rbac_policy",
        {
            "id": Attribute(post=False, put=False),
            "object_type": Attribute(
                values.Described(_object_type, {"enum": list(OBJECT_TYPES)}), default=REQUIRED, put=False
            ),
            "object_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "action": Attribute(values.string(), default=REQUIRED, put=False),
            "target_tenant": Attribute(values.Described(_target, {"type": "string"}), default=REQUIRED),
        },
        standard=False,
    )

    def __init__(self, state: State, kinds: Iterable[Shareable]) -> None:
        super().__init__(state)
        self._kinds = {one.object_type: one for one in kinds}

    @property
    def plural(self) -> str:
        """Plural name, which wraps lists."""
        return "rbac_policies"

    @property
    def table(self) -> Table:
        """The policies."""
        return self.state.rbac_policys

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("RbacPolicyNotFound", f"RBAC policy of type None with ID {record_id} not found")

    def _create(self, caller: Caller, values: Record) -> Record:
        self._enforce_quota(values["project_id"])
        self._guard(caller, "create", values["target_tenant"])
        shareable = self._kinds[values["object_type"]]
        shared = self._owned(caller, shareable, values["object_id"])
        if values["action"] not in shareable.actions:
            raise invalid_input(
                f"Invalid action '{values['action']}' for object type '{values['object_type']}'. Valid actions: "
                f"{', '.join(shareable.actions)}"
            )
        if any(all(one[name] == values[name] for name in _SAME) for one in self._siblings(values)):
            raise conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
        shareable.check_target(shared, values["action"], values["target_tenant"])
        made = self.table.insert(self._record(values))
        shareable.granted(made)
        return made

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        target = str(values.get("target_tenant", old["target_tenant"]))
        if target == old["target_tenant"]:
            return old
        self._guard(caller, "update", target)
        shareable = self._kinds[old["object_type"]]
        new = {**old, **values}
        if any(all(one[name] == new[name] for name in _SAME) for one in self._siblings(old)):
            raise conflict("DuplicateRbacPolicy", "An RBAC policy already exists with those values.")
        shareable.check_removal(old, target)
        made = self.state.update(self.table, old["id"], values)
        shareable.revoked(old)
        shareable.granted(made)
        return made

    def _delete(self, caller: Caller, record: Record) -> None:
        shareable = self._kinds[record["object_type"]]
        shareable.check_removal(record)
        self.table.delete(record["id"])
        shareable.revoked(record)

    def _siblings(self, policy: Record) -> list[Record]:
        return self.table.find("object_id", policy["object_id"])

    @staticmethod
    def _guard(caller: Caller, action: str, target: str) -> None:
        if target == "*" and not caller.is_privileged:
            raise forbidden(f"{action}_rbac_policy:target_tenant")

    @staticmethod
    def _owned(caller: Caller, shareable: Shareable, record_id: str) -> Record:
        """Return what is to be shared; 400 where the caller does not own it, and where there is none, as in Neutron."""
        try:
            found = shareable.find(caller, record_id)
        except ApiError as error:
            raise invalid_input(error.message.rstrip(".")) from None
        if not caller.owns(found["project_id"]):
            raise invalid_input(f"Only admins can manipulate policies on {shareable.plural} they do not own")
        return found
