"""The demo on a cloud in memory: what it reports when things go right, wrong, or cannot be judged."""

import json
from io import StringIO

import pytest
from rich.console import Console

from nova_fakes.exceptions import SandboxError
from nova_fakes.scenario.demo import demo_steps, run_demo
from nova_fakes.scenario.narration import Narration
from nova_fakes.scenario.probes import Echoes
from nova_fakes.scenario.report import render, to_mapping
from nova_fakes.scenario.steps import Outcome


class Silent:
    def started(self, title):
        pass

    def finished(self, result):
        pass


def outcomes(result):
    return {step.key: step.outcome for step in result.steps}


def details(result):
    return {step.key: step.detail for step in result.steps}


def test_all_goes_well(stage, cloud):
    result = run_demo(stage, Silent())
    assert result.ok, details(result)
    assert set(outcomes(result).values()) == {Outcome.OK}
    assert cloud.compute.listed == []
    for service in (cloud.compute, cloud.image, cloud.block_storage):
        assert service.kept == {}
    # The subnets go with their networks.
    assert {record.name for record in cloud.network.kept.values()} == {"demo-v4", "demo-v6", "demo-outside"}
    assert not stage.plan.state.exists()


def test_without_interfaces_pings_are_not_applicable(make_stage):
    result = run_demo(make_stage(realizer="null"), Silent())
    found = outcomes(result)
    not_judged = {key for key, outcome in found.items() if outcome is Outcome.NOT_APPLICABLE}
    assert not_judged == {
        *("mesh", "counters", "seamless", "paused", "unpaused", "resized", "stopped", "started", "migrated")
    }
    assert result.ok
    assert all(found[key] is Outcome.OK for key in found.keys() - not_judged)


def test_one_host_cannot_migrate(make_stage):
    found = outcomes(run_demo(make_stage(hosts=("compute-1",)), Silent()))
    assert found["migrate"] is found["seamless"] is found["migrated"] is Outcome.NOT_APPLICABLE
    assert found["volume"] is Outcome.OK


def test_two_servers_are_enough(make_stage):
    assert run_demo(make_stage(servers=2), Silent()).ok


def test_lost_ping_in_the_migration_fails_one_step_alone(stage):
    stage.prober.lost_in_migration = 3
    result = run_demo(stage, Silent())
    assert [key for key, outcome in outcomes(result).items() if outcome is Outcome.FAILED] == ["seamless"]
    assert "3 of 23" in details(result)["seamless"]
    assert not result.ok


@pytest.mark.parametrize(
    ("rtts_ms", "outcome"),
    [([0.05] * 19 + [9.0], Outcome.FAILED), ([0.05] * 19 + [10.1], Outcome.OK), ([0.05] * 19, Outcome.OK)],
    ids=["quick", "slow", "lossy"],
)
def test_a_move_may_take_what_the_machine_takes_besides(stage, rtts_ms, outcome):
    stage.prober.lost_in_migration = 3
    stage.prober.stationary = Echoes.from_mapping({"address": "10.20.0.9", "sent": 20, "rtts_ms": rtts_ms})
    assert outcomes(run_demo(stage, Silent()))["seamless"] is outcome


@pytest.mark.parametrize(("servers", "stays"), [(2, 0), (3, 2), (4, 2)])
def test_the_server_that_stays_is_another_one_where_there_is_one(make_stage, servers, stays):
    stage = make_stage(servers=servers)
    run_demo(stage, Silent())
    assert stage.prober.watched == [stage.servers[number].address(4) for number in (stays, 1)]


def test_deaf_network_is_found_in_every_place(stage):
    stage.prober.deaf = True
    result = run_demo(stage, Silent())
    failed = {key for key, outcome in outcomes(result).items() if outcome is Outcome.FAILED}
    assert failed == {"mesh", "counters", "unpaused", "resized", "started", "migrated"}


def test_server_that_talks_while_paused_is_found(stage, cloud):
    cloud.compute.pause_server = lambda server_id: setattr(cloud.compute.get_server(server_id), "status", "PAUSED")
    ping = stage.prober.ping

    def always(instance, addresses, **options):
        for address in addresses:
            stage.prober._server(address).status, kept = "ACTIVE", stage.prober._server(address).status
            heard = ping(instance, [address], **options)
            stage.prober._server(address).status = kept
            yield from heard

    stage.prober.ping = lambda *args, **options: list(always(*args, **options))
    found = outcomes(run_demo(stage, Silent()))
    assert found["paused"] is found["stopped"] is Outcome.FAILED


def test_counters_that_stand_still_are_found(stage, cloud):
    cloud.compute.get = lambda path, microversion, get=cloud.compute.get: _frozen(get(path, microversion))
    result = run_demo(stage, Silent())
    assert outcomes(result)["counters"] is Outcome.FAILED
    assert "rx_packets by 0" in details(result)["counters"]


def _frozen(response):
    nic = response.json()["nic_details"][0]
    nic.update(rx_packets=0, tx_packets=0, rx_octets=0, tx_octets=0)
    return response


def test_failed_boot_tells_the_fault_and_everything_goes(stage, cloud):
    cloud.boots_into = "ERROR"
    result = run_demo(stage, Silent())
    found = outcomes(result)
    assert found["boot"] is Outcome.FAILED
    assert "No valid host was found." in details(result)["boot"]
    assert found["mesh"] is found["volume"] is Outcome.SKIPPED
    assert found["delete"] is found["down"] is found["leaks"] is Outcome.OK
    assert cloud.compute.listed == []


def test_server_that_never_boots_is_given_up(stage, cloud):
    cloud.boots_into = "BUILD"
    result = run_demo(stage, Silent())
    assert "not seen within 60 s" in details(result)["boot"]


def test_sandbox_that_does_not_come_up(stage):
    stage.sandboxes.failure = SandboxError("no luck")
    result = run_demo(stage, Silent())
    found = outcomes(result)
    assert found["up"] is Outcome.FAILED
    assert found["delete"] is Outcome.SKIPPED
    assert found["down"] is Outcome.NOT_APPLICABLE
    assert not result.ok


@pytest.mark.parametrize("where", ["PAUSED", "SHUTOFF"])
def test_interrupt_takes_down(stage, cloud, where):
    def interrupt(status):
        if status == where:
            raise KeyboardInterrupt

    cloud.on_action = interrupt
    result = run_demo(stage, Silent())
    found = outcomes(result)
    assert result.interrupted
    assert found["volume"] is found["delete"] is Outcome.SKIPPED
    assert found["down"] is found["leaks"] is Outcome.OK
    assert not stage.sandboxes.client_up.running
    assert not stage.plan.state.exists()


def test_interrupt_while_coming_up(stage):
    stage.sandboxes.failure = KeyboardInterrupt()
    result = run_demo(stage, Silent())
    assert result.interrupted
    assert outcomes(result)["down"] is Outcome.NOT_APPLICABLE


def test_guest_that_a_hypervisor_keeps_is_found(stage):
    steps = {step.key: step for step in demo_steps(stage.plan)}
    for key in ("up", "image", "network", "boot"):
        steps[key].run(stage)
    stage.sandboxes.client_up.stuck_guests = [{"name": "demo-9", "host": "compute-2", "namespace": None}]
    result_of_delete = None
    try:
        steps["delete"].run(stage)
    except Exception as error:
        result_of_delete = str(error)
    assert result_of_delete is not None
    assert "demo-9 on compute-2" in result_of_delete


def test_daemon_that_died_is_cleaned_up_after(stage):
    steps = {step.key: step for step in demo_steps(stage.plan)}
    steps["up"].run(stage)
    stage.sandboxes.client_up.running = False
    with pytest.raises(Exception, match="had died"):
        steps["down"].run(stage)
    assert stage.sandboxes.cleaned == [stage.plan.state]
    assert not stage.plan.state.exists()


def test_keep_leaves_everything(make_stage, cloud):
    stage = make_stage(keep=True)
    result = run_demo(stage, Silent())
    assert not {"delete", "down", "leaks"} & outcomes(result).keys()
    assert stage.sandboxes.client_up.running
    assert len(cloud.compute.listed) == 4


def test_state_directory_of_the_user_may_stay(make_stage):
    stage = make_stage(temporary=False)
    stage.discard = lambda: None
    assert run_demo(stage, Silent()).ok
    assert stage.plan.state.is_dir()


def test_temporary_directory_that_stays_is_a_leak(stage):
    stage.discard = lambda: None
    result = run_demo(stage, Silent())
    assert outcomes(result)["leaks"] is Outcome.FAILED
    assert str(stage.plan.state) in details(result)["leaks"]


class TestReport:
    def test_everything_in_it_survives_json(self, stage):
        mapping = to_mapping(run_demo(stage, Silent()))
        assert json.loads(json.dumps(mapping)) == json.loads(json.dumps(mapping, default=str))
        assert render(json.loads(json.dumps(mapping))) == render(mapping)

    def test_page_needs_no_network(self, stage):
        page = render(to_mapping(run_demo(stage, Silent())))
        assert "passed" in page
        for reference in ("src=", "href=", "@import", "url("):
            assert reference not in page

    def test_texts_are_escaped(self, stage, cloud):
        stage.sandboxes.failure = SandboxError("<script>alert(1)</script>")
        page = render(to_mapping(run_demo(stage, Silent())))
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page

    def test_logged_errors_are_shown_where_something_failed(self, stage):
        assert "out of luck" not in render(to_mapping(run_demo(stage, Silent())))

    def test_logged_errors_of_a_failed_run(self, stage):
        stage.prober.deaf = True
        assert "nova-api: 2026 ERROR nova.api out of luck" in render(to_mapping(run_demo(stage, Silent())))

    def test_lost_replies_are_in_matrix_and_chart(self, stage):
        stage.prober.deaf = True
        stage.prober.lost_in_migration = 2
        page = render(to_mapping(run_demo(stage, Silent())))
        # Both families of four servers, the diagonals apart.
        assert page.count('<td class="lost"') == 24
        assert "2 of 22 echo requests" in page

    @pytest.mark.parametrize("realizer", ["null", "bridge"])
    @pytest.mark.parametrize("failure", [None, SandboxError("no"), KeyboardInterrupt()])
    def test_there_is_a_page_for_every_end(self, make_stage, realizer, failure):
        stage = make_stage(realizer=realizer)
        stage.sandboxes.failure = failure
        result = run_demo(stage, Silent())
        page = render(to_mapping(result))
        assert ("badge good" in page) == result.ok


class TestNarration:
    def narrate(self, stage):
        console = Console(file=StringIO(), width=150, highlight=False)
        with Narration(stage.plan, console) as narration:
            narration.stage = stage
            stage.on_progress = narration.progress
            narration.conclude(run_demo(stage, narration))
        return console.file.getvalue()

    def test_every_step_is_told_twice(self, stage):
        told = self.narrate(stage)
        for step in demo_steps(stage.plan):
            assert told.count(step.title) >= 2
        assert "nova-api ready http://127.0.0.1:1/compute" in told
        assert "0.05 / 0.05" in told

    def test_lost_replies_are_told(self, stage):
        stage.prober.deaf = True
        assert "lost / lost" in self.narrate(stage)

    def test_kept_sandbox_is_told_of(self, make_stage):
        stage = make_stage(keep=True)
        assert f"nova-fakes down --purge --state {stage.plan.state}" in " ".join(self.narrate(stage).split())
