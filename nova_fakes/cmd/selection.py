"""What a user types to name a sandbox, an instance or a host, and what it means."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nova_fakes.exceptions import GuestNotFound, HostNotFound, InvalidInput
from nova_fakes.scenario.sandboxes import Sandboxes

__all__ = ["host_names", "pass_sandboxes", "pick_host", "pick_instance", "state_option"]

pass_sandboxes = click.make_pass_decorator(Sandboxes, ensure=True)

state_option = click.option(
    "--state",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="State directory. Default: $NOVA_FAKES_STATE, else $XDG_STATE_HOME/nova-fakes (~/.local/state/nova-fakes).",
)


def pick_instance(instances: Sequence[Mapping[str, Any]], wanted: str) -> Mapping[str, Any]:
    """Find the instance that `wanted` means: a uuid, or a name that only one instance has.

    Raises GuestNotFound, naming the known ones, and InvalidInput where several instances have the name.
    """
    try:
        as_uuid = str(uuid.UUID(wanted))
    except ValueError:
        as_uuid = None
    for instance in instances:
        if instance["uuid"] == as_uuid:
            return instance
    named = [instance for instance in instances if instance["name"] == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        uuids = ", ".join(sorted(f"{instance['uuid']} (on {instance['host']})" for instance in named))
        raise InvalidInput("instance", wanted, f"{len(named)} instances have this name; give a uuid: {uuids}")
    known = ", ".join(sorted(str(instance["name"]) for instance in instances)) or "none; boot one first"
    raise GuestNotFound(f"there is no instance {wanted!r}; known instances: {known}")


def host_names(status: Mapping[str, Any]) -> list[str]:
    """Return the names of a sandbox's hosts, in the sandbox's order."""
    return [host["name"] for host in status["hosts"]]


def pick_host(status: Mapping[str, Any], wanted: str) -> str:
    """Return `wanted` if the sandbox has a host of that name; raise HostNotFound, naming the known ones, if not."""
    names = host_names(status)
    if wanted not in names:
        raise HostNotFound(f"there is no host {wanted!r}; known hosts: {', '.join(names)}")
    return wanted
