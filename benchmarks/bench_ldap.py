"""A directory of people: operations per CPU second in process and on the wire, memory, idle connections.

In process through the interface of python-ldap, beside keystone's fake and ldap3's mock; on the wire with python-ldap
as the client, beside ldaptor and slapd, where client and server count. Prints a JSON list of objects with name, unit,
ours, other, other_is and ratio (ours / other). All take turns, and a figure is the median of its rounds, by CPU time.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import ldap
import ldap3

import nova_fakes.ldap
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.registry import Registry

SUFFIX = "dc=example,dc=com"
PEOPLE = f"ou=People,{SUFFIX}"
ROOT = f"cn=admin,{SUFFIX}"
SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
# How large a directory the slow ones are measured with: a search of theirs goes through all of it.
LARGEST = {"keystone": 10_000, "ldap3": 1_000, "ldaptor": 10_000}
LISTED = 10_000
ROUNDS, QUICK_ROUNDS = 3, 1
MEASURED_S = 0.4
FEWEST = 3
IDLE = 5_000
START_S = 60.0
TOP = [
    (SUFFIX, [("objectClass", [b"dcObject", b"organization"]), ("dc", [b"example"]), ("o", [b"Example"])]),
    (PEOPLE, [("objectClass", [b"organizationalUnit"]), ("ou", [b"People"])]),
]
KEYSTONE_IS, LDAP3_IS = "keystone's fakeldap", "ldap3's MOCK_SYNC"
LDAPTOR_IS, SLAPD_IS = "ldaptor's server", "slapd"
LDAPTOR = """
import sys
from twisted.internet import reactor, protocol
from twisted.python.components import registerAdapter
from ldaptor.interfaces import IConnectedLDAPEntry
from ldaptor.inmemory import fromLDIFFile
from ldaptor.protocols.ldap.ldapserver import LDAPServer

class Factory(protocol.ServerFactory):
    protocol = LDAPServer

def serve(root):
    factory = Factory()
    factory.root = root
    registerAdapter(lambda made: made.root, Factory, IConnectedLDAPEntry)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    print(f"ldap://127.0.0.1:{port.getHost().port}", flush=True)

fromLDIFFile(open(sys.argv[1], "rb")).addCallback(serve)
reactor.run()
"""
SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit unlimited
database mdb
suffix "{suffix}"
rootdn "{root}"
rootpw secret
directory {directory}
dbnosync
maxsize 1073741824
index objectClass eq
index uid,cn eq,sub
"""
MEMORY = """
import resource, sys
from pathlib import Path
from nova_fakes.ldap.directory import Directory
from nova_fakes.ldap.ldif import load
def kib(): return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024
directory = Directory("dc=example,dc=com")
text = Path(sys.argv[1]).read_text()
before = kib()
load(directory, text)
print((kib() - before) / len(directory))
"""


def person(number):
    uid = b"user%d" % number
    return [
        ("objectClass", [b"inetOrgPerson"]),
        ("uid", [uid]),
        ("cn", [b"User %d" % number]),
        ("sn", [b"Number%d" % number]),
        ("givenName", [b"User"]),
        ("mail", [uid + b"@example.com"]),
        ("telephoneNumber", [b"+1 555 %07d" % number]),
        ("userPassword", [b"secret"]),
    ]


def dn_of(number):
    return f"uid=user{number},{PEOPLE}"


def ldif(path, size):
    entries = [*TOP, *((dn_of(number), person(number)) for number in range(size))]
    path.write_text(
        "\n".join(
            f"dn: {dn}\n" + "".join(f"{name}: {value.decode()}\n" for name, values in entry for value in values)
            for dn, entry in entries
        )
        + "\n"
    )
    return path


class PythonLdap:
    """What a client of python-ldap does; beside ours in process, servers on the wire and keystone's fake."""

    def __init__(self, connection, size, cpu_s=time.process_time, wanted="{}"):
        self._connection = connection
        self._wanted = wanted
        self._rng = random.Random(1)
        self._size = size
        self._made = 0
        self.cpu_s = cpu_s

    def fill(self):
        for dn, entry in TOP:
            self._connection.add_s(dn, entry)
        for number in range(self._size):
            self._connection.add_s(dn_of(number), person(number))

    def equality(self):
        number = self._rng.randrange(self._size)
        assert (
            len(self._connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, self._wanted.format(f"(uid=user{number})"))) == 1
        )

    def substring(self):
        assert self._connection.search_s(SUFFIX, ldap.SCOPE_SUBTREE, self._wanted.format("(cn=*ser 12*)"))

    def listing(self):
        assert len(self._connection.search_s(PEOPLE, ldap.SCOPE_ONELEVEL, "(objectClass=*)")) >= self._size

    def modify(self):
        number = self._rng.randrange(self._size)
        self._made += 1
        change = (ldap.MOD_REPLACE, "description", [b"%d" % self._made])
        self._connection.modify_s(dn_of(number), [change])

    def add(self):
        self._made += 1
        number = self._size + self._made
        self._connection.add_s(dn_of(number), person(number))


class Ldap3:
    """The same of ldap3's mock."""

    cpu_s = staticmethod(time.process_time)

    def __init__(self, size):
        server = ldap3.Server("mock", get_info=ldap3.OFFLINE_SLAPD_2_4)
        self._connection = ldap3.Connection(server, ROOT, "secret", client_strategy=ldap3.MOCK_SYNC)
        self._connection.strategy.add_entry(ROOT, {"userPassword": "secret", "sn": "admin"})
        self._connection.bind()
        self._rng = random.Random(1)
        self._size = size
        self._made = 0

    def _add(self, dn, entry):
        assert self._connection.add(dn, attributes={name: [one.decode() for one in values] for name, values in entry})

    def fill(self):
        for dn, entry in TOP:
            self._add(dn, entry)
        for number in range(self._size):
            self._add(dn_of(number), person(number))

    def equality(self):
        number = self._rng.randrange(self._size)
        assert self._connection.search(SUFFIX, f"(uid=user{number})", attributes=["*"])

    def substring(self):
        assert self._connection.search(SUFFIX, "(cn=*ser 12*)", attributes=["*"])

    def listing(self):
        assert self._connection.search(PEOPLE, "(objectClass=*)", ldap3.LEVEL, attributes=["*"])

    def modify(self):
        number = self._rng.randrange(self._size)
        self._made += 1
        assert self._connection.modify(dn_of(number), {"description": [(ldap3.MODIFY_REPLACE, [str(self._made)])]})

    def add(self):
        self._made += 1
        number = self._size + self._made
        self._add(dn_of(number), person(number))


@contextlib.contextmanager
def ours(size, **settings):
    directory = Directory(SUFFIX, **settings)
    with Registry() as registry, contextlib.closing(directory):
        registry.put("ldap://bench", directory)
        connection = nova_fakes.ldap.initialize("ldap://bench")
        connection.simple_bind_s(ROOT, "secret")
        made = PythonLdap(connection, size)
        made.fill()
        yield made


@contextlib.contextmanager
def keystone(size):
    from keystone import conf
    from keystone.tests.unit import fakeldap

    conf.CONF([], default_config_files=[])
    connection = fakeldap.FakeLdap()
    connection.connect("fake://memory")
    connection.simple_bind_s("cn=Admin", "password")
    # It takes no filter without a class.
    made = PythonLdap(connection, size, wanted="(&(objectClass=inetOrgPerson){})")
    made.fill()
    yield made
    fakeldap.FakeShelves.clear()


@contextlib.contextmanager
def mock(size):
    made = Ldap3(size)
    made.fill()
    yield made


def spent_s(pid):
    """Return the CPU seconds of this process and of another, whose threads all live."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return time.process_time() + sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextlib.contextmanager
def served(command, size, url=None):
    """Run a server that prints its URL, or has one, and connect to it."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            where = url or process.stdout.readline().strip()
            connection = connected(where)
            made = PythonLdap(connection, size, lambda: spent_s(process.pid))
            made.url, made.pid = where, process.pid
            yield made
            connection.unbind_s()
        finally:
            process.terminate()


def connected(url):
    deadline = time.monotonic() + START_S
    while True:
        try:
            connection = ldap.initialize(url)
            connection.simple_bind_s(ROOT, "secret")
            return connection
        except ldap.SERVER_DOWN:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        except ldap.LDAPError:  # no such root: the directory is open to all
            return connection


def ours_served(path, size):
    command = [sys.executable, "-m", "nova_fakes", "ldap", "serve", "--listen", "ldap://127.0.0.1:0", "--load", path]
    return served(list(map(str, command)), size)


def ldaptor_served(path, size):
    return served([sys.executable, "-W", "ignore", "-c", LDAPTOR, str(path)], size)


@contextlib.contextmanager
def slapd_served(path, size):
    with (
        tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as directory,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        url = f"ldap://127.0.0.1:{listener.getsockname()[1]}"
        configuration = Path(directory) / "slapd.conf"
        data = Path(directory) / "data"
        data.mkdir()
        configuration.write_text(SLAPD.format(suffix=SUFFIX, root=ROOT, directory=data))
        program = shutil.which("slapd", path="/usr/sbin:/usr/bin")
        add = shutil.which("slapadd", path="/usr/sbin:/usr/bin")
        subprocess.run([add, "-q", "-f", configuration, "-l", path], check=True, capture_output=True)
        listener.close()
        with served([program, "-d", "0", "-f", str(configuration), "-h", url], size, url) as made:
            yield made


def rate(side, operation):
    """Return how often a second an operation is done, by CPU time."""
    work = getattr(side, operation)
    work()
    count, before = 0, side.cpu_s()
    while True:
        work()
        count += 1
        if count >= FEWEST and (passed := side.cpu_s() - before) >= MEASURED_S:
            return count / passed


def figure(name, unit, mine, other=None, other_is=None):
    ratio = mine / other if other else None
    return {"name": name, "unit": unit, "ours": mine, "other": other, "other_is": other_is, "ratio": ratio}


def compare(where, size, sides, operations, rounds):
    """Measure operations of several, who take turns, and give each operation's figures."""
    found = {}
    with contextlib.ExitStack() as stack:
        entered = {name: stack.enter_context(side) for name, side in sides.items()}
        for operation in operations:
            for _ in range(rounds):
                for name, side in entered.items():
                    found.setdefault((operation, name), []).append(rate(side, operation))
    for operation in operations:
        mine = statistics.median(found[operation, "ours"])
        label = f"{where}, {operation}, {size:,} entries"
        others = [name for name in sides if name != "ours"]
        if not others:
            yield figure(label, "1/s", mine)
        for name in others:
            yield figure(label, "1/s", mine, statistics.median(found[operation, name]), name)


def in_process(size, rounds):
    sides = {"ours": ours(size)}
    if size <= LARGEST["keystone"]:
        sides[KEYSTONE_IS] = keystone(size)
    if size <= LARGEST["ldap3"]:
        sides[LDAP3_IS] = mock(size)
    operations = ["equality", "substring", *listed(size), "modify", "add"]
    yield from compare("in process", size, sides, operations, rounds)


def on_the_wire(path, size, rounds):
    sides = {"ours": ours_served(path, size)}
    if size <= LARGEST["ldaptor"]:
        sides[LDAPTOR_IS] = ldaptor_served(path, size)
    if shutil.which("slapd", path="/usr/sbin:/usr/bin"):
        sides[SLAPD_IS] = slapd_served(path, size)
    yield from compare("on the wire", size, sides, ["equality", *listed(size), "modify"], rounds)


def listed(size):
    return ["listing"] if size <= LISTED else []


def kept(directory, rounds):
    """Give what a file that keeps the entries costs an operation."""
    rates = {"with": [], "without": []}
    for number in range(rounds):
        for name, settings in (("with", {"persist": directory / f"{number}.sqlite"}), ("without", {})):
            with ours(1_000, **settings) as side:
                rates[name].append(rate(side, "modify"))
    mine, other = (statistics.median(rates[name]) for name in ("with", "without"))
    yield figure("in process, modify, kept in a file", "1/s", mine, other, "the same in memory alone")


def memory(path, size):
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    return figure(f"memory of an inetOrgPerson among {size:,}", "KiB", float(done.stdout))


def idle_connections(path, size):
    """Give what an idle connection costs, and how fast others are served beside thousands of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))
    with ours_served(path, size) as side, contextlib.ExitStack() as stack:
        parts = urlsplit(side.url)
        before, alone = kib(side.pid), rate(side, "equality")
        for _ in range(count):
            stack.enter_context(socket.create_connection((parts.hostname, parts.port), 10))
        beside = rate(side, "equality")
        yield figure(f"memory of one of {count:,} idle connections", "KiB", (kib(side.pid) - before) / count)
        yield figure(f"on the wire, equality, beside {count:,} idle connections", "1/s", beside, alone, "without them")


def kib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer entries and rounds")
    arguments = parser.parse_args()
    sizes, rounds = (QUICK_SIZES, QUICK_ROUNDS) if arguments.quick else (SIZES, ROUNDS)
    figures = []
    with tempfile.TemporaryDirectory(prefix="nova-fakes-bench-") as name:
        directory = Path(name)
        for size in sizes:
            path = ldif(directory / f"{size}.ldif", size)
            figures += in_process(size, rounds)
            figures += on_the_wire(path, size, rounds)
            if size > sizes[0]:
                figures.append(memory(path, size))
        figures += kept(directory, rounds)
        figures += idle_connections(directory / f"{sizes[0]}.ldif", sizes[0])
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
