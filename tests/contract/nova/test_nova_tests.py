"""nova's own tests, from its wheel, pass with our driver in the place of its fake."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from nova_tests import SAMPLES, SELECTION, SOURCE, modules, run, worse_than_novas
from outcomes import Result, failed, told

# As many at once as the smallest machine that we care for has processors.
JOBS = 2
SELECTION_S = 900.0
MODULE_S = 3600.0
Results = dict[str, Result]


@pytest.mark.timeout(SELECTION_S * 2)
def test_selection(tmp_path: Path) -> None:
    parts = [SELECTION[job::JOBS] for job in range(JOBS)]
    directories = [tmp_path / str(job) for job in range(JOBS)]
    for directory in directories:
        directory.mkdir()
    with ThreadPoolExecutor(JOBS) as pool:
        ran = list(pool.map(lambda job: run("ours", parts[job], directories[job], SELECTION_S), range(JOBS)))
    ours: Results = {name: result for results in ran for name, result in results.items()}
    for name in SELECTION:
        assert any(found == name or found.startswith(f"{name}.") for found in ours), f"{name} ran no test"
    if failed(ours):  # some wait a few seconds for what a busy machine takes longer for: once more, alone
        again = tmp_path / "again"
        again.mkdir()
        ours |= run("ours", failed(ours), again, SELECTION_S)
    assert not failed(ours), told({name: ours[name].reason for name in failed(ours)})


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[Results]]:
    """All of nova's tests with our driver, on their way, by module."""
    pool = ThreadPoolExecutor(JOBS)

    def run_module(name: str) -> Results:
        return run("ours", [name], tmp_path_factory.mktemp(name.replace(".", "_")), MODULE_S)

    # The longest first, so that none of them is left for the end.
    order = sorted(modules(), key=lambda name: name.endswith((".test_servers", ".test_servers_resource_request")))
    return {name: pool.submit(run_module, name) for name in reversed(order)}


@pytest.mark.slow
def test_samples_are_compared_too() -> None:
    if SOURCE is None:
        pytest.skip("nova's source is not here: python scripts/nova_source.py")
    assert {name.split(".")[3] for name in modules()} >= set(SAMPLES)


@pytest.mark.slow
@pytest.mark.timeout(2 * MODULE_S)
@pytest.mark.parametrize("module", modules())
def test_module(module: str, everything: dict[str, Future[Results]], tmp_path: Path) -> None:
    worse = worse_than_novas(everything[module].result(), tmp_path, MODULE_S)
    assert not worse, told(worse)
