"""In the place of python-ldap's own `slapdtest`: starts our server where that one starts slapd.

Names, defaults and what the tests call are the same; entries are added by the client commands, as there.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

os.environ["LDAPNOINIT"] = "1"


__all__ = [
    "SlapdObject", "SlapdTestCase", "SysLogHandler", "requires_init_fd", "requires_ldapi", "requires_sasl",
    "requires_tls", "skip_unless_ci",
]  # fmt: skip

# The tests' own certificates.
CERTIFICATES = Path(os.environ["PYTHON_LDAP_SOURCE"]) / "Lib" / "slapdtest" / "certs"
HOST = "127.0.0.1"
COMMAND = "import sys; from nova_fakes.cmd.main import main; sys.exit(main())"


def every(test: Any) -> Any:
    return test


def requires_tls() -> Any:
    return every


requires_sasl = requires_ldapi = requires_init_fd = requires_tls


def skip_unless_ci(reason: str, feature: str | None = None) -> Any:
    return unittest.skip(reason)


class Log:
    """Takes what the tests log."""

    def debug(self, *args: Any) -> None:
        pass

    info = error = debug


class SlapdObject:
    """A server, with the names that the tests know of slapd's."""

    suffix = "dc=slapd-test,dc=python-ldap,dc=org"
    root_cn = "Manager"
    root_pw = "password"
    local_host = hostname = HOST
    openldap_schema_files = ("core.ldif",)
    slapd_conf_template = ""
    database = "mdb"
    _log = Log()

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        self.testrundir = tempfile.mkdtemp(prefix="pl-")
        self.ldap_uri = f"ldap://{HOST}:{self.port}/"
        self.ldapi_uri = self.default_ldap_uri = f"ldapi://{quote_plus(self.testrundir + '/ldapi')}"
        self.cafile, self.servercert = str(CERTIFICATES / "ca.pem"), str(CERTIFICATES / "server.pem")
        self.serverkey = str(CERTIFICATES / "server.key")
        self.clientcert, self.clientkey = str(CERTIFICATES / "client.pem"), str(CERTIFICATES / "client.key")
        self._schemas: list[Path] = []
        self._proc: subprocess.Popen[str] | None = None

    @property
    def root_dn(self) -> str:
        return f"cn={self.root_cn},{self.suffix}"

    def start(self) -> None:
        if self._proc is None:
            self._start_slapd()

    def _start_slapd(self) -> None:
        own = rf"gidNumber={os.getgid()}\+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
        options = {
            "--listen": self.ldap_uri,
            "--ldapi": f"{self.testrundir}/ldapi",
            "--persist": f"{self.testrundir}/entries.sqlite",
            "--suffix": self.suffix,
            "--root-dn": self.root_dn,
            "--root-password": self.root_pw,
            "--certificate": self.servercert,
            "--key": self.serverkey,
            "--client-ca": self.cafile,
        }
        command = [sys.executable, "-c", COMMAND, "ldap", "serve", "--authz-regexp", own, self.root_dn]
        command += ["--allow-bind-v2", "--sync", *(word for option in options.items() for word in option)]
        command += [word for path in self._schemas for word in ("--schema", str(path))]
        self._proc = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        # It prints an address as soon as it answers there.
        told = [self._proc.stdout.readline() for _ in ("ldap", "ldapi")] if self._proc.stdout else []
        if not all(told):
            raise RuntimeError("the server has not started")

    resume = _start_slapd

    def terminate(self) -> None:
        if self._proc is not None:
            self._proc.terminate()

    def wait(self) -> None:
        if self._proc is not None:
            self._proc.communicate()
            self._proc = None

    def stop(self) -> None:
        self.terminate()
        self.wait()
        shutil.rmtree(self.testrundir, ignore_errors=True)

    def restart(self) -> None:
        self.terminate()
        self.wait()
        self.resume()

    def _command(self, name: str, arguments: Sequence[str] | None, text: str | None = None) -> None:
        command = [name, "-H", self.ldapi_uri, "-Y", "EXTERNAL", "-Q", *(arguments or ())]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command!r} process failed:\n{done.stdout}\n{done.stderr}")

    def ldapwhoami(self, extra_args: Sequence[str] | None = None) -> None:
        self._command("ldapwhoami", extra_args)

    def ldapadd(self, ldif: str, extra_args: Sequence[str] | None = None) -> None:
        self._command("ldapadd", extra_args, ldif)

    def ldapmodify(self, ldif: str, extra_args: Sequence[str] | None = None) -> None:
        self._command("ldapmodify", extra_args, ldif)

    def ldapdelete(self, dn: str, recursive: bool = False, extra_args: Sequence[str] | None = None) -> None:
        self._command("ldapdelete", [*(extra_args or ()), *(["-r"] if recursive else []), dn])

    def slapadd(self, ldif: str, extra_args: Sequence[str] | None = None) -> None:
        """Add to the configuration: there it can be schema only."""
        path = Path(self.testrundir) / f"{len(self._schemas)}.ldif"
        path.write_text(ldif)
        self._schemas.append(path)

    def __enter__(self) -> "SlapdObject":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


class SlapdTestCase(unittest.TestCase):
    """Has a server for all tests of a class."""

    server_class: type[SlapdObject] = SlapdObject
    server: Any = None
    ldap_object_class: Any = None

    def _open_ldap_conn(self, who: str | None = None, cred: str | None = None, **kwargs: Any) -> Any:
        connection = self.ldap_object_class(self.server.ldap_uri, **kwargs)
        connection.protocol_version = 3
        connection.simple_bind_s(who or self.server.root_dn, cred or self.server.root_pw)
        return connection

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = cls.server_class()
        cls.server.start()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.stop()
