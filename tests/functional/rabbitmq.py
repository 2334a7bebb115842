"""A RabbitMQ of our own: on loopback and free ports, below a temporary directory, ended by us."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import wait_for

# Debian's wrapper in /usr/sbin changes to a user of its own, who could not read our directory.
SERVERS = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_rabbitmq(directory: Path) -> Iterator[str]:
    """Start a broker in an empty directory; yields its transport URL for guest, who may do everything."""
    if not SERVERS or shutil.which("epmd") is None:
        pytest.skip("rabbitmq-server is not installed: apt-get install --no-install-recommends rabbitmq-server")
    amqp = free_port()
    (directory / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{amqp}\n")
    (directory / "enabled_plugins").write_text("[].\n")
    environment = os.environ | {
        # Where Erlang keeps the cookie by which nodes trust each other.
        "HOME": str(directory),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_NODENAME": f"nova-fakes-{amqp}@localhost",
    }
    # The port mapper outlives whoever starts it: as a child of ours it has an id that we can end.
    with (directory / "output").open("w") as output:
        mapper = subprocess.Popen(["epmd"], env=environment, stdout=output, stderr=output)
        # A shell script that starts Erlang and passes no signal on: a session of its own is one address for both.
        broker = subprocess.Popen([SERVERS[-1]], env=environment, stdout=output, stderr=output, start_new_session=True)

    def listens() -> bool:
        assert broker.poll() is None, (directory / "output").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", amqp)) == 0

    try:
        wait_for("RabbitMQ", listens)
        yield f"rabbit://guest:guest@127.0.0.1:{amqp}/"
    finally:
        os.killpg(broker.pid, signal.SIGTERM)
        broker.wait(timeout=60)
        mapper.terminate()
        mapper.wait(timeout=10)
