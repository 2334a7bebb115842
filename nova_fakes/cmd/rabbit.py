"""`nova-fakes rabbit`: serve a fake RabbitMQ."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path

import click

from nova_fakes.cmd import exits
from nova_fakes.exceptions import InvalidInput

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
def serve(
    listen: tuple[str, ...],
    users: tuple[str, ...],
    vhosts: tuple[str, ...],
    tls: Path | None,
    key: Path | None,
    client_ca: Path | None,
) -> int:
    """Serve a broker in memory until interrupted. Prints the URL of each address as soon as it answers there.

    Without --listen it listens on amqp://127.0.0.1:5672. Each user may do everything in each virtual host.
    """
    from nova_fakes.rabbit.broker import Broker
    from nova_fakes.rabbit.server import Server

    broker = Broker()
    for vhost in vhosts:
        broker.add_vhost(vhost)
    if users:
        broker.users.remove("guest")
    for user in users or ("guest:guest",):
        name, colon, password = user.partition(":")
        if not colon or not name:
            raise InvalidInput("user", user, "give NAME:PASSWORD")
        broker.add_user(name, password, tags=("administrator",))
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with Server(broker, listen or ("amqp://127.0.0.1:5672",), tls=_tls(tls, key, client_ca)) as server:
        for url in server.urls:
            click.echo(url)
        signal.sigwait(stops)
    return exits.OK


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        tls.load_cert_chain(certificate, key)
        if client_ca is not None:
            tls.load_verify_locations(client_ca)
            tls.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput("tls", str(certificate), f"give PEM files that belong together ({error})") from None
    return tls
