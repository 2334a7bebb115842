"""`nova-fakes ldap`: serve a fake LDAP directory."""

from __future__ import annotations

import contextlib
import gc
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from nova_fakes.cmd import exits
from nova_fakes.cmd.certificates import server_tls
from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.results import LdapError

if TYPE_CHECKING:
    from nova_fakes.ldap.directory import Directory

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
@click.option(
    "--load",
    "ldif",
    multiple=True,
    type=FILE,
    help="LDIF file of entries or changes, for an empty directory; may be given again.",
)
@click.option("--persist", type=click.Path(dir_okay=False, path_type=Path), help="SQLite file that keeps the entries.")
@click.option("--faults", type=FILE, help="TOML file of fault rules.")
@click.option("--schema", multiple=True, type=FILE, help="slapd schema or LDIF file to add; may be given again.")
@click.option("--no-schema-check", is_flag=True, help="Take entries whatever their object classes say.")
@click.option("--tree-delete", is_flag=True, help="Offer the control that deletes subtrees, which slapd does not.")
@click.option("--member-of", is_flag=True, help="Give members of groups a memberOf.")
@click.option(
    "--integrity", multiple=True, metavar="ATTRIBUTE", help="Let its values follow entries; may be given again."
)
@click.option("--sync", is_flag=True, help="Let copies be kept up to date (RFC 4533).")
@click.option("--session-log", type=click.IntRange(0), default=0, show_default=True, help="Deletions kept for copies.")
@click.option(
    "--access",
    multiple=True,
    metavar="RULE",
    help="As slapd's: 'to attrs=userPassword by self write by anonymous auth'; may be given again, the first decides.",
)
@click.option("--allow-bind-v2", is_flag=True, help="Let clients bind by LDAPv2.")
@click.option("--certificate", type=FILE, help="PEM file for ldaps and StartTLS.")
@click.option("--key", type=FILE, help="PEM file with the certificate's key, where it is not in the same file.")
@click.option("--client-ca", type=FILE, help="PEM file of those who sign clients' certificates.")
@click.option(
    "--authz-regexp",
    multiple=True,
    nargs=2,
    metavar="PATTERN DN",
    help="As whom SASL EXTERNAL binds; may be given again.",
)
def serve(
    listen: tuple[str, ...],
    ldapi: Path | None,
    suffix: str,
    root_dn: str | None,
    root_password: str,
    ldif: tuple[Path, ...],
    persist: Path | None,
    faults: Path | None,
    schema: tuple[Path, ...],
    no_schema_check: bool,
    tree_delete: bool,
    member_of: bool,
    integrity: tuple[str, ...],
    sync: bool,
    session_log: int,
    access: tuple[str, ...],
    allow_bind_v2: bool,
    certificate: Path | None,
    key: Path | None,
    client_ca: Path | None,
    authz_regexp: tuple[tuple[str, str], ...],
) -> int:
    """Serve a directory until interrupted. Prints the URL of each address as soon as it answers there.

    Without --listen and --ldapi it listens on ldap://127.0.0.1:1389.
    """
    from nova_fakes.ldap import fault_plan
    from nova_fakes.ldap.access import AccessRule
    from nova_fakes.ldap.directory import Directory
    from nova_fakes.ldap.schema import Schema
    from nova_fakes.ldap.server import Server

    urls = list(listen)
    if ldapi is not None:
        urls.append(f"ldapi://{quote(str(ldapi.absolute()), safe='')}")
    tls = server_tls("certificate", certificate, key, client_ca)
    plan = fault_plan.load(faults) if faults is not None else None
    directory = Directory(
        suffix,
        root_dn=root_dn,
        root_password=root_password,
        schema=Schema(files=schema),
        check_schema=not no_schema_check,
        tree_delete=tree_delete,
        member_of=member_of,
        integrity=integrity,
        sync=sync,
        session_log=session_log,
        access=[AccessRule.parse(rule) for rule in access],
        allow_v2=allow_bind_v2,
        persist=persist,
    )
    with contextlib.closing(directory):
        _fill(directory, ldif)
        if plan is not None:
            plan.put_in_force(directory.faults)
        # The entries stay: the collector need not look through them again and again.
        gc.freeze()
        stops = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        with Server(directory, tuple(urls) or ("ldap://127.0.0.1:1389",), tls=tls, authz=authz_regexp) as server:
            for url in server.urls:
                click.echo(url)
            signal.sigwait(stops)
    return exits.OK


def _fill(directory: Directory, paths: Iterable[Path]) -> None:
    """Load LDIF files into a directory that has nothing yet.

    :raises InvalidInput: where one cannot be read
    """
    from nova_fakes.ldap.ldif import load

    if directory.root is not None:
        return
    with directory.operations.atomic():
        for path in paths:
            try:
                load(directory, path.read_text("utf-8"), read_files=True)
            except InvalidInput as error:
                raise InvalidInput(f"{path}, {error.field}", error.value, error.cure) from None
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput("load", str(path), f"it cannot be read: {error}") from None
            except LdapError as error:
                raise InvalidInput("load", str(path), str(error)) from None
