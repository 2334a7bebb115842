"""`nova-fakes exec` and `nova-fakes ping`: what happens inside an instance's network namespace."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.selection import pass_sandboxes, pick_instance, state_option
from nova_fakes.exceptions import SandboxError
from nova_fakes.scenario.sandboxes import Sandboxes

if TYPE_CHECKING:
    from nova_fakes.scenario.probes import Echoes

__all__ = ["execute", "instance_addresses", "ping", "require_namespace"]

NOT_EXECUTABLE = 126
NOT_A_COMMAND = 127


def require_namespace(instance: Mapping[str, Any]) -> None:
    """Raise SandboxError where the instance has no network namespace, telling how to get one."""
    if instance["namespace"] is None:
        raise SandboxError(
            f"instance {instance['name']!r} has no network namespace: it runs without a real interface. "
            "Start the sandbox with --realizer bridge, and the server if it is shelved or still building"
        )


def instance_addresses(instance: Mapping[str, Any], families: tuple[int, ...] = (4, 6)) -> list[str]:
    """Return the fixed addresses of all interfaces that belong to one of the families (4, 6)."""
    addresses = (address for vif in instance["vifs"] for address in vif["addresses"])
    return [address for address in addresses if ip_address(address).version in families]


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@state_option
@click.argument("instance")
@click.argument("command", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_sandboxes
def execute(sandboxes: Sandboxes, state: Path | None, instance: str, command: tuple[str, ...]) -> int:
    """Run CMD in the network namespace of INSTANCE (a name or uuid).

    CMD sees the instance's interfaces, addresses and routes, and this machine's files. Ends with CMD's exit code.
    """
    client = sandboxes.client(state)
    found = pick_instance(client.instances(), instance)
    require_namespace(found)
    client.enter(found["uuid"])
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        click.echo(f"nova-fakes: {command[0]}: no such command on this machine", err=True)
        return NOT_A_COMMAND
    except OSError as error:
        click.echo(f"nova-fakes: {command[0]}: {error.strerror}", err=True)
        return NOT_EXECUTABLE


@click.command()
@state_option
@click.argument("source", metavar="INSTANCE")
@click.argument("target", metavar="INSTANCE")
@click.option("-c", "--count", type=click.IntRange(min=1), default=4, show_default=True, help="Requests an address.")
@click.option("-i", "--interval", "interval_s", type=click.FloatRange(min=0.001), default=0.2, show_default=True)
@click.option("-W", "--timeout", "timeout_s", type=click.FloatRange(min=0.001), default=1.0, show_default=True)
@click.option("-4", "ipv4", is_flag=True, help="IPv4 only.")
@click.option("-6", "ipv6", is_flag=True, help="IPv6 only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list, an object an address.")
@pass_sandboxes
def ping(
    sandboxes: Sandboxes,
    state: Path | None,
    source: str,
    target: str,
    count: int,
    interval_s: float,
    timeout_s: float,
    ipv4: bool,
    ipv6: bool,
    as_json: bool,
) -> int:
    """Ping every address of the second INSTANCE from inside the first.

    Ends with 1 where an address gave no reply at all. Interval and timeout are in seconds.
    """
    from nova_fakes.scenario.probes import Prober

    client = sandboxes.client(state)
    instances = client.instances()
    pinging, pinged = pick_instance(instances, source), pick_instance(instances, target)
    require_namespace(pinging)
    families = tuple(family for family, chosen in ((4, ipv4), (6, ipv6)) if chosen) or (4, 6)
    addresses = instance_addresses(pinged, families)
    if not addresses:
        wanted = " or ".join(f"IPv{family}" for family in families)
        raise SandboxError(f"instance {pinged['name']!r} has no {wanted} address to ping")
    prober = Prober(Path(client.status()["state_dir"]))
    echoes = prober.ping(pinging["uuid"], addresses, count=count, interval_s=interval_s, timeout_s=timeout_s)
    if as_json:
        click.echo(json.dumps([asdict(result) for result in echoes], indent=2))
    else:
        for result in echoes:
            click.echo(_line(pinging["name"], pinged["name"], result))
    return exits.OK if all(result.received for result in echoes) else exits.FAILED


def _line(source: str, target: str, echoes: Echoes) -> str:
    line = f"{source} → {target} {echoes.address}: {echoes.received} of {echoes.sent} replies"
    times = echoes.rtts_ms
    if not times:
        return line
    return f"{line}, round trip {min(times):.3f}/{sum(times) / len(times):.3f}/{max(times):.3f} ms (min/mean/max)"
