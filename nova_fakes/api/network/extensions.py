"""The extensions of the network API that are implemented here, and no others."""

from __future__ import annotations

from typing import Final

from nova_fakes.api.network.table import Record

__all__ = ["EXTENSIONS"]

_DESCRIPTIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("address-scope", "Address scope", "Subnet pools of one scope have prefixes of their own."),
    ("agent", "agent", "Layer-2 agents of the hosts."),
    ("allowed-address-pairs", "Allowed Address Pairs", "Further addresses of ports, as records."),
    ("availability_zone", "Availability Zone", "Networks and routers are in zones, as a record."),
    ("binding", "Port Binding", "Which host a port is on, and how it is connected there."),
    ("binding-extended", "Port Bindings Extended", "Several bindings of a port, one of them active."),
    ("default-subnetpools", "Default Subnetpools", "Subnets of those who name no pool come from the default one."),
    ("dns-integration", "DNS Integration", "Ports have host names, as records."),
    ("dns-domain-ports", "dns_domain for ports", "Ports have a domain, as a record."),
    ("empty-string-filtering", "Empty String Filtering Extension", "Filters may ask for the empty string."),
    ("expose-port-forwarding-in-fip", "Expose Port Forwarding in FIP", "Floating IPs show their port forwardings."),
    ("ext-gw-mode", "Neutron L3 Configurable external gateway mode", "Source NAT of a router's gateway can be off."),
    ("external-net", "Neutron external network", "Networks that lead outside."),
    ("extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of ports, as records."),
    ("extraroute", "Neutron Extra Route", "Static routes of routers, as records."),
    ("filter-validation", "Filter parameters validation", "Unknown filters are refused."),
    ("fip-port-details", "Floating IP Port Details Extension", "Floating IPs show the port they are lent to."),
    (
        "floating-ip-port-forwarding",
        "Floating IP Port Forwarding",
        "Single ports of floating IPs are lent, as records.",
    ),
    (
        "floating-ip-port-forwarding-description",
        "Floating IP Port Forwarding new description field",
        "Port forwardings have a description.",
    ),
    (
        "floating-ip-port-forwarding-detail",
        "Floating IP Port Forwarding Detail Extension",
        "Floating IPs show where their port forwardings lead.",
    ),
    (
        "floating-ip-port-forwarding-port-ranges",
        "Floating IP Port Forwarding support port ranges",
        "Port forwardings can be of ranges of ports.",
    ),
    ("ip-substring-filtering", "IP address substring filtering", "Ports can be found by a part of an address."),
    ("multi-provider", "Multi Provider Network", "Networks can have several segments."),
    ("net-mtu", "Network MTU", "Networks have an MTU."),
    ("net-mtu-writable", "Network MTU (writable)", "The MTU of a network can be set."),
    ("network-ip-availability", "Network IP Availability", "How many addresses of networks are taken."),
    ("network_availability_zone", "Network Availability Zone", "Networks can ask for a zone."),
    ("pagination", "Pagination support", "Lists come in pages."),
    ("port-mac-address-regenerate", "Neutron Port MAC address regenerate", "A port's MAC address can be made anew."),
    ("port-resource-request", "Port Resource Request", "Ports tell nova what they ask of placement."),
    ("port-resource-request-groups", "Port Resource Request Groups", "They do so in several groups."),
    ("port-security", "Port Security", "Filtering can be off for a port or network, as a record."),
    ("port-security-groups-filtering", "Port filtering on security groups", "Ports can be found by security group."),
    ("project-id", "project_id field enabled", "Resources have a project_id."),
    ("provider", "Provider Network", "The segments behind networks."),
    ("qos", "Quality of Service", "Policies for ports and networks, as records."),
    ("qos-bw-limit-direction", "Direction for QoS bandwidth limit rule", "Limits are for one direction."),
    ("qos-bw-minimum-ingress", "Ingress direction for QoS minimum bandwidth rule", "Minima are for either direction."),
    ("qos-default", "QoS default policy", "A project's new networks get its default policy."),
    ("qos-fip", "Floating IP QoS", "Floating IPs have a policy, as a record."),
    ("qos-port-network-policy", "QoS Port Network Policy", "Ports show their network's policy."),
    ("qos-pps", "QoS packet rate limit", "Limits of packets a second, as records."),
    ("qos-pps-minimum", "QoS Minimum Packet Rate", "Minima of packets a second."),
    ("qos-rule-type-details", "Details of QoS rule types", "What a type of rule takes."),
    ("quota_details", "Quota details management support", "Use of quotas."),
    ("quotas", "Quota management support", "Limits of projects."),
    ("rbac-address-scope", "Address scope RBAC", "Address scopes can be shared with single projects."),
    ("rbac-policies", "RBAC Policies", "Networks and policies of QoS can be shared with single projects."),
    ("rbac-security-groups", "RBAC Security Groups", "Security groups can be shared with single projects."),
    ("rbac-subnetpool", "Subnetpool RBAC", "Subnet pools can be shared with single projects."),
    ("router", "Neutron L3 Router", "Routers and floating IPs, as records."),
    ("router_availability_zone", "Router Availability Zone", "Routers can ask for a zone."),
    ("security-group", "security-group", "Security groups, as records."),
    ("security-groups-normalized-cidr", "Normalized CIDR field for security group rules", "Canonical rule prefixes."),
    ("security-groups-shared-filtering", "Security group filtering on the shared field", "Filter by being shared."),
    ("segment", "Segment", "The layer-2 networks behind networks, as records."),
    ("service-type", "Neutron Service Type Management", "Who provides a service."),
    ("sorting", "Sorting support", "Lists can be sorted."),
    ("standard-attr-description", "standard-attr-description", "Resources have a description."),
    ("standard-attr-revisions", "Resource revision numbers", "Resources count their changes."),
    ("standard-attr-tag", "Tag support for resources with standard attribute", "Resources have tags."),
    ("standard-attr-timestamp", "Resource timestamps", "Resources know when they were made and changed."),
    ("tag-creation", "Tag creation extension", "Tags can be added to those that are there."),
    ("subnet_allocation", "Subnet Allocation", "Subnets can be cut out of pools."),
    ("trunk", "Trunk Extension", "Ports can carry other ports, as records."),
    ("trunk-details", "Trunk port details", "Parent ports show what they carry."),
    ("stateful-security-group", "Stateful security group", "Security groups can be stateless, as a record."),
)

EXTENSIONS: Final[tuple[Record, ...]] = tuple(
    {"alias": alias, "name": name, "description": text, "updated": "2026-01-01T00:00:00-00:00", "links": []}
    for alias, name, text in _DESCRIPTIONS
)
"""The answer to `GET /v2.0/extensions`; nova decides by the aliases what it may ask for."""
