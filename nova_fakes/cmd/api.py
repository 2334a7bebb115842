"""`nova-fakes api`: serve fakes of OpenStack's APIs."""

from __future__ import annotations

import shlex
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits
from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from nova_fakes.api.server import Server

__all__ = ["api"]

SERVICES = ("identity", "image", "network", "volume", "compute")
DEFAULT_HOST = "127.0.0.1"


@click.group()
def api() -> None:
    """Serve fakes of OpenStack's APIs, without a nova."""


@api.command()
@click.argument("services", nargs=-1, required=True, type=click.Choice(SERVICES))
@click.option(
    "--listen",
    multiple=True,
    help="[SERVICE=]HOST:PORT; may be given again, for services with a port of their own. Port 0 takes a free one.",
)
@click.option("--password", default="secret", show_default=True, help="Password of all users.")
@click.option("--region", default="RegionOne", show_default=True, help="Region of the endpoints.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="Directory that outlives the process.")
@click.option(
    "--fleet", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file of the compute hosts."
)
@click.option("--empty", is_flag=True, help="Begin without the image and the network that a first server needs.")
def serve(
    services: tuple[str, ...],
    listen: tuple[str, ...],
    password: str,
    region: str,
    state: Path | None,
    fleet: Path | None,
    empty: bool,
) -> int:
    """Serve any of the services until interrupted: identity, image, network, volume, compute.

    Prints their URLs, and the variables by which the openstack command finds them, as soon as they answer. Without the
    identity service every token counts, and so does none.
    """
    from nova_fakes.api.stack import PATHS, Stack
    from nova_fakes.virt import fleet_file

    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    plan = None if fleet is None else fleet_file.load(fleet)
    with ExitStack() as opened:
        servers = _servers(opened, services, listen)
        urls = {name: server.url for name, server in servers.items()}
        made = Stack(services, urls=urls, password=password, region=region, directory=state, plan=plan, seed=not empty)
        stack = opened.enter_context(made)
        for name in stack.services:
            servers[name].mount(PATHS[name][1], stack.mounted(name))
        for server in dict.fromkeys(servers.values()):
            server.start()
            opened.callback(server.stop)  # before the stack is saved
        for name in stack.services:
            click.echo(f"{name:<9}{stack.endpoint(name)}")
        for key, value in stack.environment().items():
            click.echo(f"export {key}={shlex.quote(value)}")
        signal.sigwait(stops)
    return exits.OK


def _servers(opened: ExitStack, services: tuple[str, ...], listen: tuple[str, ...]) -> dict[str, Server]:
    """Return who serves each service; the sockets listen already."""
    from nova_fakes.api.server import Server

    shared = (DEFAULT_HOST, 0)
    own: dict[str, tuple[str, int]] = {}
    for text in listen:
        name, equals, address = text.rpartition("=")
        if not equals:
            shared = _address(text, address)
        elif name in services:
            own[name] = _address(text, address)
        else:
            raise InvalidInput("--listen", text, f"name one of the services that are served: {', '.join(services)}")
    by_address: dict[tuple[str, int], Server] = {}
    found: dict[str, Server] = {}
    for name in services:
        where = own.get(name, shared)
        if where not in by_address or (name in own and where[1] == 0):
            by_address[where] = Server(host=where[0], port=where[1])
            opened.callback(by_address[where].stop)
        found[name] = by_address[where]
    return found


def _address(text: str, address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInput("--listen", text, "write HOST:PORT or SERVICE=HOST:PORT, as 127.0.0.1:8774")
    return host.strip("[]"), int(port)
