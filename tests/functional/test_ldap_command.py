"""`nova-fakes ldap serve`: what it keeps when it is killed, faults from a file, arguments that cannot be used."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ldap_client import Client

SUFFIX = "dc=example,dc=com"
ROOT = f"cn=admin,{SUFFIX}"
COMMAND = [sys.executable, "-m", "nova_fakes", "ldap", "serve"]
TOP = f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\no: x\n"


@contextmanager
def serving(*options: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command on a free port; give its process and its URL."""
    command = [*COMMAND, "--listen", "ldap://127.0.0.1:0", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def client_of(url: str) -> Iterator[Client]:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as sock:
        client = Client.on(sock)
        assert client.bind(ROOT, "secret").code == 0
        yield client


def work_until_killed(client: Client, process: subprocess.Popen[str], round_: int, after: int) -> dict[str, bytes]:
    """Add and change entries; kill the server in the midst. Return what the acknowledged operations left."""
    left: dict[str, bytes] = {}
    worked = threading.Semaphore(0)

    def kill() -> None:
        for _ in range(after):
            worked.acquire()
        process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for number in range(100_000):
            dn = f"ou={round_}-{number},{SUFFIX}"
            assert client.add(dn, [("objectClass", [b"organizationalUnit"]), ("description", [b"1"])]).code == 0
            left[dn] = b"1"
            worked.release()
            assert client.modify(dn, [(2, "description", [b"2"])]).code == 0
            left[dn] = b"2"
            worked.release()
    except OSError:
        pass
    killer.join()
    return left


def test_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    rng = random.Random(4)
    path, ldif = tmp_path / "entries.sqlite", tmp_path / "top.ldif"
    ldif.write_text(TOP)
    expected: dict[str, bytes] = {}
    identifiers: dict[str, bytes] = {}
    for round_ in range(4):
        with serving("--persist", path, "--load", ldif) as (process, url), client_of(url) as client:
            found = dict(client.search(SUFFIX, scope=1, attributes=["description", "entryUUID"]).entries)
            assert {dn: found[dn]["description"][0] for dn in expected} == {
                dn: max(value, found[dn]["description"][0]) for dn, value in expected.items()
            }
            assert len(found) - len(expected) <= 1  # what was on its way when it was killed
            assert identifiers == {dn: found[dn]["entryUUID"][0] for dn in identifiers}
            identifiers = {dn: attributes["entryUUID"][0] for dn, attributes in found.items()}
            expected = {dn: attributes["description"][0] for dn, attributes in found.items()}
            expected |= work_until_killed(client, process, round_, rng.randrange(2, 300))
            assert process.wait(20) == -signal.SIGKILL


def test_faults_from_a_file(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text(
        f'[[fault]]\noperation = "ldap.add"\nerror = "busy: later"\ntimes = 1\n'
        f'[[fault]]\noperation = "ldap.search"\ndn = "*{SUFFIX}"\nidentity = "CN=*,{SUFFIX}"\n'
        f'entries = 0\nerror = "other"\n'
    )
    with serving("--faults", faults) as (process, url):
        with client_of(url) as client:
            unit = [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])]
            answers = [client.add(SUFFIX, unit), client.add(SUFFIX, unit), client.search(SUFFIX)]
            assert [(one.code, one.text) for one in answers] == [
                (51, "later"), (0, ""), (80, "other, as a fault rule says"),
            ]  # fmt: skip
        process.terminate()
        assert process.wait(20) == 0


def write(name: str, text: str) -> Callable[[Path], Path]:
    def written(directory: Path) -> Path:
        path = directory / name
        path.write_text(text)
        return path

    return written


REFUSED: list[tuple[list[str | Callable[[Path], Path]], str]] = [
    (["--listen", "http://x"], "listen: 'http://x' cannot be used: give ldap://host:port"),
    (["--listen", "ldap://127.0.0.1:http"], "give a number as the port"),
    (["--listen", "ldaps://127.0.0.1:0"], "ldaps needs a certificate and its key"),
    (["--listen", "ldap://198.51.100.1:1389"], "listen: 'ldap://198.51.100.1:1389' cannot be used: "),
    (["--suffix", "example"], "suffix: 'example' cannot be used: give a DN, such as dc=example,dc=com"),
    (["--root-dn", "admin"], "root_dn: 'admin'"),
    (["--key", write("key.pem", "")], "give --certificate with it"),
    (["--certificate", write("c.pem", "x")], "give PEM files that belong together"),
    (
        ["--load", write("a.ldif", "dn: dc=example,dc=com\nnonsense\n")],
        "a.ldif, LDIF line 2: 'nonsense' cannot be used: ",
    ),
    (["--load", write("a.ldif", f"dn: {SUFFIX}\nobjectClass: person\n")], f"LDIF line 1, dn: {SUFFIX}: object class"),
    (["--schema", write("a.schema", "attributetype ( 1.2.3 NAME 'x' )")], "give the attribute type a SYNTAX or a SUP"),
    (["--faults", write("f.toml", '[[fault]]\noperation = "ldap.serch"\n')], "line 2: operation: 'ldap.serch'"),
    (["--faults", write("f.toml", '[[fault]]\noperation = "ldap.*"\nerror = "sad"\n')], "name a result code"),
    (["--faults", write("f.toml", '[[fault]]\noperation = "ldap.*"\nguest = "x"\n')], "line 3: guest: 'x'"),
    (["--access", "to * by group read"], "access: 'group' cannot be used: give access to self, anonymous, users"),
    (["--persist", write("p", "no database at all, but much text" * 99)], "give a writable file"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_what_cannot_be_used_is_refused_with_the_cure(
    tmp_path: Path, arguments: list[str | Callable[[Path], Path]], words: str
) -> None:
    given = [one if isinstance(one, str) else str(one(tmp_path)) for one in arguments]
    done = subprocess.run([*COMMAND, *given], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(shutil.which("ldapsearch") is None, reason="Debian's ldap-utils are not installed")
def test_over_a_unix_socket_with_a_name_of_the_processs_user(tmp_path: Path) -> None:
    ldif = tmp_path / "top.ldif"
    ldif.write_text(TOP)
    name = f"gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
    socket_ = tmp_path / "ldapi"
    with serving("--ldapi", socket_, "--root-dn", name, "--load", ldif) as (process, url):
        assert url.startswith("ldap://")
        assert process.stdout is not None
        local = process.stdout.readline().strip()
        whole = ["ldapwhoami", "-Q", "-Y", "EXTERNAL", "-H", local]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.strip() == f"dn:{name}"
        change = f"dn: {SUFFIX}\nchangetype: modify\nreplace: o\no: y\n"
        whole = ["ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", local]
        subprocess.run(whole, input=change, capture_output=True, text=True, timeout=30, check=True)
        compared = ["ldapcompare", "-x", "-H", url, SUFFIX, "o:y"]
        assert subprocess.run(compared, capture_output=True, timeout=30, check=False).returncode == 6
        process.terminate()
        assert process.wait(20) == 0
    assert not socket_.exists()
