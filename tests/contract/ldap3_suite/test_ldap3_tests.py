"""ldap3's own tests, from its source distribution, against our server."""

import ssl
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import outcomes
import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import load
from nova_fakes.ldap.schema import Schema
from nova_fakes.ldap.server import Server

pytest.importorskip("ldap3", reason="needs ldap3")

WORKER = Path(outcomes.__file__).with_name("unittest_worker.py")
SOURCE = next(Path(__file__).parents[3].glob(f"build/ldap3-{version('ldap3')}"), None)
TESTS = SOURCE / "test" if SOURCE is not None else Path()
# Some tests know the ports of LDAP; so that nobody else has them, the server has an address of its own.
HOST = "127.0.0.9"
TIMEOUT_S = 900.0
COUNT = 687
ENTRIES = """\
dn: o=test
objectClass: organization

dn: ou=fixtures,o=test
objectClass: organizationalUnit

dn: ou=moved,o=test
objectClass: organizationalUnit

dn: cn=second,o=test
objectClass: person
sn: second
userPassword: second
"""
# What the tests want of an auxiliary class; eDirectory has it.
HOME = """\
attributetype ( 1.3.6.1.3.5.1 NAME 'homeState' SUP name )
objectclass ( 1.3.6.1.3.5.2 NAME 'homeInfo' SUP top AUXILIARY MAY homeState )
"""


def certificate(directory: Path, name: str, *form: str) -> tuple[Path, Path]:
    """Make a certificate and its key."""
    made, key = directory / name, directory / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}", "-days", "1", *form]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    schema = Schema()
    schema.load(HOME)
    directory = Directory("o=test", schema=schema)
    load(directory, ENTRIES)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path, "server.pem"))
    made = Server(directory, (f"ldap://{HOST}:389", f"ldaps://{HOST}:636"), tls=tls)
    try:
        made.start()
    except InvalidInput as error:
        pytest.skip(f"needs the ports 389 and 636 of {HOST}: {error}")
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.skipif(SOURCE is None, reason="ldap3's source is not here: python scripts/ldap_sources.py")
def test_all(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("512b-rsa-example-cert.der", "1024b-rsa-example-cert.der"):
        certificate(tmp_path, name, "-outform", "DER")
    # The tests look for the certificates where they are run.
    monkeypatch.chdir(tmp_path)
    names = sorted(path.stem for path in TESTS.glob("test*.py"))
    environment = {"LDAP3_HOST": HOST}
    here = Path(__file__).parent
    ours = outcomes.run(WORKER, "ours", names, tmp_path, TIMEOUT_S, here, TESTS, environment=environment)
    assert len(ours) >= COUNT
    assert not outcomes.failed(ours), outcomes.told({name: ours[name].reason for name in outcomes.failed(ours)})
