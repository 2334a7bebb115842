"""Ports: a MAC address, fixed IPs, security groups and a binding, on a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from nova_fakes.api.network import events, values
from nova_fakes.api.network.addresses import new_mac
from nova_fakes.api.network.allocation import FixedIps
from nova_fakes.api.network.bindings import UNBOUND, VNIC_TYPES, Bindings
from nova_fakes.api.network.caller import Caller
from nova_fakes.api.network.collection import Collection
from nova_fakes.api.network.dns import assignment
from nova_fakes.api.network.qos_policies import QosPolicies
from nova_fakes.api.network.query import Query
from nova_fakes.api.network.refusals import bad_request, bad_resource, conflict, forbidden, not_found, refuse
from nova_fakes.api.network.resource_request import request_of
from nova_fakes.api.network.schema import REQUIRED, Attribute, Schema
from nova_fakes.api.network.security_groups import SecurityGroups
from nova_fakes.api.network.state import State
from nova_fakes.api.network.table import Record, Table
from nova_fakes.exceptions import ApiError

__all__ = ["Ports"]

_NETWORK_OWNERS_ONLY: Final = ("mac_address", "port_security_enabled", "allowed_address_pairs")
_SERVICE_OWNERS: Final = ("network:router_interface", "network:router_gateway", "network:floatingip")
_MAC_ATTEMPTS: Final = 16
_KNOWN_TO_NOVA: Final = ("fixed_ips", "mac_address", "admin_state_up")


class Ports(Collection):
    """Ports and what happens to them.

    Args:
        state: the service's tables.
        groups: the security groups.
        bindings: the bindings.
        policies: the policies of quality of service.
        notify_every_update: tell nova about every update of a server's port, as Neutron does
            (`notify_nova_on_port_data_changes`), not only about those that change what nova keeps a copy of. nova
            itself updates ports several times a boot.
    """

    kind = "Port"
    filters = ("ip_address", "security_group_id", "subnet_id")
    schema = Schema(
        "port",
        {
            "name": Attribute(values.string(), default=""),
            "network_id": Attribute(values.uuid_string, default=REQUIRED, put=False),
            "admin_state_up": Attribute(values.boolean, default=True),
            "mac_address": Attribute(values.optional(values.mac)),
            "fixed_ips": Attribute(values.fixed_ips),
            "device_id": Attribute(values.string(), default=""),
            "device_owner": Attribute(values.string(), default=""),
            "status": Attribute(post=False, put=False),
            "security_groups": Attribute(values.optional(values.uuid_list)),
            "allowed_address_pairs": Attribute(values.address_pairs, filters=False),
            "extra_dhcp_opts": Attribute(values.dhcp_options, default=[], filters=False),
            "port_security_enabled": Attribute(values.boolean),
            "binding:host_id": Attribute(values.optional(values.string()), guarded=True, hidden=True),
            "binding:profile": Attribute(values.dictionary, guarded=True, hidden=True, filters=False),
            "binding:vnic_type": Attribute(values.one_of(VNIC_TYPES), default="normal"),
            "binding:vif_type": Attribute(post=False, put=False, hidden=True),
            "binding:vif_details": Attribute(post=False, put=False, hidden=True, filters=False),
            "dns_name": Attribute(values.dns_name, default=""),
            "dns_domain": Attribute(values.dns_domain, default="", filters=False),
            "dns_assignment": Attribute(post=False, put=False, filters=False),
            "qos_policy_id": Attribute(values.optional(values.uuid_string), default=None),
            "qos_network_policy_id": Attribute(post=False, put=False, filters=False),
            "resource_request": Attribute(post=False, put=False, hidden=True, filters=False),
        },
    )

    def __init__(
        self,
        state: State,
        groups: SecurityGroups,
        bindings: Bindings,
        policies: QosPolicies,
        *,
        notify_every_update: bool = False,
    ) -> None:
        super().__init__(state)
        self._policies = policies
        self._groups = groups
        self._bindings = bindings
        self._every_update = notify_every_update
        self.addresses = FixedIps(state)
        self.on_delete: list[Callable[[Record], None]] = []
        """Called with a port before it is deleted."""
        self.before_delete: list[Callable[[Record], None]] = []
        """Called with a port that a caller wants to delete; what they raise refuses it."""
        self.details: list[Callable[[Record], Record]] = []
        """What they return of a port is shown with it."""
        self.on_address: list[Callable[[Record], None]] = []
        """Called with a port after its fixed IPs have changed."""
        self.matchers = {
            "fixed_ips": _match_fixed_ips,
            "ip_address": lambda port, wanted: any(entry["ip_address"] in wanted for entry in port["fixed_ips"]),
            "subnet_id": lambda port, wanted: any(entry["subnet_id"] in wanted for entry in port["fixed_ips"]),
            "security_group_id": lambda port, wanted: not set(wanted).isdisjoint(port["security_groups"]),
            "mac_address": lambda port, wanted: port["mac_address"] in {text.lower() for text in wanted},
        }

    @property
    def table(self) -> Table:
        """The ports."""
        return self.state.ports

    def visible(self, caller: Caller, record: Record) -> bool:
        """Whether the caller owns the port or its network."""
        if caller.owns(record["project_id"]):
            return True
        network = self.state.networks.get(record["network_id"])
        return network is not None and caller.owns(network["project_id"])

    def view(self, caller: Caller, record: Record) -> Record:
        """Return a port with the names of its addresses, and with what hangs on it."""
        policy_id, network_policy_id = self._policies_of(record)
        shown = {
            **super().view(caller, record),
            "dns_assignment": assignment(record),
            "qos_policy_id": policy_id,
            "qos_network_policy_id": network_policy_id,
        }
        if caller.is_privileged:
            shown["resource_request"] = self._request(record, policy_id or network_policy_id)
        for extra in self.details:
            shown |= extra(record)
        return shown

    def authorize(self, caller: Caller, action: str, record: Record) -> None:
        """Check that the caller may change a port that he sees; a network's owner may delete what is on it."""
        network = self.state.networks[record["network_id"]]
        if caller.may_write and action == "delete" and caller.owns(network["project_id"]):
            return
        super().authorize(caller, action, record)

    def add_automatic_addresses(self, subnet: Record) -> None:
        """Give the ports on a network the address that they form in a new subnet with autoconfiguration."""
        for port in self.table.find("network_id", subnet["network_id"]):
            if not port["device_owner"].startswith("network:router"):
                current = port["fixed_ips"]
                fixed = self.addresses.allocate(
                    port["network_id"], port["mac_address"], port["device_owner"], current, current
                )
                self.state.update(self.table, port["id"], {"fixed_ips": fixed})

    def remove_addresses(self, subnet_id: str) -> None:
        """Take all addresses of a subnet that goes away from the ports that have them."""
        for port in self.table.find("subnet_id", subnet_id):
            fixed = [entry for entry in port["fixed_ips"] if entry["subnet_id"] != subnet_id]
            self.state.update(self.table, port["id"], {"fixed_ips": fixed})

    def make_internal(self, network_id: str, owner: str, device_id: str, project_id: str, **more: Any) -> Record:
        """Make a port for the network service's own use, as of routers and floating IPs; "fixed_ips" may be given."""
        ready: Record = {
            "name": "",
            "description": "",
            "network_id": network_id,
            "project_id": project_id,
            "admin_state_up": True,
            "device_owner": owner,
            "device_id": device_id,
            "security_groups": [],
            "port_security_enabled": False,
            "extra_dhcp_opts": [],
            "dns_name": "",
            "dns_domain": "",
            "binding:vnic_type": "normal",
            "qos_policy_id": None,
            **more,
        }
        port = self._insert(ready)
        status = "N/A" if owner == "network:floatingip" else "ACTIVE"
        return self.table.update(port["id"], {"status": status})

    def delete_internal(self, port: Record) -> None:
        """Delete a port that the API may not delete."""
        for callback in self.on_delete:
            callback(port)
        self.addresses.release(port["fixed_ips"])
        self.table.delete(port["id"])
        self._bindings.forget(port["id"])

    def _policies_of(self, port: Record) -> tuple[str | None, str | None]:
        """Return the ids of a port's own policy and of its network's, which holds where it has none."""
        return port.get("qos_policy_id"), self.state.networks[port["network_id"]].get("qos_policy_id")

    def _request(self, port: Record, policy_id: str | None) -> Record | None:
        if policy_id is None:
            return None
        physical = self.state.networks[port["network_id"]]["provider:physical_network"]
        return request_of(port, physical, self.state.qos_rules.find("qos_policy_id", policy_id))

    def _change_policy(self, caller: Caller, port: Record, new_id: str | None) -> None:
        """Check that a port may have another policy.

        Raises:
            ApiError: as `QosPolicies.change`; 501, a server has claimed in placement what the old or new one asks for.
        """
        old_id, network_policy_id = self._policies_of(port)
        self._policies.change(caller, old_id, new_id)
        self._check_claimed(port, old_id or network_policy_id, new_id or network_policy_id)

    def check_network_policy(self, network: Record, new_id: str | None) -> None:
        """Check that a network may have another policy; ApiError 501, servers on it have claimed what it asks for."""
        for port in self.table.find("network_id", network["id"]):
            if port.get("qos_policy_id") is None:
                self._check_claimed(port, network.get("qos_policy_id"), new_id)

    def _check_claimed(self, port: Record, old_id: str | None, new_id: str | None) -> None:
        if port["device_owner"].startswith("compute:") and self._request(port, old_id) != self._request(port, new_id):
            raise refuse(
                501,
                "HTTPNotImplemented",
                f"Cannot change the QoS policy of bound port {port['id']}: this service does not change what is "
                f"allocated in Placement; detach the port first",
            )

    def _candidates(self, query: Query) -> Iterable[Record]:
        addresses = list(query.filters.get("ip_address", ()))
        addresses += [
            text.partition("=")[2] for text in query.filters.get("fixed_ips", ()) if text[:11] == "ip_address="
        ]
        if addresses and "id" not in query.filters:
            return self.table.find_any("ip_address", addresses)
        if "mac_address" in query.filters or not query.filters.keys() & {"subnet_id", "security_groups"}:
            return super()._candidates(query)
        name = "subnet_id" if "subnet_id" in query.filters else "security_groups"
        return self.table.find_any(name, query.filters[name])

    def _create(self, caller: Caller, values: Record) -> Record:
        network = self._network(caller, values["network_id"])
        self._authorize_attributes(caller, "create", network, values)
        self._enforce_quota(values["project_id"])
        self._check_device(caller, values["device_id"])
        self._policies.change(caller, None, values["qos_policy_id"])
        values.setdefault("port_security_enabled", network["port_security_enabled"])
        owner = values["device_owner"]
        if values.get("security_groups") is None:
            secured = values["port_security_enabled"] and not owner.startswith("network:")
            values["security_groups"] = [self._groups.default(values["project_id"])["id"]] if secured else []
        else:
            self._groups.resolve(caller, values["security_groups"])
        self._check_security(values)
        return self._insert(values)

    def _insert(self, values: Record) -> Record:
        network_id = values["network_id"]
        mac = self._mac(network_id, values.pop("mac_address", None))
        wanted = values.pop("fixed_ips", None)
        host = values.pop("binding:host_id", None) or ""
        profile = values.pop("binding:profile", {})
        vnic_type = values.pop("binding:vnic_type")
        values["extra_dhcp_opts"] = [option for option in values["extra_dhcp_opts"] if option["opt_value"] is not None]
        values["allowed_address_pairs"] = _with_mac(values.get("allowed_address_pairs", []), mac)
        fixed = self.addresses.allocate(network_id, mac, values["device_owner"], wanted)
        port = self._record(values, mac_address=mac, fixed_ips=fixed, status="DOWN")
        return self.table.insert(self._bindings.start(port, host, vnic_type, profile))

    def _update(self, caller: Caller, old: Record, values: Record) -> Record:
        network = self.state.networks[old["network_id"]]
        if "mac_address" in values and values["mac_address"] is None:
            values["mac_address"] = self._mac(old["network_id"], None)
        changed = {name: value for name, value in values.items() if old.get(name) != value}
        self._authorize_attributes(caller, "update", network, changed)
        if "device_id" in changed:
            self._check_device(caller, changed["device_id"])
        if "qos_policy_id" in values:
            self._change_policy(caller, old, values["qos_policy_id"])
        if "security_groups" in values:
            values["security_groups"] = values["security_groups"] or []
            self._groups.resolve(caller, [g for g in values["security_groups"] if g not in old["security_groups"]])
        if "extra_dhcp_opts" in values:
            values["extra_dhcp_opts"] = _merged_options(old["extra_dhcp_opts"], values["extra_dhcp_opts"])
        binding = {name: values.pop(name) for name in list(values) if name.startswith("binding:")}
        mac: str = {**old, **values}["mac_address"]
        if mac != old["mac_address"]:
            self._check_new_mac(old, mac)
        if "allowed_address_pairs" in values:
            values["allowed_address_pairs"] = _with_mac(values["allowed_address_pairs"], mac)
        if values.get("port_security_enabled") is False and old["security_groups"] and "security_groups" not in values:
            raise conflict(
                "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or IP address until security group "
                "is removed.",
            )
        self._check_security({**old, **values})
        if "fixed_ips" in values or mac != old["mac_address"]:
            wanted = values.get(
                "fixed_ips", [entry for entry in old["fixed_ips"] if not self.addresses.is_automatic(entry)]
            )
            owner: str = {**old, **values}["device_owner"]
            values["fixed_ips"] = self.addresses.allocate(old["network_id"], mac, owner, wanted, old["fixed_ips"])
            self._keep_floating(old, values["fixed_ips"])
            self.addresses.release([entry for entry in old["fixed_ips"] if entry not in values["fixed_ips"]])
        port = self.state.update(self.table, old["id"], values)
        if port["fixed_ips"] != old["fixed_ips"]:
            for callback in self.on_address:
                callback(port)
        if binding:
            port = self._bindings.change(port, binding)
        if port["admin_state_up"] != old["admin_state_up"] and port["binding:vif_type"] != UNBOUND:
            port = self._bindings.settle(port)
        if self._every_update or any(port[name] != old[name] for name in _KNOWN_TO_NOVA):
            self.state.emit(events.changed, port)
        return port

    def _delete(self, caller: Caller, record: Record) -> None:
        if record["device_owner"] in _SERVICE_OWNERS:
            raise conflict(
                "ServicePortInUse",
                f"Port {record['id']} cannot be deleted directly via the port API: has device owner "
                f"{record['device_owner']}.",
            )
        for refuse_it in self.before_delete:
            refuse_it(record)
        self.delete_internal(record)
        self.state.emit(events.deleted, record)

    def _network(self, caller: Caller, network_id: str) -> Record:
        network = self.state.networks.get(network_id)
        shared = network is not None and self.state.is_shared(caller.project_id, network)
        if network is None or not (
            caller.owns(network["project_id"]) or shared or self.state.leads_outside(caller.project_id, network)
        ):
            raise not_found("NetworkNotFound", f"Network {network_id} could not be found.")
        if not (caller.owns(network["project_id"]) or shared):
            raise not_found("HTTPNotFound", "The resource could not be found.")
        return network

    def _authorize_attributes(self, caller: Caller, action: str, network: Record, values: Record) -> None:
        """Check what only the owner of the network may choose for a port on it."""
        if caller.owns(network["project_id"]):
            return
        for name in _NETWORK_OWNERS_ONLY:
            if values.get(name) is not None:
                raise forbidden(f"{action}_port:{name}")
        if any("ip_address" in entry for entry in values.get("fixed_ips") or ()):
            raise forbidden(f"{action}_port:fixed_ips:ip_address")
        if values.get("device_owner", "").startswith("network:"):
            raise forbidden(f"{action}_port:device_owner")

    def _check_device(self, caller: Caller, device_id: str) -> None:
        router = self.state.routers.get(device_id)
        if router is not None and not caller.owns(router["project_id"]):
            raise conflict(
                "DeviceIDNotOwnedByTenant",
                f"The following device_id {device_id} is not owned by your project or matches another project router.",
            )

    @staticmethod
    def _check_security(port: Record) -> None:
        if port["port_security_enabled"]:
            return
        if port["security_groups"]:
            raise bad_request(
                "Port security must be enabled and port must have an IP address in order to use security groups.",
                "PortSecurityAndIPRequiredForSecurityGroups",
            )
        if port.get("allowed_address_pairs"):
            raise conflict(
                "AddressPairAndPortSecurityRequired",
                "Port Security must be enabled in order to have allowed address pairs on a port.",
            )

    def _mac(self, network_id: str, wanted: str | None) -> str:
        if wanted is not None:
            if self.table.count("mac", (network_id, wanted)):
                raise _mac_in_use(network_id, wanted)
            return wanted
        for _ in range(_MAC_ATTEMPTS):
            mac = new_mac()
            if not self.table.count("mac", (network_id, mac)):
                return mac
        raise refuse(503, "MacAddressGenerationFailure", f"Unable to generate unique mac on network {network_id}.")

    def _keep_floating(self, port: Record, fixed: Sequence[dict[str, str]]) -> None:
        """Check that a port keeps the addresses that floating IPs are lent to; give the new ones back if not."""
        addresses = {entry["ip_address"] for entry in fixed}
        for fip in self.state.floatingips.find("port_id", port["id"]):
            if fip["fixed_ip_address"] not in addresses:
                self.addresses.release([entry for entry in fixed if entry not in port["fixed_ips"]])
                raise bad_resource(
                    "port",
                    f"Cannot update the fixed_ips of the port {port['id']}, because its original fixed_ip has been "
                    f"associated to a floating ip",
                )

    def _check_new_mac(self, port: Record, mac: str) -> None:
        if port["binding:host_id"]:
            raise conflict(
                "PortBound",
                f"Unable to complete operation on port {port['id']}, port is already bound, port type: "
                f"{port['binding:vif_type']}, old_mac {port['mac_address']}, new_mac {mac}.",
            )
        if self.table.count("mac", (port["network_id"], mac)):
            raise _mac_in_use(port["network_id"], mac)


def _mac_in_use(network_id: str, mac: str) -> ApiError:
    return conflict(
        "MacAddressInUse", f"Unable to complete operation for network {network_id}. The mac address {mac} is in use."
    )


def _with_mac(pairs: Sequence[dict[str, str]], mac: str) -> list[dict[str, str]]:
    return [{"ip_address": pair["ip_address"], "mac_address": pair.get("mac_address", mac)} for pair in pairs]


def _merged_options(old: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    merged = {(option["opt_name"], option["ip_version"]): option for option in (*old, *new)}
    return [option for option in merged.values() if option["opt_value"] is not None]


def _match_fixed_ips(port: Record, wanted: Sequence[str]) -> bool:
    """Match "ip_address=A", "subnet_id=S" and "ip_address_substr=T": each name by one of its values."""
    asked: dict[str, list[str]] = {}
    for text in wanted:
        name, _, value = text.partition("=")
        if name not in ("ip_address", "subnet_id", "ip_address_substr"):
            raise bad_request(f"'{text}' is invalid attribute for filtering fixed_ips")
        asked.setdefault(name, []).append(value)
    entries = port["fixed_ips"]
    for name, accepted in asked.items():
        if name == "ip_address_substr":
            if not any(part in entry["ip_address"] for entry in entries for part in accepted):
                return False
        elif not any(entry[name] in accepted for entry in entries):
            return False
    return True
