"""A served broker that keeps what is durable in a file, killed at random moments."""

import random
import signal
import subprocess
import sys
import threading

import amqp
import pytest

COMMAND = [sys.executable, "-m", "nova_fakes", "rabbit", "serve", "--listen", "127.0.0.1:0", "--persist"]
SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 40))]


class Served:
    def __init__(self, path):
        self.process = subprocess.Popen([*COMMAND, str(path)], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip().removeprefix("amqp://")

    def connect(self):
        connection = amqp.Connection(self.address, confirm_publish=True)
        connection.connect()
        return connection

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "broker.sqlite"


@pytest.mark.parametrize("seed", SEEDS)
def test_no_confirmed_message_is_lost_by_kill_9(path, seed):
    served = Served(path)
    confirmed, sent = [], []
    connection = served.connect()
    channel = connection.channel()
    channel.queue_declare("jobs", durable=True, auto_delete=False)
    killer = threading.Timer(random.Random(seed).uniform(0.01, 0.5), served.end, [signal.SIGKILL])
    killer.start()
    try:
        while True:
            body = f"{len(sent)}"
            sent.append(body)
            channel.basic_publish(amqp.Message(body, delivery_mode=2), "", "jobs")
            confirmed.append(body)
    except (OSError, amqp.RecoverableConnectionError):
        killer.join()
        connection.collect()
    served = Served(path)
    found = []
    with served.connect() as connection:
        channel = connection.channel()
        while (message := channel.basic_get("jobs", no_ack=True)) is not None:
            found.append(message.body)
    served.end(signal.SIGTERM)
    assert served.process.returncode == 0
    assert found[: len(confirmed)] == confirmed
    assert set(found) <= set(sent)


def test_a_file_in_use_is_refused_with_the_cure(path):
    served = Served(path)
    done = subprocess.run([*COMMAND, str(path)], capture_output=True, text=True, check=False)
    served.end(signal.SIGTERM)
    assert done.returncode != 0
    assert "another process uses it: end that first" in done.stderr
    assert "Traceback" not in done.stderr
