"""The client of Open vSwitch's database, against a server that says what the test wants."""

import contextlib
import json
import socket
import threading

import pytest

from nova_fakes.exceptions import OvsdbRefused, OvsdbUnavailable
from nova_fakes.virt.vif import ovsdb
from nova_fakes.virt.vif.ovsdb import Connection


class Server:
    """Answers each request by calling `answer` with it; what that yields is sent as it is, bytes or a message."""

    def __init__(self, path):
        self.requests = []
        self.answer = lambda request: [{"id": request["id"], "result": [{}], "error": None}]
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self):
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(ConnectionError):
                self._serve(client)

    def _serve(self, client):
        buffer = ""
        while received := client.recv(1 << 16):
            buffer += received.decode()
            while buffer:
                try:
                    request, end = json.JSONDecoder().raw_decode(buffer)
                except ValueError:
                    break
                buffer = buffer[end:]
                self.requests.append(request)
                for part in self.answer(request) if "method" in request else ():
                    if part is None:
                        return
                    client.sendall(part if isinstance(part, bytes) else json.dumps(part).encode())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db.sock"


@pytest.fixture
def server(path):
    server = Server(path)
    yield server
    server.close()


@pytest.fixture
def connection(server, path):
    with Connection(path, deadline_s=5) as connection:
        yield connection


def result(request, *results):
    return {"id": request["id"], "result": list(results), "error": None}


def test_nobody_listens(path):
    with pytest.raises(OvsdbUnavailable, match="is ovsdb-server running"):
        Connection(path)


def test_a_path_that_is_too_long_for_a_socket(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    server = Server("db.sock")
    try:
        with Connection(deep / "db.sock", deadline_s=5) as connection:
            assert connection.transact([{"op": "comment", "comment": ""}]) == [{}]
    finally:
        server.close()


def test_a_transaction_is_one_request(server, connection):
    operations = [{"op": "comment", "comment": str(number)} for number in range(50)]
    server.answer = lambda request: [result(request, *[{"count": n} for n in range(50)])]
    assert connection.transact(operations) == [{"count": n} for n in range(50)]
    (request,) = server.requests
    assert (request["method"], request["params"]) == ("transact", ["Open_vSwitch", *operations])


def test_answers_come_in_pieces_and_together(server, connection):
    server.answer = lambda request: [
        b'{"id":null,"method":"update","params":["',
        b'}"]}' + json.dumps(result(request, {"rows": ["é}"]})).encode(),
    ]
    assert connection.transact([{}]) == [{"rows": ["é}"]}]


def test_a_probe_is_answered(server, connection):
    probe = {"id": "echo", "method": "echo", "params": ["x"]}
    server.answer = lambda request: [probe, result(request, {})]
    connection.transact([{}])
    connection.transact([{}])
    assert {"id": "echo", "result": ["x"], "error": None} in server.requests


@pytest.mark.parametrize(
    "results",
    [
        [{"error": "constraint violation", "details": "two of them"}, None],
        [{}, {}, {"error": "constraint violation", "details": "two of them"}],
    ],
)
def test_a_refused_operation_is_an_error_of_its_own_type(server, connection, results):
    server.answer = lambda request: [result(request, *results)]
    with pytest.raises(OvsdbRefused, match="constraint violation: two of them") as caught:
        connection.transact([{}, {}])
    assert (caught.value.error, caught.value.details) == ("constraint violation", "two of them")


def test_a_refused_request_is_so_too(server, connection):
    server.answer = lambda request: [{"id": request["id"], "result": None, "error": {"error": "unknown database"}}]
    with pytest.raises(OvsdbRefused, match="unknown database"):
        connection.transact([{}])


def test_a_server_that_says_nothing_is_left_at_the_deadline(server, path):
    server.answer = lambda request: []
    with Connection(path, deadline_s=0.05) as connection, pytest.raises(OvsdbUnavailable, match="has not answered"):
        connection.transact([{}])


def test_a_server_that_never_stops_talking_is_left_too(server, path):
    def chatter(request):
        while True:
            yield {"id": None, "method": "update", "params": []}

    server.answer = chatter
    connection = Connection(path, deadline_s=0.05)
    with connection, pytest.raises(OvsdbUnavailable, match="has not answered"):
        connection.transact([{}])


def test_a_server_that_goes_away_is_unavailable(server, connection):
    server.answer = lambda request: [None]
    with pytest.raises(OvsdbUnavailable, match="broke"):
        connection.transact([{}])


def test_a_commit_waits_for_the_number_that_it_made(server, connection):
    def answer(request):
        if request["params"][1]["op"] == "wait":
            return [result(request, {})]
        return [result(request, {"uuid": ["uuid", "u"]}, {"count": 1}, {"rows": [{"next_cfg": 7}]})]

    server.answer = answer
    assert connection.commit([{"op": "insert"}]) == [{"uuid": ["uuid", "u"]}]
    (wait,) = server.requests[1]["params"][1:]
    assert wait["where"] == [["cur_cfg", ">=", 7]]
    assert 0 < wait["timeout"] <= 5000


def test_a_switch_that_does_not_follow_is_unavailable(server, connection):
    def answer(request):
        if request["params"][1]["op"] == "wait":
            return [result(request, {"error": "timed out", "details": ""})]
        return [result(request, {"count": 1}, {"rows": [{"next_cfg": 7}]})]

    server.answer = answer
    with pytest.raises(OvsdbUnavailable, match="ovs-vswitchd has not applied"):
        connection.commit([])


def test_sets_and_maps_are_read_as_they_are_written():
    assert ovsdb.decode_set(ovsdb.encode_set([1, 2])) == [1, 2]
    assert ovsdb.decode_set(5) == [5]
    assert ovsdb.decode_set(["uuid", "u"]) == [["uuid", "u"]]
    assert ovsdb.decode_map(ovsdb.encode_map({"a": "b"})) == {"a": "b"}
