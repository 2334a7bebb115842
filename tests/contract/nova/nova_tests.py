"""Which of nova's own tests are run against our driver, and the running of them."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import nova.tests
import outcomes
from outcomes import Result, failed

WORKER = Path(__file__).with_name("worker.py")
FUNCTIONAL = Path(nova.tests.__file__).parent / "functional"

#: nova's source, unpacked by scripts/nova_source.py: it has the samples with which some tests compare.
SOURCE = next(Path(__file__).parents[3].glob(f"build/nova-{version('nova')}"), None)

#: Parts of nova's functional tests that start no fake driver.
ELSEWHERE = ("api", "db", "libvirt")
#: Those that need the source.
SAMPLES = ("api_sample_tests", "notification_sample_tests")

#: The tests of nova's unit suite that hold drivers to their interface.
UNIT = ("nova.tests.unit.virt.test_virt_drivers", "nova.tests.unit.virt.test_fake")

#: What `make test` runs: each variant of the driver at least once, in a few minutes.
SELECTION = tuple(
    f"nova.tests.{name}"
    for name in (
        # FakeDriver
        "functional.compute.test_instance_list.TestInstanceListObjects",
        "unit.virt.test_virt_drivers.FakeConnectionTestCase",
        "unit.virt.test_fake",
        # SmallFakeDriver
        "functional.test_servers.ServersTest.test_deferred_delete",
        # MediumFakeDriver
        "functional.test_servers.ServerMovingTests.test_evacuate_clean_hypervisor",
        "functional.test_servers.ServerMovingTests.test_live_migrate",
        "functional.test_servers.ServerMovingTests.test_resize_confirm",
        "functional.test_servers.ServerMovingTests.test_shelve_offload_unshelve_diff_host",
        "functional.test_cross_cell_migrate.TestMultiCellMigrate.test_resize_confirm_image_backed",
        # SameHostColdMigrateDriver
        "functional.test_cold_migrate.ColdMigrationAllowSameHost",
        # RescueBFVDriver
        "functional.test_server_rescue.AllowBFVRescuev287WithTrait",
        # PowerUpdateFakeDriver
        "functional.test_server_external_events",
        # MediumFakeDriverWithNestedCustomResources
        "functional.test_servers.ServerMovingTestsWithNestedResourceRequests.test_live_migrate_force",
        # FakeFinishMigrationFailDriver
        "functional.regressions.test_bug_1825537",
        # PredictableNodeUUIDDriver
        "functional.regressions.test_bug_1839560",
        # FakeRescheduleDriver
        "functional.test_servers.ServerRescheduleTests.test_rescheduling_when_booting_instance",
        # FakeBuildAbortDriver
        "functional.test_servers.ServerBuildAbortTests",
        # FakeUnshelveSpawnFailDriver
        "functional.test_servers.ServerUnshelveSpawnFailTests",
        # FakeLiveMigrateDriver
        "functional.test_servers.ServerLiveMigrateForceAndAbort",
        # FakeDriverWithPciResources
        "functional.test_servers_resource_request.PortResourceRequestBasedSchedulingTest.test_one_ovs_one_sriov_port",
        "functional.regressions.test_bug_1896463",
        # FakeDriverWithCaching
        "functional.compute.test_cache_image",
        "functional.test_aggregates.AggregatesV281Test.test_cache_images_on_aggregate",
        # EphEncryptionDriver and its kin
        "functional.test_ephemeral_encryption.TestEphemeralEncryptionLUKS.test_flavor_and_image_requested",
        "functional.test_ephemeral_encryption.TestEphemeralEncryptionPLAIN.test_flavor_requested_luks",
        "functional.test_ephemeral_encryption.TestEphemeralEncryptionUnavailable",
        # FakeDriverWithoutFakeNodes
        "functional.test_service.TestComputeStartupChecks",
    )
)


def modules() -> list[str]:
    """Return every module of nova's functional tests that may start a fake driver, the unit tests' two, by name.

    Without nova's source those are left out that need it.
    """
    without = ELSEWHERE if SOURCE is not None else (*ELSEWHERE, *SAMPLES)
    found = []
    for path in sorted(FUNCTIONAL.rglob("test_*.py")):
        within = path.relative_to(FUNCTIONAL)
        if within.parts[0] not in without:
            found.append(".".join(("nova.tests.functional", *within.with_suffix("").parts)))
    return [*found, *UNIT]


def run(driver: str, names: Iterable[str], directory: Path, timeout_s: float) -> dict[str, Result]:
    """Run tests in a process of their own.

    :param driver: ``ours``, or ``nova`` for nova's own fake
    :param names: of modules, classes or tests
    """
    return outcomes.run(WORKER, driver, names, directory, timeout_s, SOURCE)


def worse_than_novas(ours: dict[str, Result], directory: Path, timeout_s: float) -> dict[str, str]:
    """Return what fails with our driver and passes with nova's fake, by test, with the reason."""
    suspects: Sequence[str] = failed(ours)
    if not suspects:
        return {}
    theirs = run("nova", suspects, directory, timeout_s)
    return {name: ours[name].reason for name in suspects if theirs[name].outcome == "ok"}
