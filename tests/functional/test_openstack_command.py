"""The stock `openstack` command does with a server whatever its users do, and says what came of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack_commands import OpenStackShell
from running import wait_for

from nova_fakes.sandbox.client import Client
from nova_fakes.virt.guest import State

NOVA_FAKES = Path(sys.executable).with_name("nova-fakes")


class Shell(OpenStackShell):
    """The stock client with questions about servers."""

    def server(self, name: str) -> Any:
        return self.ask(f"server show {name}")

    def until(self, name: str, status: str, power: State | None = None) -> Any:
        """Wait until the server has that status and no task, and return it."""

        def reached() -> Any:
            server = self.server(name)
            assert server["status"] != "ERROR" or status == "ERROR", server.get("fault")
            idle = server["OS-EXT-STS:task_state"] is None
            return server if server["status"] == status and idle else None

        server = wait_for(f"{name} to be {status}", reached)
        assert power is None or server["OS-EXT-STS:power_state"] == power
        return server


@pytest.fixture(scope="module")
def shell(sandbox: Client) -> Iterator[Shell]:
    with Shell(sandbox.environment()) as shell:
        yield shell


@pytest.fixture(scope="module")
def make(shell: Shell) -> Iterator[Any]:
    """Make servers that are deleted in the end."""
    made: list[str] = []

    def make(name: str, options: str = "--network private") -> Any:
        made.append(name)
        return shell.ask(f"server create --image nova-fakes --flavor m1.tiny {options} --wait {name}")

    yield make
    for name in made:
        shell.run(f"server delete --wait {name}")
    assert not {server["Name"] for server in shell.ask("server list")} & set(made)


@pytest.fixture(scope="module")
def web(make: Any) -> str:
    created = make("web", "--network private --property role=front")
    assert created["status"] == "ACTIVE"
    assert "private" in created["addresses"]
    assert created["properties"] == {"role": "front"}
    return "web"


def test_list_and_show(shell: Shell, web: str) -> None:
    (listed,) = [server for server in shell.ask("server list") if server["Name"] == web]
    assert listed["Status"] == "ACTIVE"
    assert listed["Image"] == "nova-fakes"
    assert listed["Flavor"] == "m1.tiny"
    shown = shell.server(web)
    assert shown["id"] == listed["ID"]
    assert shown["addresses"]["private"] == listed["Networks"]["private"]


@pytest.mark.parametrize(
    ("there", "status", "power", "back"),
    [
        ("pause", "PAUSED", State.PAUSED, "unpause"),
        ("suspend", "SUSPENDED", State.SUSPENDED, "resume"),
        ("stop", "SHUTOFF", State.SHUTDOWN, "start"),
        ("rescue", "RESCUE", State.RUNNING, "unrescue"),
        ("lock", "ACTIVE", State.RUNNING, "unlock"),
    ],
)
def test_there_and_back(shell: Shell, web: str, there: str, status: str, power: State, back: str) -> None:
    shell.do(f"server {there} {web}")
    shell.until(web, status, power)
    shell.do(f"server {back} {web}")
    shell.until(web, "ACTIVE", State.RUNNING)


@pytest.mark.parametrize("way", ["--soft", "--hard"])
def test_reboot(shell: Shell, web: str, way: str) -> None:
    shell.do(f"server reboot {way} {web}")
    wait_for("its event", lambda: shell.ask(f"server event list {web}")[0]["Action"] == "reboot")
    shell.until(web, "ACTIVE", State.RUNNING)


def test_resize_confirm_and_revert(shell: Shell, web: str) -> None:
    shell.do(f"server resize --flavor m1.small {web}")
    assert shell.until(web, "VERIFY_RESIZE")["flavor"]["name"] == "m1.small"
    shell.do(f"server resize revert {web}")
    assert shell.until(web, "ACTIVE")["flavor"]["name"] == "m1.tiny"
    shell.do(f"server resize --flavor m1.small {web}")
    shell.until(web, "VERIFY_RESIZE")
    shell.do(f"server resize confirm {web}")
    assert shell.until(web, "ACTIVE")["flavor"]["name"] == "m1.small"


@pytest.mark.parametrize("live", [True, False])
def test_migrate(shell: Shell, web: str, live: bool) -> None:
    source = shell.server(web)["OS-EXT-SRV-ATTR:host"]
    shell.do(f"server migrate {'--live-migration' if live else ''} {web}")
    if not live:
        shell.until(web, "VERIFY_RESIZE")
        shell.do(f"server migrate confirm {web}")
    wait_for("the migration", lambda: shell.until(web, "ACTIVE")["OS-EXT-SRV-ATTR:host"] != source)
    (latest, *_) = shell.ask(f"server migration list --server {web}")
    assert latest["Status"] in ("completed", "confirmed")
    assert latest["Source Compute"] == source


def test_shelve_and_unshelve(shell: Shell, web: str) -> None:
    shell.do(f"server shelve --offload {web}")
    assert shell.until(web, "SHELVED_OFFLOADED")["OS-EXT-SRV-ATTR:host"] is None
    shell.do(f"server unshelve {web}")
    shell.until(web, "ACTIVE", State.RUNNING)


def test_rebuild(shell: Shell, web: str) -> None:
    before = shell.server(web)["addresses"]
    shell.do(f"server rebuild --image nova-fakes --name {web} {web}")
    assert shell.until(web, "ACTIVE")["addresses"] == before


def test_image_of_a_server(shell: Shell, web: str) -> None:
    shell.do(f"server image create --name web-image --wait {web}")
    image = shell.ask("image show web-image")
    assert image["status"] == "active"
    assert image["size"] > 0
    shell.do("image delete web-image")


def test_console_log(shell: Shell, web: str) -> None:
    assert f"{web} login:" in shell.do(f"console log show {web}")
    assert len(shell.do(f"console log show --lines 3 {web}").strip().splitlines()) <= 3


def test_events_tell_the_story(shell: Shell, web: str) -> None:
    told = [event["Action"] for event in shell.ask(f"server event list {web}")]
    assert told[-1] == "create"


def test_port_comes_and_goes(shell: Shell, web: str) -> None:
    port = shell.ask("port create --network private web-port")
    shell.do(f"server add port {web} web-port")
    address = port["fixed_ips"][0]["ip_address"]
    wait_for("the address", lambda: address in shell.server(web)["addresses"]["private"])
    assert shell.ask("port show web-port")["device_id"] == shell.server(web)["id"]
    shell.do(f"server remove port {web} web-port")
    wait_for("its going", lambda: address not in shell.server(web)["addresses"]["private"])
    wait_for("the port to be free", lambda: shell.ask("port show web-port")["device_id"] == "")
    shell.do("port delete web-port")


def test_volume_comes_and_goes(shell: Shell, web: str) -> None:
    volume = shell.ask("volume create --size 1 web-volume")["id"]
    wait_for("the volume", lambda: shell.ask(f"volume show {volume}")["status"] == "available")
    shell.do(f"server add volume {web} {volume}")
    wait_for("its attachment", lambda: shell.ask(f"volume show {volume}")["status"] == "in-use")
    assert [found["Volume ID"] for found in shell.ask(f"server volume list {web}")] == [volume]
    shell.do(f"server remove volume {web} {volume}")
    wait_for("its detachment", lambda: shell.ask(f"volume show {volume}")["status"] == "available")
    assert shell.ask(f"server volume list {web}") == []
    shell.do(f"volume delete {volume}")


def test_set_and_unset(shell: Shell, web: str) -> None:
    shell.do(f"server set --property tier=gold --description shop {web}")
    shown = shell.server(web)
    assert shown["properties"] == {"role": "front", "tier": "gold"}
    assert shown["description"] == "shop"
    shell.do(f"server unset --property tier {web}")
    assert shell.server(web)["properties"] == {"role": "front"}


def test_evacuate_from_a_host_that_is_down(shell: Shell, make: Any, sandbox: Client) -> None:
    make("moved")
    source = shell.server("moved")["OS-EXT-SRV-ATTR:host"]

    def host(verb: str) -> None:
        state = str(sandbox.state.root)
        subprocess.run([NOVA_FAKES, "host", verb, "--state", state, source], check=True, timeout=300)

    def service() -> Any:
        return next(s for s in shell.ask("compute service list --service nova-compute") if s["Host"] == source)

    host("down")
    try:
        wait_for("the service to be down", lambda: service()["State"] == "down")
        shell.do("server evacuate moved")
        wait_for("the evacuation", lambda: shell.server("moved")["OS-EXT-SRV-ATTR:host"] not in (source, None))
    finally:
        host("up")
        wait_for("the service to be up", lambda: service()["State"] == "up")


def test_hypervisors_services_and_usage(shell: Shell, web: str) -> None:
    names = {row["Hypervisor Hostname"] for row in shell.ask("hypervisor list")}
    assert names == {"compute-1", "compute-2"}
    host = shell.server(web)["OS-EXT-SRV-ATTR:hypervisor_hostname"]
    shown = shell.ask(f"hypervisor show {host}")
    assert shown["hypervisor_hostname"] == host
    assert shown["state"] == "up"
    assert shown["uptime"]
    assert shell.ask("hypervisor stats show")["count"] == 2
    usage = shell.ask("usage show")
    assert usage["Servers"]
    assert usage["RAM MB-Hours"] > 0
    shell.do(f"compute service set --disable --disable-reason resting {host} nova-compute")
    try:
        rows = shell.ask("compute service list --service nova-compute --long")
        assert {row["Host"]: row["Disabled Reason"] for row in rows}[host] == "resting"
    finally:
        shell.do(f"compute service set --enable {host} nova-compute")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("server show nobody", "No Server found for nobody"),
        ("server unpause web", "409"),
        ("server create --image nova-fakes --flavor m1.tiny --network nowhere lost", "nowhere"),
        ("server add volume web nothing", "nothing"),
        ("server migrate --live-migration --host compute-9 web", "compute-9"),
    ],
)
def test_refusals_reach_the_user(shell: Shell, web: str, command: str, text: str) -> None:
    outcome = shell.run(command)
    assert outcome.status != 0
    assert text in outcome.errors
