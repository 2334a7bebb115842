"""An agent as a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nova_fakes.agent.client import Client
from nova_fakes.agent.protocol import Health

DEADLINE_S = 60.0


class AgentProcess:
    """Starts, kills and starts again an agent whose files are in one short directory.

    :param options: of the `nova-fakes agent` command
    :param prefix: of the command line
    """

    def __init__(self, *options, prefix=()):
        self.directory = Path(tempfile.mkdtemp(prefix="agent-"))
        self.socket, self.audit = self.directory / "s", self.directory / "audit"
        self.state = self.directory / "state"
        self.argv = [*prefix, *self.command(*options, "--audit", self.audit)]
        self.process = None

    def command(self, *options):
        base = ["--socket", self.socket, "--state", self.state]
        return list(map(str, [sys.executable, "-m", "nova_fakes", "agent", *base, *options]))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        try:
            self.end()
        finally:
            shutil.rmtree(self.directory)

    def start(self):
        with (self.directory / "log").open("a") as log:
            self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert "ready" in line, self.log()

    def log(self):
        return (self.directory / "log").read_text()

    def kill(self):
        self._finish(signal.SIGKILL)

    def end(self):
        """End it as systemd would; returns its exit code."""
        return self._finish(signal.SIGTERM)

    def _finish(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)

    def client(self, deadline_s=DEADLINE_S):
        return Client(self.socket, deadline_s=deadline_s)

    def health(self):
        return self.client().call(Health())

    def connect(self):
        """A connection to it that speaks no HTTP yet."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(DEADLINE_S)
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                sock.connect(os.fspath(self.socket))
                return sock
            except BlockingIOError:  # the queue of those who want to connect is full
                assert time.monotonic() < until
                time.sleep(0.01)
