"""The demo's last steps: delete everything, stop the sandbox, look for what was left behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nova_fakes.exceptions import NotRunning, StepFailed
from nova_fakes.scenario.leaks import Footprint
from nova_fakes.scenario.stage import Stage
from nova_fakes.scenario.steps import NotApplicable

if TYPE_CHECKING:
    from nova_fakes.sandbox.client import Client

__all__ = ["check_leaks", "delete_everything", "logged_errors", "stop_sandbox"]

ERRORS_PER_LOG = 20
_ERROR = re.compile(r"\b(ERROR|CRITICAL)\b")


def delete_everything(stage: Stage) -> str:
    """Delete all that the demo made in the cloud, in an order that the services accept, and see it gone."""
    if stage.footprint is None and stage.is_up:
        stage.footprint = Footprint.take(stage.client, stage.plan.state)
    _keep_going([lambda: _detach_volume(stage), lambda: _delete_servers(stage), lambda: _delete_records(stage)])
    guests = stage.client.instances()
    if guests:
        names = ", ".join(f"{guest['name']} on {guest['host']}" for guest in guests)
        raise StepFailed(f"nova deleted the servers, but hypervisors still have {names}")
    return f"{len(stage.servers)} servers and {len(stage.made)} other records"


def _keep_going(actions: list[Callable[[], None]]) -> None:
    """Run all actions; where some failed, raise one error that tells of each."""
    errors = []
    for action in actions:
        try:
            action()
        except Exception as error:
            errors.append(str(error) or repr(error))
    if errors:
        raise StepFailed("; ".join(errors))


def _detach_volume(stage: Stage) -> None:
    if "attachment" not in stage.made:
        return
    server, volume_id = stage.made["attachment"]
    stage.cloud.compute.delete_volume_attachment(server.id, volume_id)
    stage.wait_for(
        "volume available",
        lambda: True if stage.cloud.block_storage.get_volume(volume_id).status == "available" else None,
    )


def _delete_servers(stage: Stage) -> None:
    for server in stage.servers:
        stage.cloud.compute.delete_server(server.id, ignore_missing=True)
    ours = {server.id for server in stage.servers}
    stage.wait_for(
        "servers deleted",
        lambda: None if any(found.id in ours for found in stage.cloud.compute.servers()) else True,
    )


def _delete_records(stage: Stage) -> None:
    cloud = stage.cloud

    def delete_router(router: Any) -> None:
        if "IPv4 subnet" in stage.made:
            cloud.network.remove_interface_from_router(router, subnet_id=stage.made["IPv4 subnet"].id)
        cloud.network.delete_router(router, ignore_missing=False)

    deleters: dict[str, Callable[[Any], Any]] = {
        "volume": lambda record: cloud.block_storage.delete_volume(record, ignore_missing=False),
        "floating IP": lambda record: cloud.network.delete_ip(record, ignore_missing=False),
        "router": delete_router,
        "external network": lambda record: cloud.network.delete_network(record, ignore_missing=False),
        "network": lambda record: cloud.network.delete_network(record, ignore_missing=False),
        "image": lambda record: cloud.image.delete_image(record, ignore_missing=False),
        "small flavor": lambda record: cloud.compute.delete_flavor(record, ignore_missing=False),
        "large flavor": lambda record: cloud.compute.delete_flavor(record, ignore_missing=False),
    }
    _keep_going(
        [lambda kind=kind: deleters[kind](stage.made[kind]) for kind in deleters if kind in stage.made]  # type: ignore[misc]
    )


def stop_sandbox(stage: Stage) -> str:
    """Stop the daemon and remove a temporary state directory.

    Where the daemon died before, what it made is removed as its ledger tells.
    """
    if not stage.is_up:
        stage.discard()
        raise NotApplicable("the sandbox did not come up, and has removed what it had made")
    try:
        stage.errors = logged_errors(stage.client)
        stage.client.down()
    except NotRunning as error:
        removed = stage.sandboxes.cleanup(stage.plan.state)
        raise StepFailed(f"the daemon had died, {len(removed)} things were removed after it: {error}") from error
    finally:
        stage.discard()
    return f"process {stage.status['pid']} has ended"


def logged_errors(client: Client) -> list[str]:
    """Return the last lines that a sandbox's services logged as errors, each with the name of its log."""
    found: list[str] = []
    for name in client.log_names():
        path = client.log_path(name)
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found += [f"{name}: {line}" for line in lines if _ERROR.search(line)][-ERRORS_PER_LOG:]
    return found


def check_leaks(stage: Stage) -> str:
    """Compare the machine with what the sandbox had made on it: all of it must be gone."""
    if stage.footprint is None:
        raise NotApplicable("nothing had been made")
    stage.leaks = leaks = stage.footprint.left(state_stays=not stage.plan.temporary)
    if leaks.left:
        raise StepFailed(f"{len(leaks.left)} things were left behind: {', '.join(leaks.left[:5])}")
    made = ", ".join(f"{count} {kind}" for kind, count in leaks.made.items())
    return f"{made}: all gone"
