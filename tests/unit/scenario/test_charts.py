"""Where the report draws things."""

import pytest

from nova_fakes.scenario.charts import HEIGHT, LEFT, TOP, WIDTH, migration_chart, ping_matrix


def pair(source, target, rtts, sent=2, family=4):
    echoes = {"address": "a", "sent": sent, "received": len(rtts), "lost": sent - len(rtts), "rtts_ms": rtts}
    return {"source": source, "target": target, "family": family, "echoes": echoes}


def migration(rtts, sent, **changes):
    echoes = {"address": "a", "sent": sent, "received": len(rtts), "lost": sent - len(rtts), "rtts_ms": rtts}
    return {"echoes": echoes, "interval_s": 0.01, "began_s": 0.1, "ended_s": 0.9, **changes}


def test_matrix_cells():
    mesh = {
        "names": ["a", "b", "c"],
        "pairs": [
            *(pair("a", "b", [1.0, 3.0]), pair("a", "c", [1.0]), pair("b", "a", []), pair("c", "a", [4.0, 4.0])),
            pair("b", "c", [9.0, 9.0], family=6),
        ],
    }
    matrix = ping_matrix(mesh, 4)
    kinds = [[cell.kind for cell in row] for row in matrix.rows]
    assert kinds == [["self", "answer", "partial"], ["lost", "self", "lost"], ["answer", "lost", "self"]]
    assert matrix.rows[0][1].text == "2.000"
    assert matrix.rows[1][2].text == "none"
    weights = {cell.text: cell.weight for row in matrix.rows for cell in row}
    assert weights["1.000"] == 0
    assert weights["4.000"] == 1


def test_chart_stays_within_its_area():
    chart = migration_chart(migration([0.1, 0.5, 3.7] * 30, sent=95))
    for point in chart.points:
        assert LEFT <= point.x <= LEFT + WIDTH
        assert TOP <= point.y <= TOP + HEIGHT
    assert chart.span_from == pytest.approx(LEFT + WIDTH * 0.1 / 0.95, abs=0.01)
    assert chart.span_width == pytest.approx(WIDTH * 0.8 / 0.95, abs=0.01)
    assert [tick.text for tick in chart.y_ticks] == ["0", "1", "2", "3", "4", "5"]
    assert 3 <= len(chart.x_ticks) <= 9


@pytest.mark.parametrize("nothing", [None, migration([], 5), migration([], 5, echoes=None)])
def test_no_chart_without_replies(nothing):
    assert migration_chart(nothing) is None
