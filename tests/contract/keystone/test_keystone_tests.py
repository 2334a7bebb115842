"""keystone's own tests, from its wheel, end with our directory in the place of its fake as they end with that one."""

from pathlib import Path

import outcomes
import pytest

pytest.importorskip("ldappool", reason="needs keystone with its extra `ldap`")
pytest.importorskip("webtest", reason="needs what keystone's tests import: webtest")
pytest.importorskip("freezegun", reason="needs what keystone's tests import: freezegun")

WORKER = Path(__file__).with_name("worker.py")
COMMON = "keystone.tests.unit.identity.backends"
BACKEND = "keystone.tests.unit.test_backend_ldap"
POOL = "keystone.tests.unit.test_backend_ldap_pool"
MODULES = (f"{COMMON}.test_ldap", f"{COMMON}.test_ldap_common", BACKEND, POOL)
# What `make test` runs: names with commas in them, members by number, pages, filters, sizes, pools.
SELECTION = (
    f"{COMMON}.test_ldap_common",
    f"{BACKEND}.LDAPIdentityEnabledEmulation.test_user_id_comma",
    f"{BACKEND}.LDAPIdentityEnabledEmulation.test_user_id_comma_grants",
    f"{BACKEND}.LDAPIdentityEnabledEmulation.test_authenticate_wrong_credentials",
    f"{BACKEND}.LDAPLimitTests",
    f"{BACKEND}.LDAPPosixGroupsTest",
    f"{BACKEND}.LdapFilterTests",
    f"{POOL}.LDAPIdentity.test_password_change_with_pool",
    f"{POOL}.LDAPIdentity.test_max_connection_error_raised",
    f"{POOL}.LDAPIdentity.test_user_enabled_invert",
)
SELECTION_S = 600.0
MODULE_S = 3600.0


@pytest.mark.timeout(SELECTION_S)
def test_selection(tmp_path: Path) -> None:
    ours = outcomes.run(WORKER, "ours", SELECTION, tmp_path, SELECTION_S)
    for name in SELECTION:
        assert any(found == name or found.startswith(f"{name}.") for found in ours), f"{name} ran no test"
    assert not outcomes.failed(ours), outcomes.told({name: ours[name].reason for name in outcomes.failed(ours)})


@pytest.mark.slow
@pytest.mark.timeout(2 * MODULE_S)
@pytest.mark.parametrize("module", MODULES)
def test_module(module: str, tmp_path: Path) -> None:
    ours = outcomes.run(WORKER, "ours", [module], tmp_path, MODULE_S)
    theirs = outcomes.run(WORKER, "keystone", [module], tmp_path, MODULE_S)
    assert len(theirs) > 50
    different = {
        name: f"{theirs[name].outcome} with keystone's, {ours[name].outcome} with ours: {ours[name].reason}"
        if name in ours
        else "has not run"
        for name in theirs
        if name not in ours or ours[name].outcome != theirs[name].outcome
    }
    assert not different, outcomes.told(different)
    assert set(ours) == set(theirs)
