"""The LDAP server on real sockets: TCP, UNIX sockets, TLS, and the tools of OpenLDAP where they are installed."""

import datetime
import ipaddress
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ldap_client import Client

from nova_fakes.exceptions import InvalidInput
from nova_fakes.ldap import ber, messages, offered
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.results import ResultCode
from nova_fakes.ldap.server import Server

SUFFIX = "dc=example,dc=com"
ROOT = (f"cn=admin,{SUFFIX}", "secret")


def certificate(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ann")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    paths[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return paths


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path)


@pytest.fixture
def server(tmp_path: Path, pair: tuple[Path, Path]) -> Iterator[Server]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pair)
    tls.load_verify_locations(pair[0])
    tls.verify_mode = ssl.CERT_OPTIONAL
    directory = Directory()
    root = directory.bind(*[ROOT[0], ROOT[1].encode()])
    directory.add(root, SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("o", [b"x"])])
    listen = ("ldap://127.0.0.1:0", "ldaps://127.0.0.1:0", f"ldapi://{quote(str(tmp_path / 'ldapi'), safe='')}")
    with Server(directory, listen, tls=tls) as made:
        yield made


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


@pytest.fixture
def sock(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(address(server.urls[0]), 10) as made:
        yield made


def client_context(pair: tuple[Path, Path], *, with_certificate: bool = False) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(pair[0]))
    if with_certificate:
        made.load_cert_chain(*pair)
    return made


def test_over_tcp(sock: socket.socket) -> None:
    client = Client.on(sock)
    assert client.bind(*ROOT).code == 0
    assert client.search(SUFFIX, attributes=["o"]).entries == [(SUFFIX, {"o": [b"x"]})]


def test_a_message_may_come_in_pieces_and_several_at_once(sock: socket.socket) -> None:
    who = messages.write_message(1, ber.sequence((ber.octets(offered.WHO_AM_I.encode(), 0x80),), messages.EXTENDED))
    for byte in who[:-1]:
        sock.sendall(bytes((byte,)))
    sock.sendall(who[-1:] + who)
    received = b""
    while received.count(b"\x78") < 2:
        received += sock.recv(1000)
    assert len(list(ber.elements(received))) == 2


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.0\r\n\r\n", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x02\x01\x01"])
def test_malformed_messages_end_their_connection_alone(server: Server, sock: socket.socket, junk: bytes) -> None:
    with socket.create_connection(address(server.urls[0]), 10) as other:
        other.sendall(junk)
        received = b""
        while part := other.recv(1000):
            received += part
    assert offered.DISCONNECTION.encode() in received
    assert Client.on(sock).bind(*ROOT).code == 0


def test_over_a_unix_socket_the_peer_is_known(server: Server, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(str(tmp_path / "ldapi"))
        client = Client.on(local)
        assert client.sasl("EXTERNAL").code == 0
        dn = f"dn:gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
        assert client.extended(offered.WHO_AM_I).more[0x8B] == dn.encode()


def test_start_tls(sock: socket.socket, pair: tuple[Path, Path]) -> None:
    client = Client.on(sock)
    assert client.bind(*ROOT).code == 0
    assert client.extended(offered.START_TLS).code == 0
    with client_context(pair).wrap_socket(sock, server_hostname="127.0.0.1") as secure:
        client = Client.on(secure)
        assert client.extended(offered.WHO_AM_I).more[0x8B] == b""
        assert client.extended(offered.START_TLS).code == ResultCode.OPERATIONS_ERROR
        assert client.bind(*ROOT).code == 0


def test_a_certificate_names_its_owner(server: Server, pair: tuple[Path, Path]) -> None:
    with socket.create_connection(address(server.urls[1]), 10) as plain:
        secure = client_context(pair, with_certificate=True).wrap_socket(plain, server_hostname="127.0.0.1")
        with secure:
            client = Client.on(secure)
            assert client.sasl("EXTERNAL").code == 0
            assert client.extended(offered.WHO_AM_I).more[0x8B] == b"dn:cn=ann"


def test_many_clients_at_once(server: Server) -> None:
    def work(number: int) -> int:
        with socket.create_connection(address(server.urls[0]), 10) as made:
            client = Client.on(made)
            client.bind(*ROOT)
            dn = f"cn=device {number},{SUFFIX}"
            client.add(dn, [("objectClass", [b"device"])])
            return len(client.search(dn, scope=0).entries)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(64))) == [1] * 64
    assert len(server.directory) == 65


def test_stopping_tells_the_clients() -> None:
    server = Server(Directory())
    server.start()
    with socket.create_connection(address(server.urls[0]), 10) as made:
        assert Client.on(made).bind("", "").code == 0
        server.stop()
        received = b""
        while part := made.recv(1000):
            received += part
    assert offered.DISCONNECTION.encode() in received


@pytest.mark.parametrize("url", ["http://x", "ldap://127.0.0.1:x", "ldaps://127.0.0.1:0", "ldap://203.0.113.1:0"])
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(InvalidInput):
        Server(Directory(), (url,)).start()


def test_a_client_that_breaks_off_harms_nobody(server: Server, sock: socket.socket) -> None:
    with socket.create_connection(address(server.urls[0]), 10) as broken:
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.sendall(b"\x30\x20\x02")
    assert Client.on(sock).bind(*ROOT).code == 0


@pytest.mark.skipif(shutil.which("ldapsearch") is None, reason="Debian's ldap-utils are not installed")
def test_the_tools_of_openldap(server: Server) -> None:
    def run(tool: str, *arguments: str, stdin: str = "") -> str:
        command = [tool, "-x", "-H", server.urls[0], "-D", ROOT[0], "-w", ROOT[1], *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout

    ann = f"uid=ann,{SUFFIX}"
    run("ldapadd", stdin=f"dn: {ann}\nobjectClass: account\nobjectClass: simpleSecurityObject\nuserPassword: p\n")
    run("ldapmodify", stdin=f"dn: {ann}\nchangetype: modify\nadd: description\ndescription: hi\n")
    assert "description: hi" in run("ldapsearch", "-LLL", "-E", "pr=1/noprompt", "-b", SUFFIX, "(uid=ann)")
    with pytest.raises(subprocess.CalledProcessError) as compared:
        run("ldapcompare", ann, "description:HI")
    assert (compared.value.returncode, compared.value.stdout) == (6, "TRUE\n")
    run("ldappasswd", "-s", "new", ann)
    run("ldapmodrdn", "-r", ann, "uid=anna")
    assert run("ldapwhoami").strip() == f"dn:{ROOT[0]}"
    run("ldapdelete", f"uid=anna,{SUFFIX}")
    assert len(server.directory) == 1


@pytest.mark.skipif(shutil.which("ldapsearch") is None, reason="Debian's ldap-utils are not installed")
def test_the_tools_of_openldap_over_tls(server: Server, pair: tuple[Path, Path]) -> None:
    environment = {**os.environ, "LDAPTLS_CACERT": str(pair[0])}
    for options in (["-ZZ", "-H", server.urls[0]], ["-H", server.urls[1]]):
        for tool, arguments, code in (
            ("ldapwhoami", ["-D", ROOT[0], "-w", ROOT[1]], 0),
            ("ldapcompare", [SUFFIX, "o:x"], 6),
            ("ldapsearch", ["-b", "o=elsewhere"], 32),
        ):
            command = [tool, "-x", *options, *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)
            assert done.returncode == code, done.stderr


def test_the_command(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    ldif = tmp_path / "x.ldif"
    ldif.write_text("dn: o=x\nobjectClass: organization\nrocket: V2\n")
    schema = tmp_path / "x.schema"
    schema.write_text(
        "attributetype ( 1.3.6.1.4.1.99999.1 NAME 'rocket' SUP name )\n"
        "objectclass ( 1.3.6.1.4.1.99999.2 NAME 'site' SUP top AUXILIARY MAY rocket )\n"
    )
    ldif.write_text("dn: o=x\nobjectClass: organization\nobjectClass: site\nrocket: V2\n")
    options = ["--suffix", "o=x", "--load", ldif, "--schema", schema, "--certificate", pair[0], "--key", pair[1]]
    command = [
        sys.executable,
        "-m",
        "nova_fakes",
        "ldap",
        "serve",
        "--listen",
        "ldap://127.0.0.1:0",
        *map(str, options),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with socket.create_connection(address(url), 10) as made:
            client = Client.on(made)
            assert client.bind("cn=admin,o=x", "secret").code == 0
            assert client.search("o=x", "(rocket=v2)", attributes=["1.1"]).entries == [("o=x", {})]
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(("pattern", "dn"), [("uid=(", "cn=x"), ("uid=(.*)", r"cn=\2"), ("uid=(.*)", r"cn=\g<name>")])
def test_a_mapping_that_cannot_be_made_is_refused_at_once(pattern, dn):
    with pytest.raises(InvalidInput, match="authz"):
        Server(Directory("dc=example,dc=com"), authz=[(pattern, dn)])
