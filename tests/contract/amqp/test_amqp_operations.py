"""Random sequences of operations on the fake and on a real RabbitMQ: the answers are the same."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_fakes.rabbit import Server

pytest.importorskip("amqp", reason="py-amqp, of the group contract, is not installed: it plays the operations")

from amqp_operations import Player, sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functional"))

from rabbitmq import running_rabbitmq

LENGTH = 40


@pytest.fixture(scope="module")
def fake() -> Iterator[int]:
    with Server() as server:
        yield server.port


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield int(url.rstrip("/").rpartition(":")[2])


def compare(fake: int, real: int, seed: int) -> None:
    steps = sequence(seed, LENGTH)
    expected = None
    for port in (fake, real):
        player = Player(port, f"sequence{seed}_")
        try:
            outcomes = player.play(steps, expected)
        finally:
            player.clear()
        if expected is not None:
            for index, step in enumerate(steps):
                assert outcomes[index] == expected[index], f"seed {seed}, step {index}: {step}"
        expected = outcomes


@pytest.mark.parametrize("seed", range(12))
def test_sequences_are_answered_alike(fake: int, real: int, seed: int) -> None:
    compare(fake, real, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 300))
def test_many_sequences_are_answered_alike(fake: int, real: int, seed: int) -> None:
    compare(fake, real, seed)
