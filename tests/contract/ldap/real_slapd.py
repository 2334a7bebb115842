"""A slapd of our own: on a free port of loopback, below a temporary directory, ended by us."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SLAPD = shutil.which("slapd") or shutil.which("slapd", path="/usr/sbin")
SCHEMAS = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
START_S = 20.0


def _configuration(directory: Path, suffix: str, root_dn: str, rules: Sequence[str], overlays: Sequence[str]) -> str:
    included = "\n".join(f"include {SCHEMAS}/{name}.schema" for name in ("core", "cosine", "inetorgperson", "nis"))
    loaded = "\n".join(f"moduleload {words.partition(';')[0]}" for words in ("back_mdb", *overlays))
    placed = "\n".join("overlay " + words.replace("; ", "\n") for words in overlays)
    access = "\n".join(f"access to {rule}" for rule in rules)
    return f"""\
{included}
pidfile {directory}/pid
argsfile {directory}/args
modulepath {MODULES}
{loaded}
database mdb
suffix "{suffix}"
rootdn "{root_dn}"
rootpw secret
directory {directory}/data
dbnosync
maxsize 104857600
sizelimit 500
index objectClass eq
{access}
{placed}
"""


@contextmanager
def running_slapd(
    directory: Path, suffix: str, root_dn: str, rules: Sequence[str], overlays: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Start a slapd in an empty directory; yields where it listens.

    :param overlays: each with its directives after semicolons
    """
    if SLAPD is None or not (SCHEMAS / "nis.schema").is_file():
        pytest.skip("slapd is not installed: apt-get install --no-install-recommends slapd")
    (directory / "data").mkdir()
    configuration = directory / "slapd.conf"
    configuration.write_text(_configuration(directory, suffix, root_dn, rules, overlays))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = ("127.0.0.1", int(listener.getsockname()[1]))
    command = [SLAPD, "-d", "0", "-f", str(configuration), "-h", f"ldap://127.0.0.1:{address[1]}/"]
    # The library that slapd stands on reads what its user has configured for clients.
    environment = os.environ | {"LDAPNOINIT": "1"}
    with (directory / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"slapd does not start: {(directory / 'output').read_text()}")
            time.sleep(0.02)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) == 0
