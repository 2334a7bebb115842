"""An OVN of a test's own: databases, northd and the controller of one chassis, in a private run directory."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from nova_fakes.virt.vif import namespaces

__all__ = ["OVN", "eventually"]

DEADLINE_S = 30.0
SCHEMAS = Path("/usr/share/ovn")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def eventually(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)
    return found


class OVN:
    """Everything that makes the machine's switch a chassis.

    :param directory: the run directory; its path has to be short, because sockets lie in it
    :param namespace: the path of the one in which it runs
    :param switch: the database socket of the machine's Open vSwitch
    """

    def __init__(self, directory, namespace, switch):
        for program in ("ovn-northd", "ovn-controller", "ovn-nbctl", "ovs-vsctl"):
            if shutil.which(program, path=PATH) is None:
                pytest.skip(f"no {program} here: apt-get install ovn-central ovn-host openvswitch-switch")
        directory.mkdir()
        self.directory, self.namespace, self.switch = directory, namespace, switch
        self.north_db, self.south_db = f"unix:{directory}/nb.sock", f"unix:{directory}/sb.sock"
        self.processes = []
        here = str(directory)
        self.environment = {**os.environ, "PATH": PATH, "OVN_RUNDIR": here, "OVN_LOGDIR": here, "OVN_DBDIR": here}
        self.environment["OVS_RUNDIR"] = str(Path(switch).parent)  # where the bridges' sockets lie

    def start(self):
        for name in ("nb", "sb"):
            self.run("ovsdb-tool", "create", self.directory / f"{name}.db", SCHEMAS / f"ovn-{name}.ovsschema")
            self.daemon(
                "ovsdb-server",
                f"--remote=punix:{self.directory}/{name}.sock",
                f"{self.directory}/{name}.db",
                called=f"ovsdb-{name}",
            )
            eventually((self.directory / f"{name}.sock").exists)
        self.run("ovn-nbctl", f"--db={self.north_db}", "init")
        self.run("ovn-sbctl", f"--db={self.south_db}", "init")
        self.daemon("ovn-northd", f"--ovnnb-db={self.north_db}", f"--ovnsb-db={self.south_db}")
        settings = {
            "system-id": "chassis-1",
            "ovn-remote": self.south_db,
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": "127.0.0.1",
            "ovn-bridge-datapath-type": "netdev",
        }
        pairs = [f"external-ids:{key}={value}" for key, value in settings.items()]
        self.run("ovs-vsctl", f"--db=unix:{self.switch}", "set", "Open_vSwitch", ".", *pairs)
        self.daemon("ovn-controller", f"unix:{self.switch}")
        eventually(lambda: "chassis-1" in self.run("ovn-sbctl", f"--db={self.south_db}", "show"))

    def daemon(self, program, *arguments, called=None):
        name = called or program
        # Control sockets are named by the process's id, in the run directory that the environment names.
        argv = [shutil.which(program, path=PATH), *arguments, f"--log-file={self.directory}/{name}.log"]
        argv += ["--verbose=console:off", "--verbose=syslog:off"]

        def start():
            return subprocess.Popen(argv, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL)

        self.processes.append(namespaces.in_namespace(self.namespace, start))

    def run(self, *argv):
        done = subprocess.run(
            list(map(str, argv)),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def north(self, *arguments):
        """Run a command on the northbound database and return what it said."""
        return self.run("ovn-nbctl", f"--db={self.north_db}", *arguments).strip()

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(DEADLINE_S)
