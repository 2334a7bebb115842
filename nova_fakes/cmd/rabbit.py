"""`nova-fakes rabbit`: serve a fake RabbitMQ."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.certificates import server_tls
from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from nova_fakes.rabbit.broker import Broker

__all__ = ["rabbit"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def rabbit() -> None:
    """Serve a message broker that behaves like RabbitMQ."""


@rabbit.command()
@click.option("--listen", multiple=True, help="[amqp://|amqps://]HOST:PORT; may be given again.")
@click.option("--user", "users", multiple=True, help="NAME:PASSWORD; may be given again. guest:guest where none is.")
@click.option("--vhost", "vhosts", multiple=True, help="Virtual host besides /; may be given again.")
@click.option("--tls", type=FILE, help="PEM file with the certificate for amqps.")
@click.option("--key", type=FILE, help="PEM file with the certificate's key, where it is not in the same file.")
@click.option("--client-ca", type=FILE, help="PEM file of those who sign clients' certificates.")
@click.option(
    "--persist",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps what is durable; made where there is none.",
)
@click.option("--management", help="HOST:PORT for the management API and page, http://127.0.0.1:15672 for instance.")
def serve(
    listen: tuple[str, ...],
    users: tuple[str, ...],
    vhosts: tuple[str, ...],
    tls: Path | None,
    key: Path | None,
    client_ca: Path | None,
    persist: Path | None,
    management: str | None,
) -> int:
    """Serve a broker until interrupted. Prints the URL of each address as soon as it answers there.

    Without --listen it listens on amqp://127.0.0.1:5672. Each user may do everything in each virtual host.
    """
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.server import Server
    from nova_fakes.rabbit.sqlite_store import SqliteStore

    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    broker, certificate = Broker(), server_tls("tls", tls, key, client_ca)
    with ExitStack() as running:
        if persist is not None:
            running.enter_context(SqliteStore(persist)).load(broker)
        _let_in(broker, users, vhosts)
        server = running.enter_context(Server(broker, listen or ("amqp://127.0.0.1:5672",), tls=certificate))
        urls = list(server.urls)
        if management is not None:
            urls.append(running.enter_context(_management(broker, management)))
        # Messages form no cycles: looking for such among a million that wait would cost more than all else.
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)
        for url in urls:
            click.echo(url)
        signal.sigwait(stops)
    return exits.OK


def _let_in(broker: Broker, users: tuple[str, ...], vhosts: tuple[str, ...]) -> None:
    """Make virtual hosts, and users who may do everything in all of them."""
    for vhost in vhosts:
        broker.add_vhost(vhost)
    broker.users.remove("guest")
    for user in users or ("guest:guest",):
        name, colon, password = user.partition(":")
        if not colon or not name:
            raise InvalidInput("user", user, "give NAME:PASSWORD")
        broker.add_user(name, password, tags=("administrator",))


@contextmanager
def _management(broker: Broker, address: str) -> Iterator[str]:
    """Serve the management API for a while; give its URL."""
    from nova_fakes.rabbit.management import ManagementServer

    with ManagementServer(broker, address) as server:
        yield server.url
