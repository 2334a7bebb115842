"""python-ldap's own tests, from its source distribution, with our server in slapd's place."""

import shutil
from importlib.metadata import version
from pathlib import Path

import outcomes
import pytest

pytest.importorskip("ldap", reason="needs python-ldap")

WORKER = Path(outcomes.__file__).with_name("unittest_worker.py")
# Here is the module that starts our server where theirs starts slapd.
HERE = Path(__file__).parent
SOURCE = next(Path(__file__).parents[3].glob(f"build/python_ldap-{version('python-ldap')}"), None)
TESTS = SOURCE / "Tests" if SOURCE is not None else Path()
MODULE_S = 300.0
# Modules that start a server, and how many tests they have at least; the others test the client alone.
SERVED = {
    "t_bind": 3,
    "t_cext": 41,
    "t_edit": 1,
    "t_ldap_options": 17,
    "t_ldap_sasl": 2,
    "t_ldap_schema_subentry": 17,
    "t_ldap_syncrepl": 7,
    "t_ldapobject": 94,
    "t_slapdobject": 2,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SOURCE is None, reason="python-ldap's source is not here: python scripts/ldap_sources.py"),
    pytest.mark.skipif(shutil.which("ldapadd") is None, reason="needs the client commands of the package ldap-utils"),
]


def test_every_module_that_starts_a_server_is_run() -> None:
    found = {path.stem for path in TESTS.glob("t_*.py") if "slapdtest" in path.read_text("utf-8")}
    assert found == set(SERVED)


@pytest.mark.timeout(2 * MODULE_S)
@pytest.mark.parametrize("module", SERVED)
def test_module(module: str, tmp_path: Path) -> None:
    environment = {"PYTHON_LDAP_SOURCE": str(SOURCE)}
    ours = outcomes.run(WORKER, "ours", [module], tmp_path, MODULE_S, HERE, TESTS, environment=environment)
    assert len(ours) >= SERVED[module]
    assert not outcomes.failed(ours), outcomes.told({name: ours[name].reason for name in outcomes.failed(ours)})
