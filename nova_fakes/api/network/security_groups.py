"""Security groups and their rules: records, as nothing filters packets here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface, ip_network
from typing import Any, Final

from nova_fakes.api.network import values
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.refusals import bad_request, conflict, not_found
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.shareable import Shareable
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["SecurityGroupRules", "SecurityGroups"]

DEFAULT = "default"

PROTOCOLS: Final[Mapping[str, int]] = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""Numbers of the protocols that may be named (IANA); the rest by number."""

_WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("dccp", "sctp", "tcp", "udp", "udplite"))
_ICMP = frozenset({1, 58})
_IPV6_ONLY = frozenset({"icmpv6", "ipv6-icmp", "ipv6-encap", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route"})
_SAME_RULE = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_group_id",
    "remote_ip_prefix",
)


def _protocol(value: Any) -> str | None:
    if value is None or value in ("", "any", "-1", -1, "0", 0):
        return None
    text = str(value).lower()
    if text in PROTOCOLS or (text.isdecimal() and int(text) <= 255):
        return text
    raise bad_request(
        f"Security group rule protocol {value} not supported. Only protocol values {[None, 'any', *PROTOCOLS]} and "
        f"integer representations [0 to 255] are supported.",
        "SecurityGroupRuleInvalidProtocol",
    )


def _ethertype(value: Any) -> str:
    for known in ("IPv4", "IPv6"):
        if isinstance(value, str) and value.lower() == known.lower():
            return known
    raise bad_request(
        f"Security group rule for ethertype '{value}' not supported. Allowed values are ['IPv4', 'IPv6'].",
        "SecurityGroupRuleInvalidEtherType",
    )


def _port(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return int(values.integer(0, 65535)(value))
    except ValueError:
        raise bad_request(f"Invalid value for port {value}", "SecurityGroupInvalidPortValue") from None


def _prefix(value: Any) -> str | None:
    if not value:
        return None
    try:
        return str(ip_interface(value))
    except ValueError:
        raise bad_request(f"Invalid CIDR {value} given as IP prefix.", "InvalidCIDR") from None


class SecurityGroups(Shareable):
    """Security groups; every project has one named "default", made when it is first needed."""

    kind = "SecurityGroup"
    object_type = "security_group"
    schema = Schema(
        "security_group",
        {
            "name": Attribute(values.string(), default=REQUIRED),
            "stateful": Attribute(values.boolean, default=True),
            "shared": Attribute(post=False, put=False),
            "security_group_rules": Attribute(post=False, put=False, filters=False),
        },
    )

    @property
    def table(self) -> Table:
        """The groups."""
        return self.state.security_groups

    def default(self, project_id: str) -> Record:
        """Return the default group of a project, new if it has none."""
        for group in self.table.find("project_id", project_id):
            if group["name"] == DEFAULT:
                return group
        group = self._begin(
            {"project_id": project_id, "name": DEFAULT, "description": "Default security group", "stateful": True}
        )
        for ethertype in ("IPv4", "IPv6"):
            self._add_rule(group, "ingress", ethertype, remote_group_id=group["id"])
        return group

    def resolve(self, caller: Caller, ids: Sequence[str]) -> None:
        """Check that the caller may use all these groups.

        Raises:
            ApiError: 404, naming those that there are not.
        """
        absent = []
        for group_id in ids:
            group = self.table.get(group_id)
            if group is None or not self.visible(caller, group):
                absent.append(group_id)
        if absent:
            raise self.missing(", ".join(absent))

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("SecurityGroupNotFound", f"Security group {record_id} does not exist")

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a group with its rules."""
        rules = self.state.security_group_rules.find("security_group_id", record["id"])
        return {**super().view(caller, record), "security_group_rules": rules}

    def users(self, record: Record) -> set[str]:
        """Return the projects whose ports are in a group."""
        return {port["project_id"] for port in self.state.ports.find("security_groups", record["id"])}

    def _before_list(self, caller: Caller) -> None:
        if caller.project_id is not None:
            with self.state.transaction():
                self.default(caller.project_id)

    def _create(self, caller: Caller, values: Record) -> Record:
        if values["name"].lower() == DEFAULT:
            raise conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
        self.default(values["project_id"])
        self._enforce_quota(values["project_id"])
        return self._begin(values)

    def _begin(self, values: Record) -> Record:
        group = self._insert(self._record(values, shared=False))
        for ethertype in ("IPv4", "IPv6"):
            self._add_rule(group, "egress", ethertype)
        return group

    def _add_rule(self, group: Record, direction: str, ethertype: str, remote_group_id: str | None = None) -> None:
        rule = {
            "project_id": group["project_id"],
            "description": "",
            "security_group_id": group["id"],
            "direction": direction,
            "ethertype": ethertype,
            "protocol": None,
            "port_range_min": None,
            "port_range_max": None,
            "remote_group_id": remote_group_id,
            "remote_ip_prefix": None,
            "normalized_cidr": None,
        }
        self.state.security_group_rules.insert(self._record(rule))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        if old["name"] == DEFAULT and values.get("name", DEFAULT) != DEFAULT:
            raise conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
        if old["name"] != DEFAULT and values.get("name", "").lower() == DEFAULT:
            raise conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        if self.state.ports.count("security_groups", record["id"]):
            raise conflict("SecurityGroupInUse", f"Security Group {record['id']} in use.")
        if record["name"] == DEFAULT and not caller.is_privileged:
            raise conflict(
                "SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group."
            )
        rules = self.state.security_group_rules
        for rule in rules.find("security_group_id", record["id"]) + rules.find("remote_group_id", record["id"]):
            if rule["id"] in rules:
                rules.delete(rule["id"])
        self._remove(record)


class SecurityGroupRules(Collection):
    """Rules of security groups; they are made and deleted, never changed.

    Args:
        state: the service's tables.
        groups: the groups that the rules belong to.
    """

    kind = "SecurityGroupRule"
    schema = Schema(
        "security_group_rule",
        {
            "security_group_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "direction": Attribute(values.one_of(("ingress", "egress")), default=REQUIRED, put=False),
            "ethertype": Attribute(_ethertype, default="IPv4", put=False),
            "protocol": Attribute(_protocol, default=None, put=False),
            "port_range_min": Attribute(_port, default=None, put=False),
            "port_range_max": Attribute(_port, default=None, put=False),
            "remote_group_id": Attribute(values.optional(values.uuid_string), default=None, put=False),
            "remote_ip_prefix": Attribute(_prefix, default=None, put=False),
            "normalized_cidr": Attribute(post=False, put=False),
        },
    )

    def __init__(self, state: State, groups: SecurityGroups) -> None:
        super().__init__(state)
        self._groups = groups

    @property
    def table(self) -> Table:
        """The rules."""
        return self.state.security_group_rules

    def create_many(self, caller: Caller, bodies: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Make several rules of one group, or none.

        Raises:
            ApiError: as `create`; also 400 for rules of several groups.
        """
        if len({body.get("security_group_id") for body in bodies}) > 1:
            raise bad_request(
                "Only allowed to update rules for one security profile at a time", "SecurityGroupNotSingleGroupRules"
            )
        return super().create_many(caller, bodies)

    def missing(self, record_id: str) -> ApiError:
        """Return the error of an id that names none."""
        return not_found("SecurityGroupRuleNotFound", f"Security group rule {record_id} does not exist")

    def _before_list(self, caller: Caller) -> None:
        self._groups._before_list(caller)

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller owns the rule or the group that it is in."""
        group = self.state.security_groups.get(record["security_group_id"])
        return caller.owns(record["project_id"]) or (group is not None and caller.owns(group["project_id"]))

    def _create(self, caller: Caller, values: Record) -> Record:
        group = self._groups.find(caller, values["security_group_id"])
        self._check(values)
        if values["remote_group_id"] is not None:
            self._groups.resolve(caller, [values["remote_group_id"]])
        for rule in self.table.find("security_group_id", group["id"]):
            if all(rule[name] == values[name] for name in _SAME_RULE):
                raise conflict(
                    "SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {rule['id']}."
                )
        self._enforce_quota(values["project_id"])
        prefix = values["remote_ip_prefix"]
        normalized = None if prefix is None else str(ip_network(prefix, strict=False))
        return self.table.insert(self._record(values, normalized_cidr=normalized))

    def _check(self, rule: Record) -> None:
        number = None if rule["protocol"] is None else PROTOCOLS.get(rule["protocol"])
        if number is None and rule["protocol"] is not None:
            number = int(rule["protocol"])
        low, high = rule["port_range_min"], rule["port_range_max"]
        if low is not None or high is not None:
            if number is None:
                raise bad_request(
                    "Must also specify protocol if port range is given.", "SecurityGroupProtocolRequiredWithPorts"
                )
            if number in _ICMP:
                self._check_icmp(low, high)
            elif number in _WITH_PORTS:
                if 0 in (low, high):
                    raise bad_request("Invalid value for port 0", "SecurityGroupInvalidPortValue")
                if low is None or high is None or low > high:
                    raise bad_request(
                        "For TCP/UDP protocols, port_range_min must be <= port_range_max",
                        "SecurityGroupInvalidPortRange",
                    )
            else:
                raise bad_request(
                    f"Ports cannot be specified for protocol {number}. Ports are only supported for "
                    f"{sorted(name for name, n in PROTOCOLS.items() if n in _WITH_PORTS)}.",
                    "SecurityGroupInvalidProtocolForPort",
                )
        if rule["protocol"] in _IPV6_ONLY and rule["ethertype"] == "IPv4":
            raise bad_request(
                f"Invalid ethertype IPv4 for protocol {rule['protocol']}.", "SecurityGroupEthertypeConflictWithProtocol"
            )
        if rule["remote_group_id"] is not None and rule["remote_ip_prefix"] is not None:
            raise bad_request(
                "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
                "SecurityGroupMultipleRemoteEntites",
            )
        prefix = rule["remote_ip_prefix"]
        if prefix is not None and f"IPv{ip_interface(prefix).version}" != rule["ethertype"]:
            raise bad_request(
                f"Conflicting value ethertype {rule['ethertype']} for CIDR {prefix}",
                "SecurityGroupRuleParameterConflict",
            )

    @staticmethod
    def _check_icmp(kind: int | None, code: int | None) -> None:
        for field, name, value in (("type", "port_range_min", kind), ("code", "port_range_max", code)):
            if value is not None and value > 255:
                raise bad_request(
                    f"Invalid value for ICMP {field} ({name}) {value}. It must be 0 to 255.",
                    "SecurityGroupInvalidIcmpValue",
                )
        if kind is None and code is not None:
            raise bad_request(
                f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is missing.",
                "SecurityGroupMissingIcmpType",
            )

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        return self.state.update(self.table, old["id"], values)

    def _delete(self, caller: Caller, record: Record) -> None:
        self.table.delete(record["id"])
