"""Configuration files, logs, the token cache, saving, the layer-2 agent: each by itself."""

import configparser
import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nova_fakes.exceptions import SandboxError
from nova_fakes.sandbox import config
from nova_fakes.sandbox.autosave import Autosave
from nova_fakes.sandbox.l2agent import Layer2Agent
from nova_fakes.sandbox.logs import ServiceLogs
from nova_fakes.sandbox.spec import SandboxSpec
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.sandbox.token_cache import TokenCache, with_token_cache
from nova_fakes.virt.journal import Journal

URL = "http://127.0.0.1:5000"


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "s")
    state.prepare()
    return state


class TestConfig:
    def read(self, path: Path) -> configparser.RawConfigParser:
        parser = configparser.RawConfigParser()
        parser.read(path)
        return parser

    def test_nova_is_told_of_every_service(self, state: StateDirectory) -> None:
        spec = SandboxSpec(state=state.root, realizer="bridge", options={"DEFAULT/debug": "true", "mine/x": "1"})
        path = config.write_nova(state, spec, URL)
        parser = self.read(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert parser["DEFAULT"]["compute_driver"] == "nova_fakes.FakeDriver"
        assert parser["nova_fakes"]["vif_realizer"] == "bridge"
        for section in ("neutron", "placement", "cinder", "service_user", "keystone_authtoken"):
            assert parser[section]["auth_url"] == f"{URL}/identity"
            assert parser[section]["password"] == state.passwords()["service"]
        assert (parser["DEFAULT"]["debug"], parser["mine"]["x"]) == ("true", "1")
        assert (state.etc / "api-paste.ini").stat().st_size > 0

    def test_placement_has_its_own_database(self, state: StateDirectory) -> None:
        parser = self.read(config.write_placement(state, URL))
        assert parser["placement_database"]["connection"].startswith(f"sqlite:///{state.databases}")

    def test_clouds_are_private_and_can_be_read(self, state: StateDirectory) -> None:
        path = config.write_clouds(state, URL)
        clouds = yaml.safe_load(path.read_text())["clouds"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(clouds) == {"nova-fakes", "nova-fakes-demo"}
        assert clouds["nova-fakes"]["auth"]["password"] == state.passwords()["admin"]


class TestLogs:
    @pytest.fixture
    def logs(self, tmp_path: Path) -> Iterator[ServiceLogs]:
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        logs = ServiceLogs(tmp_path)
        logs.install()
        yield logs
        root.handlers[:] = handlers
        root.setLevel(level)

    @pytest.mark.parametrize(
        ("logger", "service"),
        [
            ("nova.api.openstack.compute", "nova-api"),
            ("nova.compute.manager", "nova-compute"),
            ("nova_fakes.virt.fake", "nova-compute"),
            ("nova_fakes.api.network.notifier", "network"),
            ("placement.handler", "placement"),
            ("novad", "daemon"),
            ("oslo.messaging", "daemon"),
        ],
    )
    def test_record_goes_to_its_service_alone(self, logs: ServiceLogs, logger: str, service: str) -> None:
        logging.getLogger(logger).info("here %s", logger)
        assert [name for name in logs.names() if f"here {logger}" in logs.path(name).read_text()] == [service]

    def test_install_again_takes_the_handlers_of_others_away(self, logs: ServiceLogs) -> None:
        logging.getLogger().addHandler(logging.NullHandler())
        logs.install()
        assert len(logging.getLogger().handlers) == 1


class TestTokenCache:
    def test_value_lives_as_long_as_it_was_told(self) -> None:
        now = 0.0
        cache = TokenCache(lambda: now)
        cache.set("k", b"v", time=10)
        now = 9.9
        assert cache.get("k") == b"v"
        now = 10.0
        assert cache.get("k") is None
        assert cache.get("unknown") is None

    def test_oldest_entries_go_first(self) -> None:
        cache = TokenCache(lambda: 0.0, size=2)
        for key in "abc":
            cache.set(key, key, time=1)
        assert [cache.get(key) for key in "abc"] == [None, "b", "c"]

    def test_auth_token_finds_it_in_the_environment(self) -> None:
        from keystonemiddleware.auth_token._cache import TokenCache as Middleware

        cache = TokenCache(lambda: 0.0)
        seen: list[dict[str, Any]] = []
        list(with_token_cache(lambda environ, start: seen.append(environ) or [], cache)({}, lambda *_: None))
        middleware = Middleware(logging.getLogger("t"), cache_time=60, env_cache_name=config.TOKEN_CACHE_KEY)
        middleware.initialize(seen[0])
        middleware.set("token", {"a": 1})
        assert middleware.get("token") == {"a": 1}
        assert len(cache._entries) == 1


class Box:
    """A service with one number in it."""

    def __init__(self) -> None:
        self.number = 0

    def dump(self) -> dict[str, Any]:
        return {"number": self.number}

    def load(self, data: dict[str, Any]) -> None:
        self.number = data["number"]


class TestAutosave:
    def test_changes_are_found_again(self, tmp_path: Path) -> None:
        box = Box()
        autosave = Autosave(tmp_path, {"box": box}, interval_s=0)
        assert not autosave.restore()
        box.number = 7
        autosave.stop()
        other = Box()
        assert Autosave(tmp_path, {"box": other}).restore()
        assert other.number == 7

    @pytest.mark.parametrize(("method", "written"), [("POST", True), ("DELETE", True), ("GET", False), ("HEAD", False)])
    def test_requests_that_may_change_are_marked(self, tmp_path: Path, method: str, written: bool) -> None:
        autosave = Autosave(tmp_path, {"box": Box()})
        list(autosave.watch("box", lambda environ, start: [b""])({"REQUEST_METHOD": method}, lambda *_: None))
        autosave._write()
        assert (tmp_path / "box.json").exists() == written

    def test_damaged_file_is_named_and_kept(self, tmp_path: Path) -> None:
        (tmp_path / "box.json").write_text("{")
        with pytest.raises(SandboxError, match=r"box\.json"):
            Autosave(tmp_path, {"box": Box()}).restore()
        assert (tmp_path / "box.json").read_text() == "{"

    def test_service_that_cannot_be_dumped_does_not_keep_the_others_back(self, tmp_path: Path) -> None:
        broken, box = Box(), Box()
        broken.dump = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        autosave = Autosave(tmp_path, {"a": broken, "b": box})
        autosave.stop()
        assert json.loads((tmp_path / "b.json").read_text()) == {"number": 0}


class TestLayer2Agent:
    class Ports:
        def __init__(self) -> None:
            self.heard: list[tuple[str, str, str]] = []

        def device_up(self, port_id: str, host: str) -> None:
            self.heard.append(("up", port_id, host))

        def device_down(self, port_id: str, host: str) -> None:
            self.heard.append(("down", port_id, host))
            raise LookupError(port_id)

    def test_journal_becomes_reports_until_it_stops(self) -> None:
        journal, ports = Journal(), self.Ports()
        agent = Layer2Agent(journal, ports)
        journal.record(0.0, "h", "g", "vif_plugged", details={"vif_id": "p"})
        journal.record(0.0, "h", "g", "spawn")
        journal.record(0.0, "h", "g", "vif_unplugged", details={"vif_id": "p"})
        agent.stop()
        journal.record(0.0, "h", "g", "vif_plugged", details={"vif_id": "q"})
        assert ports.heard == [("up", "p", "h"), ("down", "p", "h")]
