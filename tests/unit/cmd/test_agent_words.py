"""How `nova-fakes agent health` says it."""

import pytest

from nova_fakes.agent.protocol import HealthReport
from nova_fakes.cmd.agent import _duration, _in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (86_399, "23 h 59 min")],
)
def test_durations(seconds, words):
    assert _duration(seconds) == words


def test_a_report_in_one_line():
    report = HealthReport("stuck", 2, "1.0", "ovs", 7, 3700.0, 1234, 3, 75.0, 2)
    assert _in_words(report) == (
        "stuck: nova-fakes 1.0, protocol 2, realizer ovs with 1,234 instances, process 7, up 1 h 1 min; "
        "3 requests wait, the oldest for 1 min 15 s; 2 lines of the audit log are lost"
    )
    report = HealthReport("ok", 2, "1.0", "null", 7, 5.0, None, 0, 0.0, 0)
    assert _in_words(report) == "ok: nova-fakes 1.0, protocol 2, realizer null, process 7, up 5.0 s; no request waits"
