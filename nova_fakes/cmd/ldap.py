"""`nova-fakes ldap`: serve a fake LDAP directory."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.parse import quote

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.certificates import server_tls

__all__ = ["ldap"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def ldap() -> None:
    """Serve a fake LDAP directory that behaves like OpenLDAP's slapd."""


@ldap.command()
@click.option("--listen", multiple=True, help="ldap://HOST:PORT or ldaps://HOST:PORT; may be given again.")
@click.option("--ldapi", type=click.Path(path_type=Path), help="Path of a UNIX socket to listen on.")
@click.option("--suffix", default="dc=example,dc=com", show_default=True, help="DN of the topmost entry.")
@click.option("--root-dn", help="DN that may do everything; cn=admin under the suffix where none is given.")
@click.option("--root-password", default="secret", show_default=True, help="Its password.")
@click.option("--load", "ldif", multiple=True, type=FILE, help="LDIF file of entries; may be given again.")
@click.option("--schema", multiple=True, type=FILE, help="slapd schema or LDIF file to add; may be given again.")
@click.option("--no-schema-check", is_flag=True, help="Take entries whatever their object classes say.")
@click.option("--tree-delete", is_flag=True, help="Offer the control that deletes subtrees, which slapd does not.")
@click.option("--certificate", type=FILE, help="PEM file for ldaps and StartTLS.")
@click.option("--key", type=FILE, help="PEM file with the certificate's key, where it is not in the same file.")
@click.option("--client-ca", type=FILE, help="PEM file of those who sign clients' certificates.")
def serve(
    listen: tuple[str, ...],
    ldapi: Path | None,
    suffix: str,
    root_dn: str | None,
    root_password: str,
    ldif: tuple[Path, ...],
    schema: tuple[Path, ...],
    no_schema_check: bool,
    tree_delete: bool,
    certificate: Path | None,
    key: Path | None,
    client_ca: Path | None,
) -> int:
    """Serve a directory in memory until interrupted. Prints the URL of each address as soon as it answers there.

    Without --listen and --ldapi it listens on ldap://127.0.0.1:1389.
    """
    from nova_fakes.ldap.directory import Directory
    from nova_fakes.ldap.ldif import load
    from nova_fakes.ldap.schema import Schema
    from nova_fakes.ldap.server import Server

    directory = Directory(
        suffix,
        root_dn=root_dn,
        root_password=root_password,
        schema=Schema(files=schema),
        check_schema=not no_schema_check,
        tree_delete=tree_delete,
    )
    for path in ldif:
        load(directory, path.read_text("utf-8"))
    urls = list(listen)
    if ldapi is not None:
        urls.append(f"ldapi://{quote(str(ldapi.absolute()), safe='')}")
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    with Server(
        directory, tuple(urls) or ("ldap://127.0.0.1:1389",), tls=server_tls("certificate", certificate, key, client_ca)
    ) as server:
        for url in server.urls:
            click.echo(url)
        signal.sigwait(stops)
    return exits.OK
