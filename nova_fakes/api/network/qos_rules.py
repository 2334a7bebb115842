"""Rules of policies of quality of service: limits, minima, and marks in packets' headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.nested import Nested
from nova_fakes.api.network.qos_policies import QosPolicies, manages
from nova_fakes.api.network.refusals import conflict, forbidden, not_found, refuse
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["RULE_KINDS", "QosRules", "RuleKind", "rule_type", "rule_types"]

_DSCP_MARKS: Final = (0, *range(8, 42, 2), 44, 46, 48, 56)
_MOST: Final = 2**31 - 1
_AMOUNT: Final = values.integer(0, _MOST)
_WAYS: Final = ("egress", "ingress")


def _dscp(value: Any) -> int:
    number = int(values.integer(0, _MOST)(value))
    return int(values.one_of(_DSCP_MARKS)(number))


@dataclass(frozen=True)
class RuleKind:
    """One type of rule: its name, and what may be sent of it by attribute."""

    name: str
    attributes: Mapping[str, Attribute]
    in_placement: bool = False
    """Whether ports with such a rule ask placement for resources."""


def _directed(directions: tuple[str, ...] = _WAYS) -> Attribute:
    return Attribute(values.one_of(directions), default="egress")


RULE_KINDS: Final = (
    RuleKind(
        "bandwidth_limit",
        {
            "max_kbps": Attribute(_AMOUNT, default=REQUIRED),
            "max_burst_kbps": Attribute(_AMOUNT, default=0),
            "direction": _directed(),
        },
    ),
    RuleKind(
        "dscp_marking", {"dscp_mark": Attribute(values.Described(_dscp, {"enum": _DSCP_MARKS}), default=REQUIRED)}
    ),
    RuleKind("minimum_bandwidth", {"min_kbps": Attribute(_AMOUNT, default=REQUIRED), "direction": _directed()}, True),
    RuleKind(
        "minimum_packet_rate",
        {"min_kpps": Attribute(_AMOUNT, default=REQUIRED), "direction": _directed((*_WAYS, "any"))},
        True,
    ),
    RuleKind(
        "packet_rate_limit",
        {
            "max_kpps": Attribute(_AMOUNT, default=REQUIRED),
            "max_burst_kpps": Attribute(_AMOUNT, default=0),
            "direction": _directed(),
        },
    ),
)
"""What Neutron's Open vSwitch driver can enforce (`neutron/services/qos/drivers/openvswitch/driver.py`)."""


def rule_types() -> list[Record]:
    """Return the types of rules that there are, as the API lists them."""
    return [{"type": kind.name} for kind in RULE_KINDS]


def rule_type(caller: Caller, name: str) -> Record:
    """Return one type of rule with what it takes; ApiError 403 to all but administrators, 404."""
    if not caller.is_privileged:
        raise forbidden("get_rule_type")
    for kind in RULE_KINDS:
        if kind.name == name:
            takes = [
                {"parameter_name": key, "parameter_type": "choices", "parameter_values": choices}
                if (choices := values.schema_of(one.check).get("enum"))
                else {
                    "parameter_name": key,
                    "parameter_type": "range",
                    "parameter_values": {"start": 0, "end": _MOST},
                }
                for key, one in kind.attributes.items()
            ]
            return {"type": name, "drivers": [{"name": "openvswitch", "supported_parameters": takes}]}
    raise not_found("QosRuleTypeNotFound", f"QoS rule type {name} could not be found.")


class QosRules(Nested):
    """Rules of one type, within their policies.

    Args:
        policies: what they belong to.
        rule_kind: their type.
    """

    kind = "QosRule"
    parent_key = "qos_policy_id"

    def __init__(self, policies: QosPolicies, rule_kind: RuleKind) -> None:
        super().__init__(policies.state)
        self._policies = policies
        self._kind = rule_kind
        self.schema = Schema(
            f"{rule_kind.name}_rule",
            {
                "id": Attribute(post=False, put=False),
                "qos_policy_id": Attribute(values.string(), default=REQUIRED, put=False),
                **rule_kind.attributes,
            },
            standard=False,
        )

    @property
    def path(self) -> str:
        """Path of the collection below the version's."""
        return f"qos/policies/<parent_id>/{self.plural}"

    @property
    def parents(self) -> Collection:
        """The policies."""
        return self._policies

    @property
    def table(self) -> Table:
        """The rules of all types."""
        return self.state.qos_rules

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether it is of this type, and the policy the caller's or shared."""
        return record["type"] == self._kind.name and super().visible(caller, record)

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a rule as it is shown by itself, without what its path says."""
        return {name: value for name, value in record.items() if name not in ("type", "qos_policy_id")}

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("QosRuleNotFound", f"QoS rule {record_id} could not be found.")

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller manages the policy's project."""
        policy = self._policies.table[record["qos_policy_id"]]
        if not manages(caller, policy["project_id"]):
            raise forbidden(f"{action}_policy_{self.name}")

    def _create(self, caller: Caller, values: Record) -> Record:
        del values["project_id"]
        self.authorize(caller, "create", values)
        self._check_placement(values["qos_policy_id"])
        made = {"id": self._new_id(), "type": self._kind.name, **values}
        self._check_conflicts(made)
        return self.table.insert(made)

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        self._check_placement(old["qos_policy_id"])
        self._check_conflicts({**old, **values})
        return self.table.update(old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        self._check_placement(record["qos_policy_id"])
        self.table.delete(record["id"])

    def _check_placement(self, policy_id: str) -> None:
        """Refuse to change what servers have claimed in placement, as Neutron does; ApiError 501."""
        if not self._kind.in_placement:
            return
        ports = self.state.ports.find("qos_policy_id", policy_id)
        for network in self.state.networks.find("qos_policy_id", policy_id):
            on_it = self.state.ports.find("network_id", network["id"])
            ports += [port for port in on_it if port.get("qos_policy_id") is None]
        if any(port["device_owner"].startswith("compute:") for port in ports):
            raise refuse(
                501,
                "HTTPNotImplemented",
                "Cannot update QoS policies/rules backed by resources tracked in Placement",
            )

    def _check_conflicts(self, rule: Record) -> None:
        """Refuse a second rule of a type and direction, and a minimum above the maximum; ApiError 409."""
        for other in self.table.find("qos_policy_id", rule["qos_policy_id"]):
            if other["id"] == rule["id"]:
                continue
            ways = {rule.get("direction"), other.get("direction")}
            if other["type"] == rule["type"] and (len(ways) == 1 or "any" in ways):
                raise conflict(
                    "QoSRulesConflict",
                    f"Rule {rule['type']} conflicts with rule {other['id']} which already exists in QoS Policy "
                    f"{rule['qos_policy_id']}.",
                )
            if len(ways) == 1:
                self._check_range(rule, other)

    @staticmethod
    def _check_range(rule: Record, other: Record) -> None:
        pair = {**rule, **other}
        for low, high in (("min_kbps", "max_kbps"), ("min_kpps", "max_kpps")):
            if low in pair and high in pair and pair[low] > pair[high]:
                mine, theirs = (low, high) if low in rule else (high, low)
                raise conflict(
                    "QoSRuleParameterConflict",
                    f"Unable to add the rule with value {rule[mine]} to the policy {rule['qos_policy_id']} as the "
                    f"existing rule of type {other['type']} has value {other[theirs]}.",
                )
