"""scripts/bench.py: what it makes of several runs."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def figure(ours, other=None, name="spawn"):
    ratio = None if other is None else ours / other
    return {"name": name, "unit": "s", "ours": ours, "other": other, "other_is": other and "nova's", "ratio": ratio}


def test_each_number_is_the_median_of_the_runs(bench):
    runs = [[figure(1.0, 4.0), figure(7.0, name="destroy")], [figure(9.0, 3.0), figure(5.0, name="destroy")]]
    runs.append([figure(2.0, 1.0), figure(6.0, name="destroy")])
    assert bench.medians(runs) == [
        {"name": "spawn", "unit": "s", "ours": 2.0, "other": 3.0, "other_is": "nova's", "ratio": 2.0},
        {"name": "destroy", "unit": "s", "ours": 6.0, "other": None, "other_is": None, "ratio": None},
    ]


def test_runs_with_unlike_figures_are_refused(bench):
    with pytest.raises(ValueError, match="shorter"):
        bench.medians([[figure(1.0), figure(2.0)], [figure(1.0)]])


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["no-such-benchmark"]])
def test_bad_arguments_end_it_before_it_measures(bench, arguments, tmp_path, capsys):
    output = tmp_path / "bench.json"
    with pytest.raises(SystemExit) as ended:
        bench.main([*arguments, "--output", str(output)])
    assert ended.value.code == 2
    assert arguments[-1] in capsys.readouterr().err
    assert not output.exists()
