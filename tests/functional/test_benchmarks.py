"""The benchmarks of driver, model, API fakes and volumes run, and every figure has something beside it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["driver", "scale", "journal", "api", "volume"])
def test_benchmark_prints_figures(name, tmp_path):
    output = tmp_path / "bench.json"
    command = [sys.executable, ROOT / "scripts" / "bench.py", "--quick", "--output", output, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert len({(figure["name"], figure["other_is"]) for figure in figures}) == len(figures) > 0
    for figure in figures:
        assert figure["ours"] > 0
        assert figure["other"] > 0
        assert f"{figure['name']}  " in done.stdout
