"""What RabbitMQ 3.10.8 answered in recorded scenarios, beside what the fake answers.

The recording lies beside the checkout, in `shared/amqp_corpus`, or where NOVA_FAKES_AMQP_CORPUS says.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nova_fakes.rabbit import Server

pytest.importorskip("pika", reason="pika, of the group contract, is not installed: its codec reads the answers")

DIRECTORY = Path(__file__).resolve().parents[3].parent / "shared" / "amqp_corpus"
CORPUS = Path(os.environ.get("NOVA_FAKES_AMQP_CORPUS", DIRECTORY))
RECORDED: dict[str, Any] = {}
if (CORPUS / "corpus.json").is_file():
    RECORDED = json.loads((CORPUS / "corpus.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def player() -> Iterator[ModuleType]:
    """The recording's own player, which nothing else imports."""
    before = set(sys.modules)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(CORPUS))
    try:
        yield importlib.import_module("run")
    finally:
        sys.path.remove(str(CORPUS))
        sys.dont_write_bytecode = writes
        for name in set(sys.modules) - before:
            if name in ("run", "rawamqp", "scenarios"):
                del sys.modules[name]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.mark.skipif(not RECORDED, reason=f"there is no recording in {CORPUS}")
@pytest.mark.parametrize("kind", sorted({name.split(".")[0] for name in RECORDED}))
def test_the_fake_answers_as_rabbitmq_did(kind: str, player: ModuleType, server: Server) -> None:
    names = {name for name in RECORDED if name.startswith(f"{kind}.")}
    answers = player.run_all("127.0.0.1", server.port, names=names, quiet=True)
    assert {name: answer["log"] for name, answer in answers.items()} == {name: RECORDED[name]["log"] for name in names}
