"""The configuration files of the sandbox's services, as an operator would write them.

Everything here is ordinary nova, placement and client configuration: the services read these files themselves, and
what a developer learns from them holds in a real cloud.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox import database
from nova_fakes.sandbox.spec import SandboxSpec
from nova_fakes.sandbox.state import StateDirectory, write_private

__all__ = ["ENDPOINTS", "MOUNTS", "REGION", "TOKEN_CACHE_KEY", "write_clouds", "write_nova", "write_placement"]

REGION = "RegionOne"

MOUNTS = {
    "identity": "/identity",
    "image": "/image",
    "network": "/networking",
    "volumev3": "/volume",
    "compute": "/compute",
    "placement": "/placement",
}
"""Path of each service type below the sandbox's one port, as DevStack lays them out."""

ENDPOINTS = {**MOUNTS, "volumev3": "/volume/v3", "compute": "/compute/v2.1"}
"""Path of each service type's endpoint in the catalog: nova's and Cinder's name their version, as DevStack's do."""

TOKEN_CACHE_KEY = "nova_fakes.token_cache"
"""WSGI environment key under which auth_token finds the process's token cache."""

Sections = dict[str, dict[str, str]]


def _render(sections: Mapping[str, Mapping[str, str]]) -> str:
    blocks = []
    for section, options in sections.items():
        lines = [f"[{section}]"] + [f"{name} = {value}" for name, value in options.items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _credentials(url: str, user: str, password: str) -> dict[str, str]:
    return {
        "auth_type": "password",
        "auth_url": f"{url}{MOUNTS['identity']}",
        "username": user,
        "password": password,
        "user_domain_id": "default",
        "project_name": "service",
        "project_domain_id": "default",
        "region_name": REGION,
    }


#: nova's own, and those by which it finds a host with the NUMA cells or the devices that a flavor asks for.
_FILTERS = (
    "ComputeFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "NUMATopologyFilter",
    "PciPassthroughFilter",
)


def _token_validation(url: str, user: str, password: str) -> dict[str, str]:
    options = _credentials(url, user, password)
    del options["region_name"]
    return {
        **options,
        "www_authenticate_uri": f"{url}{MOUNTS['identity']}",
        "cache": TOKEN_CACHE_KEY,
        # Long enough to spare a boot its repeated validations, short enough that a revoked token soon dies.
        "token_cache_time": "60",
        "service_token_roles_required": "true",
    }


def write_nova(state: StateDirectory, spec: SandboxSpec, url: str) -> Path:
    """Write nova.conf and api-paste.ini.

    :param url: root of the sandbox's APIs, without a closing slash
    :returns: path of nova.conf
    """
    password = state.passwords()["service"]
    credentials = _credentials(url, "nova", password)
    sections: Sections = {
        "DEFAULT": {
            "host": "controller",
            "my_ip": "127.0.0.1",
            "transport_url": "nova-fakes://sandbox/",
            "compute_driver": "nova_fakes.FakeDriver",
            "state_path": str(state.hypervisors),
            "instances_path": str(state.hypervisors / "instances"),
            "use_stderr": "false",
            # `host down` is seen within seconds rather than within nova's minute.
            "report_interval": "2",
            "service_down_time": "10",
            "periodic_fuzzy_delay": "0",
            "vif_plugging_timeout": "60",
            "vif_plugging_is_fatal": "true",
            "shutdown_timeout": "10",
            "resume_guests_state_on_host_boot": "true",
            "allow_resize_to_same_host": "true",
            # The default of 3 s between two looks at a volume would be most of a boot from volume.
            "block_device_allocate_retries_interval": "1",
        },
        "api": {"auth_strategy": "keystone"},
        "api_database": {
            "connection": database.url(state.databases / "nova_api.sqlite"),
            "sqlite_synchronous": "false",
        },
        "database": {
            "connection": database.url(state.databases / "nova_cell1.sqlite"),
            "sqlite_synchronous": "false",
        },
        "cinder": {**credentials, "os_region_name": REGION},
        "compute": {"consecutive_build_service_disable_threshold": "0"},
        "filter_scheduler": {
            "enabled_filters": ",".join(_FILTERS),
            # Servers that are asked for at once find all hosts equal; the first one need not get them all.
            "shuffle_best_same_weighed_hosts": "true",
        },
        "glance": {"region_name": REGION},
        "keystone_authtoken": _token_validation(url, "nova", password),
        "neutron": credentials,
        "nova_fakes": {"vif_realizer": spec.realizer, "state_path": str(state.journal)},
        "oslo_concurrency": {"lock_path": str(state.root / "locks")},
        "oslo_policy": {"policy_file": str(state.etc / "policy.yaml")},
        "placement": credentials,
        # Sandboxes are for scale tests too: what limits them is the fleet's capacity, not a project's quota.
        "quota": dict.fromkeys(("instances", "cores", "ram", "server_groups", "server_group_members"), "-1"),
        "scheduler": {"discover_hosts_in_cells_interval": "-1"},
        "service_user": {**credentials, "send_service_user_token": "true"},
        "vnc": {"enabled": "true", "novncproxy_base_url": "http://127.0.0.1:6080/vnc_lite.html"},
        "serial_console": {"enabled": "true"},
        "spice": {"enabled": "true"},
    }
    del sections["cinder"]["region_name"]
    for name, value in spec.options.items():
        section, option = name.split("/")
        sections.setdefault(section, {})[option] = value
    (state.etc / "policy.yaml").write_text("{}\n")
    path = state.etc / "nova.conf"
    write_private(path, _render(sections))
    paste = Path(sys.prefix) / "etc" / "nova" / "api-paste.ini"
    if not paste.exists():
        raise SandboxError(f"{paste} is missing: nova's wheel installs it; reinstall nova into this environment")
    shutil.copyfile(paste, state.etc / "api-paste.ini")
    return path


def write_placement(state: StateDirectory, url: str, *, migrate: bool = True) -> Path:
    """Write placement.conf; return its path.

    :param migrate: whether placement brings its database up to date when it starts
    """
    sections: Sections = {
        "DEFAULT": {"use_stderr": "false"},
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": _token_validation(url, "placement", state.passwords()["service"]),
        "oslo_policy": {"policy_file": str(state.etc / "policy.yaml")},
        "placement_database": {
            "connection": database.url(state.databases / "placement.sqlite"),
            "sync_on_startup": str(migrate).lower(),
            "sqlite_synchronous": "false",
        },
    }
    path = state.etc / "placement.conf"
    write_private(path, _render(sections))
    return path


def write_clouds(state: StateDirectory, url: str) -> Path:
    """Write clouds.yaml with an administrator's and an ordinary user's cloud; return its path."""
    passwords = state.passwords()
    lines = ["clouds:"]
    for cloud, user in (("nova-fakes", "admin"), ("nova-fakes-demo", "demo")):
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {url}{MOUNTS['identity']}/v3",
            f"      username: {user}",
            f"      password: {passwords[user]}",
            f"      project_name: {user}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            f"    region_name: {REGION}",
            "    identity_api_version: 3",
        ]
    write_private(state.clouds, "\n".join(lines) + "\n")
    return state.clouds
