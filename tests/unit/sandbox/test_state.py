"""The spec and the state directory."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput, StateInUse
from nova_fakes.sandbox.spec import Progress, SandboxSpec, default_state
from nova_fakes.sandbox.state import StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "s")
    state.prepare()
    return state


def test_default_state_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NOVA_FAKES_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert default_state() == tmp_path / ".local/state/nova-fakes"
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert default_state() == Path("/x/nova-fakes")
    monkeypatch.setenv("NOVA_FAKES_STATE", "~/mine")
    assert default_state() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"hosts": ()}, "hosts"),
        ({"hosts": ("a", "a")}, "hosts"),
        ({"hosts": ("a b",)}, "hosts"),
        ({"hosts": ("-a",)}, "hosts"),
        ({"hosts": ("a" * 64,)}, "hosts"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"options": {"debug": "true"}}, "options"),
        ({"cinder_url": "http://127.0.0.1:8776"}, "cinder_url"),
        ({"cinder_url": "file:///volume/v3"}, "cinder_url"),
    ],
)
def test_spec_refuses_and_names_the_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SandboxSpec(state=Path("/s"), **values)  # type: ignore[arg-type]
    assert caught.value.field == field


@given(
    hosts=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True), min_size=1, unique=True),
    port=st.integers(0, 65535),
    fallback=st.booleans(),
)
def test_spec_survives_json(hosts: list[str], port: int, fallback: bool) -> None:
    spec = SandboxSpec(
        state=Path("/s"),
        hosts=tuple(hosts),
        port=port,
        fallback_null=fallback,
        options={"a/b": "c"},
        cinder_url="http://cinder:8776/v3",
    )
    assert SandboxSpec.from_json(spec.to_json()) == spec


def test_progress_survives_json() -> None:
    progress = Progress("nova-api", "ready", 1.5, "http://é\n")
    assert "\n" not in progress.to_json()
    assert Progress.from_json(progress.to_json()) == progress


def test_directory_is_private(state: StateDirectory) -> None:
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700


def test_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="shorter path"):
        StateDirectory(tmp_path / ("d" * 120))


def test_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(InvalidInput, match="not a directory"):
        StateDirectory(tmp_path / "s").prepare()
    assert (tmp_path / "s").read_text() == "mine"


def test_one_owner_at_a_time(state: StateDirectory) -> None:
    other = StateDirectory(state.root)
    assert not other.in_use()
    state.acquire()
    assert other.in_use()
    with pytest.raises(StateInUse, match=str(state.root)):
        other.acquire()
    state.release()
    other.acquire()
    other.release()


def test_directory_that_is_not_there_is_not_in_use(tmp_path: Path) -> None:
    assert not StateDirectory(tmp_path / "none").in_use()


def test_passwords_are_drawn_once_and_private(state: StateDirectory, tmp_path: Path) -> None:
    drawn = state.passwords()
    assert state.passwords() == drawn
    assert len(set(drawn.values())) == 3
    assert stat.S_IMODE((state.root / "passwords.json").stat().st_mode) == 0o600
    other = StateDirectory(tmp_path / "other")
    other.prepare()
    assert other.passwords() != drawn
