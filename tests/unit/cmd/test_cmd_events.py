"""`nova-fakes events`: what it asks for, what it prints, how it follows."""

import json
from datetime import UTC, datetime

import pytest

from nova_fakes.clock import SystemClock
from nova_fakes.cmd import events, exits
from nova_fakes.exceptions import NotRunning

# The instance of the recording client in conftest.py.
WEB = "11111111-1111-4111-8111-111111111111"


def event(time=0.0, operation="spawn", outcome="ok", name="web", **details):
    return {
        "time": time,
        "host": "compute-1",
        "guest": WEB,
        "operation": operation,
        "outcome": outcome,
        "details": details,
        "name": name,
    }


def test_lines_tell_time_place_operation_outcome_and_whom(run, client):
    client.happened = [
        [
            event(1.5, vif_id="port", spec={"vcpus": 1}, password="secret"),
            event(2.0, "pause", "InjectedFault", name=None, message="no\nluck"),
        ]
    ]
    ran = run("events")
    assert ran.code == 0
    first, second = (line.split() for line in ran.out.splitlines())
    assert first == ["1970-01-01", "00:00:01.500", "compute-1", "spawn", "ok", "web", "vif_id=port"]
    assert second == ["1970-01-01", "00:00:02.000", "compute-1", "pause", "InjectedFault", WEB, "no", "luck"]


def test_json_is_one_object_a_line_with_all_details(run, client):
    client.happened = [[event(1.5, spec={"vcpus": 1}), event(2.0)]]
    ran = run("events", "--json")
    assert [json.loads(line) for line in ran.out.splitlines()] == [event(1.5, spec={"vcpus": 1}), event(2.0)]


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ((), {"count": 50}),
        (("--all",), {"count": None}),
        (("-n", "0"), {"count": 0}),
        (("--all", "-n", "3"), {"count": None}),
        (("--host", "compute-2", "--operation", "pause"), {"host": "compute-2", "operation": "pause", "count": 50}),
        (("--instance", "web"), {"guest": WEB, "count": 50}),
        (("--instance", "99999999-1111-4111-8111-111111111111"), {"guest": "99999999-1111-4111-8111-111111111111"}),
        (("--since", "2026-01-31T14:30"), {"since_s": datetime(2026, 1, 31, 14, 30, tzinfo=UTC).timestamp()}),
        (("--since", "2026-01-31T14:30+01:00", "-n", "2"), {"count": 2}),
    ],
)
def test_options_reach_the_sandbox(run, client, arguments, asked):
    assert run("events", *arguments).code == 0
    (question,) = client.asked
    assert question["number"] == 0
    assert {name: question[name] for name in asked} == asked


def test_since_counts_back_from_now(run, client):
    for text, ago_s in (("90s", 90), ("5m", 300), ("2h", 7200), ("1.5d", 129600)):
        before = SystemClock().now()
        assert run("events", "--since", text).code == 0
        asked = client.asked.pop()
        assert before - ago_s - 1 <= asked["since_s"] <= SystemClock().now() - ago_s + 1
        assert asked["count"] is None


def test_since_knows_times_of_today(run, client):
    assert run("events", "--since", "00:00").code == 0
    since = datetime.fromtimestamp(client.asked[0]["since_s"], UTC)
    assert (since.hour, since.minute) == (0, 0)
    assert since.timestamp() <= SystemClock().now()


@pytest.mark.parametrize("text", ["yesterday", "5", "25:00", "-5m"])
def test_what_is_no_time_is_refused(run, client, text):
    ran = run("events", f"--since={text}")
    assert ran.code == exits.USAGE
    assert "2026-01-31T14:30" in ran.err
    assert not client.asked


@pytest.mark.parametrize(("option", "value"), [("--host", "compute-9"), ("--instance", "wbe")])
def test_what_is_not_there_is_not_found(run, client, option, value):
    assert run("events", option, value).code == exits.NOT_FOUND
    assert not client.asked


def test_follow_prints_what_happens_until_interrupted(run, client, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.0)
    client.happened = [[event(1.0, name="a")], [], [event(2.0, name="b"), event(3.0, name="c")], KeyboardInterrupt()]
    ran = run("events", "--follow", "--operation", "spawn")
    assert ran.code == exits.INTERRUPTED
    assert [line.split()[-1] for line in ran.out.splitlines()] == ["a", "b", "c"]
    assert [question["number"] for question in client.asked] == [0, 1, 1, 3]
    assert {question["operation"] for question in client.asked} == {"spawn"}


def test_follow_ends_with_the_sandbox(run, client, monkeypatch):
    monkeypatch.setattr(events, "POLL_S", 0.0)

    client.happened = [[], NotRunning("no sandbox runs here")]
    ran = run("events", "--follow")
    assert ran.code == exits.NOT_RUNNING
    assert "no sandbox runs" in ran.err
