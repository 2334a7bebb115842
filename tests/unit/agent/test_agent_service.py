"""Bursts, the audit log, the service and the application: without a socket, over the null realizer."""

import io
import json
import os
import threading
import time
import uuid

import pytest
from agent_requests import port

import nova_fakes
from nova_fakes.agent import calls, daemon, protocol
from nova_fakes.agent.application import Application
from nova_fakes.agent.audit import Audit, read
from nova_fakes.agent.bursts import Bursts
from nova_fakes.agent.hosts import Hosts
from nova_fakes.agent.peers import Peer
from nova_fakes.agent.replay import replay
from nova_fakes.agent.service import Service
from nova_fakes.exceptions import AgentBusy, AgentUnreachable, DeadlineExceeded, InvalidInput, RealizerError
from nova_fakes.virt.vif import registry
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.virt.vif.null import NullRealizer

INSTANCE = str(uuid.UUID(int=5))
ME = Peer(1, 0, 0)


def soon(seconds=30.0):
    return time.monotonic() + seconds


class Together:
    """A fabric that counts: the first burst waits until it is let go."""

    def __init__(self):
        self.bursts = []
        self.entered, self.gate = threading.Event(), threading.Event()

    def __call__(self, calls):
        self.bursts.append(len(calls))
        self.entered.set()
        self.gate.wait(30)
        for call in calls:
            call()


def started(target, *arguments):
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    return thread


def until(condition):
    deadline = soon()
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_what_comes_while_a_burst_is_done_is_the_next():
    together, done = Together(), []
    bursts = Bursts(together)
    threads = [started(bursts.do, lambda: done.append(0), soon())]
    assert together.entered.wait(30)
    threads += [started(bursts.do, lambda: done.append(1), soon()) for _ in range(20)]
    until(lambda: bursts.waiting == 21)
    assert bursts.oldest_s() > 0
    together.gate.set()
    for thread in threads:
        thread.join()
    assert together.bursts == [1, 20]
    assert len(done) == 21
    assert (bursts.waiting, bursts.oldest_s()) == (0, 0)
    assert bursts.close(30)


def test_a_fabric_that_gains_by_it_waits_for_a_whole_burst():
    together = Together()
    together.gate.set()
    bursts = Bursts(together, gather_s=30.0, limit=200)
    threads = [started(bursts.do, int, soon()) for _ in range(64)]
    for thread in threads:
        thread.join()
    assert together.bursts == [64]
    assert bursts.close(30)


def test_each_gets_its_own_result_or_error():
    together = Together()
    together.gate.set()
    bursts = Bursts(together)
    assert bursts.do(lambda: 5, soon()) == 5
    with pytest.raises(ZeroDivisionError):
        bursts.do(lambda: 1 // 0, soon())
    assert bursts.do(lambda: 6, soon()) == 6
    assert bursts.close(30)


def test_a_fabric_that_fails_as_a_whole_fails_its_burst_alone():
    def together(calls):
        calls[0]()
        if len(calls) > 1:
            raise RealizerError("the fabric is gone")

    gate, done = threading.Event(), []
    bursts = Bursts(together)
    threads = [started(bursts.do, lambda: gate.wait(30), soon())]
    until(lambda: bursts.jobs == 1)

    def ask(number):
        try:
            done.append(bursts.do(lambda: number, soon()))
        except RealizerError as error:
            done.append(str(error))

    for number in (1, 2):
        threads.append(started(ask, number))
        until(lambda number=number: bursts.waiting == number + 1)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(done, key=str) == [1, "the fabric is gone"]
    assert bursts.do(lambda: 3, soon()) == 3
    assert bursts.close(30)


def test_what_nobody_waits_for_is_not_begun_and_what_was_begun_is_finished():
    together, done = Together(), []
    bursts = Bursts(None)
    hold = threading.Event()
    with pytest.raises(DeadlineExceeded, match="goes on with it"):
        bursts.do(lambda: (hold.wait(30), done.append("begun")), soon(0.05))
    hold.set()
    assert bursts.close(30)
    assert done == ["begun"]
    bursts = Bursts(together)
    thread = started(bursts.do, int, soon())
    assert together.entered.wait(30)
    with pytest.raises(DeadlineExceeded, match="nothing was changed"):
        bursts.do(lambda: done.append("late"), soon(0.05))
    together.gate.set()
    thread.join()
    assert bursts.close(30)
    assert done == ["begun"]


def test_too_much_at_once_is_refused_and_so_is_everything_at_the_end():
    together = Together()
    bursts = Bursts(together, limit=1)
    thread = started(bursts.do, int, soon())
    assert together.entered.wait(30)
    with pytest.raises(AgentBusy, match="1 requests"):
        bursts.do(int, soon())
    assert not bursts.close(0.01)  # it hangs
    together.gate.set()
    thread.join()
    with pytest.raises(AgentBusy, match="ending"):
        bursts.do(int, soon())
    assert bursts.close(30)


def test_realizers_of_their_own_are_called_side_by_side():
    bursts, barrier = Bursts(None), threading.Barrier(8, timeout=30)
    threads = [started(bursts.do, barrier.wait, soon()) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert not barrier.broken
    assert bursts.close(30)


def test_for_one_instance_things_are_done_in_order_all_the_same():
    bursts, gate, entered, done = Bursts(None), threading.Event(), threading.Event(), []

    def first():
        entered.set()
        gate.wait(30)
        done.append("first")

    threads = [started(bursts.do, first, soon(), "i")]
    assert entered.wait(30)
    for number in range(4):
        threads.append(started(bursts.do, lambda number=number: done.append(number), soon(), "i"))
        until(lambda number=number: bursts.waiting == number + 2)
    assert bursts.do(lambda: "another instance", soon(), "j") == "another instance"
    gate.set()
    for thread in threads:
        thread.join()
    assert done == ["first", 0, 1, 2, 3]
    assert bursts.close(30)


@pytest.fixture
def service(tmp_path):
    with Ledger() as ledger:
        service = Service(Hosts("null", ledger), Audit(tmp_path / "audit"))
        yield service
        service.close()


def call(request, deadline_s=30.0):
    return calls.Call("1f", deadline_s, request)


def plug(number=5, host="h1", instance=INSTANCE, **changes):
    return call(protocol.Plug(host, instance, (port(number),), True))


def test_every_verb_reaches_the_realizer_of_its_host(service):
    service.serve(ME, plug())
    one, two = (service._hosts.realizer(name) for name in ("h1", "h2"))
    assert isinstance(one, NullRealizer)
    assert one.operations(INSTANCE)
    service.serve(ME, call(protocol.SetLink("h1", INSTANCE, False)))
    service.serve(ME, call(protocol.PrepareMigration("h2", INSTANCE, (port(5),))))
    service.serve(ME, call(protocol.AbortMigration("h2", INSTANCE, (port(5),))))
    service.serve(ME, call(protocol.Migrate("h2", INSTANCE, (port(5),), "h1")))
    assert (one.operations(INSTANCE), len(two.operations(INSTANCE))) == ((), 4)
    assert service.serve(ME, call(protocol.Counters("h2", INSTANCE))) == {}
    assert service.serve(ME, call(protocol.Namespace("h2", INSTANCE))) is None
    assert service.serve(ME, call(protocol.Describe("h2")))["name"] == "null"
    service.serve(ME, call(protocol.Unplug("h2", INSTANCE, (port(5),), False)))
    service.serve(ME, call(protocol.Unplug("h2", INSTANCE, None, False)))
    assert two.operations(INSTANCE) == ()
    assert service.serve(ME, call(protocol.Health()))["status"] == "ok"


def test_what_has_moved_is_told_from_what_has_ended(service):
    service.serve(ME, plug())
    realizer = service._hosts.realizer("h1")
    told = []
    realizer.depart = lambda instance, vifs: told.append((instance, vifs))
    service.serve(ME, call(protocol.Unplug("h1", INSTANCE, None, True)))
    assert (told, len(realizer.operations(INSTANCE))) == ([(INSTANCE, None)], 4)
    service.serve(ME, call(protocol.Unplug("h1", INSTANCE, None, False)))
    assert (len(told), realizer.operations(INSTANCE)) == (1, ())


def test_of_a_realizer_that_knows_no_difference_both_are_removed(service):
    service.serve(ME, plug())
    service.serve(ME, call(protocol.Unplug("h1", INSTANCE, None, True)))
    assert service._hosts.realizer("h1").operations(INSTANCE) == ()


def test_changes_are_audited_in_order_with_their_outcome(service, tmp_path):
    service.serve(ME, plug())
    with pytest.raises(InvalidInput):
        service.serve(ME, call(protocol.Plug("h1", INSTANCE, (port(6), port(6)), True)))
    service.serve(ME, call(protocol.Counters("h1", INSTANCE)))
    service.refused(Peer(7, 1000, 1000), "/v2/plug")
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [(line["event"], line["peer"]["uid"]) for line in lines] == [("change", 0), ("change", 0), ("refused", 1000)]
    records = list(read(tmp_path / "audit"))
    assert [(record.request.verb, record.error) for record in records] == [("plug", None), ("plug", "InvalidInput")]
    assert records[0].request == plug().request
    assert (tmp_path / "audit").stat().st_mode & 0o777 == 0o600


def test_metrics_count_by_verb_and_outcome(service):
    service.serve(ME, plug())
    with pytest.raises(DeadlineExceeded):
        service.serve(ME, call(protocol.Describe("h1"), 1e-9))
    text = service.render_metrics()
    assert 'nova_fakes_agent_requests_total{verb="plug",outcome="done"} 1\n' in text
    assert 'nova_fakes_agent_requests_total{verb="describe",outcome="DeadlineExceeded"} 1\n' in text
    described = 'nova_fakes_agent_info{version="%s",protocol="2",realizer="null"} 1\n'
    assert described % nova_fakes.__version__ in text
    counts = [int(line.split()[-1]) for line in text.splitlines() if 'bucket{verb="plug"' in line]
    assert counts == sorted(counts)
    assert (counts[-1], 'request_seconds_count{verb="plug"} 1\n' in text) == (1, True)
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert all(line.startswith(("# ", "nova_fakes_agent_")) for line in text.splitlines())


def test_a_thousand_host_names_are_too_many(service):
    for number in range(256):
        service.serve(ME, call(protocol.Describe(f"h{number}")))
    with pytest.raises(InvalidInput, match="start another"):
        service.serve(ME, call(protocol.Describe("h256")))
    assert service.serve(ME, call(protocol.Describe("h0")))["name"] == "null"


def test_the_log_goes_on_in_a_new_file_after_rotation(tmp_path):
    audit = Audit(tmp_path / "log" / "audit", clock=lambda: 5.0)
    audit.change(ME, plug(), None, 0.5)
    (tmp_path / "log" / "audit").rename(tmp_path / "old")
    audit.reopen()
    audit.change(ME, plug(6), RealizerError("no"), 0.5)
    audit.close()
    audit.change(ME, plug(7), None, 0.5)
    assert [(r.at, r.error) for r in read(tmp_path / "old")] == [(5.0, None)]
    assert [(r.at, r.error) for r in read(tmp_path / "log" / "audit")] == [(5.0, "RealizerError")]


def test_a_full_disk_does_not_stop_the_agent():
    audit = Audit("/dev/full")
    audit.change(ME, plug(), None, 0.5)
    assert audit.lost == 1


def test_logs_that_are_none_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match="audit"):
        list(read(tmp_path / "nothing"))
    with pytest.raises(InvalidInput, match="audit"):
        Audit(tmp_path)
    for line in ("{}", "5", '{"event": "change", "protocol": 9, "verb": "plug"}', "\udcff"):
        (tmp_path / "bad").write_text(line + "\n", errors="surrogateescape")
        with pytest.raises(InvalidInput, match="line 1"):
            list(read(tmp_path / "bad"))
    for request in (protocol.Execute("h1", INSTANCE, ("id",)), protocol.Health()):
        # As somebody may write it who wants `replay` to run a command.
        line = {"event": "change", "protocol": protocol.PROTOCOL, "at": 1.0, "verb": request.verb, "error": None}
        line["arguments"] = protocol.encode_arguments(request)
        (tmp_path / "bad").write_text(json.dumps(line) + "\n")
        with pytest.raises(InvalidInput, match="it is no change that is made again"):
            list(read(tmp_path / "bad"))
    (tmp_path / "torn").write_text('{"event": "cha')
    assert list(read(tmp_path / "torn")) == []


class Agent:
    """An agent that answers as it is told."""

    def __init__(self, *errors):
        self.errors, self.requests = list(errors), []

    def call(self, request):
        self.requests.append(request)
        error = self.errors.pop(0)
        if error is not None:
            raise error


def test_replay_makes_the_changes_again_at_the_old_pace(tmp_path):
    times, slept = [1.0, 3.0, 3.5], []
    audit = Audit(tmp_path / "audit", clock=iter(times).__next__)
    errors = [None, None, RealizerError("no")]
    for number, error in enumerate(errors):
        audit.change(ME, plug(number + 5), error, 0.1)
    agent = Agent(None, InvalidInput("mtu", 5, "use more"), RealizerError("no"))
    done = list(replay(read(tmp_path / "audit"), agent, pace=0.5, sleep=slept.append))
    assert [one.same for one in done] == [True, False, True]
    assert (done[1].error, slept) == ("InvalidInput", [1.0, 0.25])
    assert agent.requests == [plug(number + 5).request for number in range(3)]
    with pytest.raises(AgentUnreachable):
        list(replay(read(tmp_path / "audit"), Agent(AgentUnreachable("no agent"))))


def test_no_client_writes_lines_of_its_own_into_logs(service, tmp_path, caplog):
    lie = '/v2/x\n{"event":"change"}'
    service.refused(Peer(7, 1000, 1000), lie)
    (line,) = (tmp_path / "audit").read_text().splitlines()
    assert json.loads(line)["path"] == lie

    def stumble(environ):
        raise RuntimeError("nobody thought of that")

    answers = []
    application = Application(service, {0}, stumble)
    list(application({"PATH_INFO": lie}, lambda status, headers: answers.append(status)))
    assert answers == ["500 Internal Server Error"]
    assert [record.getMessage() for record in caplog.records] == ["""'x\\n{"event":"change"}' failed"""]


@pytest.fixture
def ask(service):
    application = Application(service, {0, 1000}, lambda environ: environ["peer"])

    def ask(path, body=None, method="POST", uid=0, **more):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answers = []
        environ = {
            "PATH_INFO": path, "REQUEST_METHOD": method, "CONTENT_LENGTH": str(len(raw)), "wsgi.input": io.BytesIO(raw),
            "peer": Peer(7, uid, 7), **more,
        }  # fmt: skip
        content = b"".join(application(environ, lambda status, headers: answers.append((status, dict(headers)))))
        ((status, headers),) = answers
        assert int(headers["Content-Length"]) == len(content)
        return int(status[:3]), content if headers["Content-Type"].startswith("text") else json.loads(content)

    return ask


def error_of(answer):
    return answer[0], answer[1]["error"]["kind"]


def test_a_call_is_answered(ask):
    body = json.loads(calls.encode_call(plug()))
    assert ask("/v2/plug", body) == (200, {"result": None})
    assert ask("/v2/plug", body, uid=1000) == (200, {"result": None})
    status, answer = ask("/health", method="GET")
    assert (status, answer["result"]["realizer"]) == (200, "null")
    status, text = ask("/metrics", method="GET")
    assert (status, b"requests_total" in text) == (200, True)


def test_other_users_are_refused_whatever_they_ask(ask):
    for path, method in (("/v2/plug", "POST"), ("/health", "GET"), ("/metrics", "GET"), ("/", "GET"), ("", "X")):
        status, answer = ask(path, b"junk", method, uid=1001)
        assert (status, answer["error"]["kind"]) == (403, "PeerRefused")
        assert "--allow-uid 1001" in answer["error"]["message"]


def test_other_versions_get_a_clear_answer(ask):
    for path in ("/v1/plug", "/v3/plug", "/v99999999999999999999999/anything"):
        status, answer = ask(path, b"whatever they say")
        assert (status, answer["error"]["kind"]) == (400, "ProtocolMismatch")
        assert "speaks protocol 2" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("path", "method", "more", "status"),
    [
        ("/", "GET", {}, 404),
        ("/v2", "POST", {}, 404),
        ("/v2/", "POST", {}, 404),
        ("/v2/perform", "POST", {}, 404),
        ("/v2/plug/../../etc", "POST", {}, 404),
        ("/vx/plug", "POST", {}, 404),
        ("/v\u00b2/plug", "POST", {}, 404),
        ("/v2/plug", "GET", {}, 405),
        ("/v2/plug", "DELETE", {}, 405),
        ("/health", "POST", {}, 405),
        ("/metrics", "PUT", {}, 405),
        ("/v2/plug", "POST", {"CONTENT_LENGTH": "many"}, 400),
        ("/v2/plug", "POST", {"CONTENT_LENGTH": "-5"}, 413),
        ("/v2/plug", "POST", {"CONTENT_LENGTH": str(1 << 21)}, 413),
        ("/v2/plug", "POST", {"CONTENT_LENGTH": ""}, 400),
    ],
)  # fmt: skip
def test_requests_of_a_wrong_form_are_told_so(ask, path, method, more, status):
    found, answer = ask(path, b"{}", method, **more)
    assert (found, list(answer)) == (status, ["error"])


def test_what_nobody_thought_of_is_an_answer_too(ask, service, monkeypatch):
    monkeypatch.setattr(service._hosts, "realizer", lambda host: 1 // 0)
    status, answer = ask("/v2/plug", json.loads(calls.encode_call(plug())))
    assert (status, answer["error"]["kind"]) == (500, "RealizerError")
    assert "ZeroDivisionError" in answer["error"]["message"]
    assert error_of(ask("/v2/plug", {"id": "1"})) == (400, "InvalidInput")


def carried(request, verb=None):
    return {"verb": verb or request.verb, **json.loads(calls.encode_call(call(request)))}


def test_a_batch_is_answered_call_by_call(ask, tmp_path):
    """What is wrong with one is not the others'; all that change something are audited."""
    other = str(uuid.UUID(int=6))
    given = [
        carried(plug().request),
        carried(protocol.Namespace("h1", INSTANCE)),
        carried(plug().request, verb="perform"),
        carried(protocol.Migrate("h2", INSTANCE, (), "h1")),
        carried(protocol.Health()),
        carried(protocol.Unplug("h1", other, None, False)),
        5,
    ]
    status, answer = ask("/v2/batch", {"calls": given})
    assert status == 200
    results = answer["result"]
    assert [results[0], results[1], results[5]] == [{"result": None}] * 3
    assert [position for position, one in enumerate(results) if "error" in one] == [2, 3, 6]
    assert "may not be said twice" in results[3]["error"]["message"]
    assert results[4]["result"]["status"] == "ok"
    assert sorted(record.request.verb for record in read(tmp_path / "audit")) == ["plug", "unplug"]


def test_a_batch_does_not_wait_for_one_that_hangs(ask, service):
    gate = threading.Event()
    service._hosts.realizer("h1").plug = lambda instance, vifs, *, up: gate.wait(30)
    given = [carried(plug().request), carried(protocol.Namespace("h1", str(uuid.UUID(int=6))))]
    assert ask("/v2/batch", {"calls": given})[1] == {"result": [None, {"result": None}]}
    gate.set()


def test_a_batch_beyond_the_limit_is_refused(ask, service):
    given = [carried(protocol.Namespace("h1", INSTANCE))] * (calls.MAX_BATCH + 1)
    status, answer = ask("/v2/batch", {"calls": given})
    assert (status, answer["error"]["kind"]) == (400, "InvalidInput")
    service.close()
    answers = ask("/v2/batch", {"calls": given[:2]})[1]["result"]
    assert [one["error"]["kind"] for one in answers] == ["AgentBusy"] * 2


def test_a_realizer_without_a_fabric_has_none():
    with Ledger() as ledger:
        assert registry.fabric("null", ledger) is None


def test_a_line_that_an_agent_left_torn_does_not_spoil_the_next(tmp_path):
    audit = Audit(tmp_path / "audit", clock=lambda: 5.0)
    audit.change(ME, plug(), None, 0.5)
    whole = (tmp_path / "audit").read_bytes()
    audit.close()
    (tmp_path / "audit").write_bytes(whole + whole[:50])  # killed
    audit = Audit(tmp_path / "audit", clock=lambda: 6.0)
    audit.change(ME, plug(6), None, 0.5)
    audit.close()
    assert [record.at for record in read(tmp_path / "audit")] == [5.0, 6.0]


def test_a_line_for_which_there_is_no_room_leaves_nothing(tmp_path, monkeypatch):
    audit = Audit(tmp_path / "audit", clock=lambda: 5.0)
    write = os.write
    monkeypatch.setattr("nova_fakes.agent.audit.os.write", lambda fd, data: write(fd, data[:50]))
    audit.change(ME, plug(), None, 0.5)
    monkeypatch.undo()
    audit.change(ME, plug(6), None, 0.5)
    audit.close()
    assert (audit.lost, len(list(read(tmp_path / "audit")))) == (1, 1)


def test_a_log_that_cannot_be_opened_anew_is_written_on(tmp_path, caplog):
    audit = Audit(tmp_path / "log" / "audit")
    (tmp_path / "log").rename(tmp_path / "old")
    (tmp_path / "log").write_text("in the way")
    daemon.open_anew(audit)
    assert "stays where it is" in caplog.text
    audit.change(ME, plug(), None, 0.5)
    audit.close()
    assert len(list(read(tmp_path / "old" / "audit"))) == 1
