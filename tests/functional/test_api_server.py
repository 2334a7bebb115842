"""The server under all API fakes, spoken to in plain HTTP/1.1."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from nova_fakes.api.server import Server
from nova_fakes.exceptions import InvalidInput, PortTaken

BLOCK = b"x" * 100_000


def echo(environ, start_response):
    """Answer what the request was; paths ask for special answers."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (BLOCK for _ in range(50))
    if path == "/bug":
        raise RuntimeError("boom")
    if path == "/unread":
        start_response("401 Unauthorized", [("Content-Length", "2")])
        return [b"no"]
    size_bytes = 0
    while block := environ["wsgi.input"].read(65536):
        size_bytes += len(block)
    body = json.dumps(
        {
            "method": environ["REQUEST_METHOD"],
            "script": environ["SCRIPT_NAME"],
            "path": path,
            "query": environ["QUERY_STRING"],
            "size": size_bytes,
            "host": environ["HTTP_HOST"],
            "header": environ.get("HTTP_X_TEST"),
        }
    ).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/echo": echo}) as server:
        yield server


@pytest.fixture
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    yield connection
    connection.close()


def ask(connection, method: str, path: str, **more) -> tuple[int, bytes]:
    connection.request(method, path, **more)
    response = connection.getresponse()
    return response.status, response.read()


def raw(server: Server, data: bytes) -> bytes:
    """Send bytes and return everything until the server closes."""
    with socket.create_connection((server.host, server.port), timeout=10) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_requests_reach_the_application_they_name(server, connection) -> None:
    status, body = ask(connection, "GET", "/echo/a%20b/c?q=1&r=%20", headers={"X-Test": "yes"})
    assert status == 200
    assert json.loads(body) == {
        "method": "GET",
        "script": "/echo",
        "path": "/a b/c",
        "query": "q=1&r=%20",
        "size": 0,
        "host": f"127.0.0.1:{server.port}",
        "header": "yes",
    }
    assert json.loads(ask(connection, "GET", "/echo")[1])["path"] == "/"
    assert ask(connection, "GET", "/echoes")[0] == 404


def test_the_root_lists_the_services(server, connection) -> None:
    status, body = ask(connection, "GET", "/")
    assert (status, json.loads(body)) == (200, {"services": {"echo": f"{server.url}/echo"}})
    status, body = ask(connection, "GET", "/nowhere/x")
    assert status == 404
    assert "/nowhere/x" in json.loads(body)["error"]["message"]


def test_a_connection_is_used_again(connection) -> None:
    ask(connection, "GET", "/echo")
    first = connection.sock
    assert first is not None
    for method, body in (("PUT", BLOCK), ("POST", b""), ("HEAD", None), ("GET", None), ("DELETE", None)):
        assert ask(connection, method, "/echo", body=body)[0] == 200
        assert connection.sock is first


@pytest.mark.parametrize("encode_chunked", [False, True])
@pytest.mark.parametrize("count", [0, 1, 80])
def test_bodies_of_all_sizes_arrive(connection, encode_chunked, count) -> None:
    size_bytes = count * len(BLOCK)
    headers = {"Transfer-Encoding": "chunked"} if encode_chunked else {"Content-Length": str(size_bytes)}
    blocks = (BLOCK for _ in range(count))
    for _ in range(2):  # the second request finds the connection where the first one left it
        connection.request("PUT", "/echo", body=blocks, headers=headers, encode_chunked=encode_chunked)
        assert json.loads(connection.getresponse().read())["size"] == size_bytes
        blocks = (BLOCK for _ in range(count))


def test_a_body_that_nobody_reads_does_not_spoil_the_connection(connection) -> None:
    assert ask(connection, "PUT", "/echo/unread", body=BLOCK * 30) == (401, b"no")
    first = connection.sock
    assert json.loads(ask(connection, "GET", "/echo/next")[1])["path"] == "/next"
    assert connection.sock is first


def test_answers_of_unknown_length_are_streamed(connection) -> None:
    assert ask(connection, "GET", "/echo/stream") == (200, BLOCK * 50)
    assert ask(connection, "HEAD", "/echo/stream") == (200, b"")
    assert ask(connection, "GET", "/echo")[0] == 200


def test_a_bug_in_an_application_is_a_500_and_no_end(connection, caplog) -> None:
    status, body = ask(connection, "GET", "/echo/bug")
    assert status == 500
    assert b"boom" not in body
    assert "boom" in caplog.text
    assert ask(connection, "GET", "/echo")[0] == 200


def test_clients_that_want_to_be_asked_are(server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as sock:
        sock.sendall(b"PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        assert b'"size": 3' in sock.recv(4096)


def test_requests_may_follow_each_other_unanswered(server) -> None:
    answers = raw(server, b"GET /echo/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /echo/2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answers.index(b'"/1"') < answers.index(b'"/2"')


def test_http_1_0_is_closed_after_the_answer(server) -> None:
    answer = raw(server, b"GET /echo/stream HTTP/1.0\r\nHost: h\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert body == BLOCK * 50


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /echo HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nSpace : x\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"PUT /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /echo HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n", 431),
    ],
)
def test_what_is_no_http_is_refused(server, request_bytes, status) -> None:
    assert raw(server, request_bytes).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("rest", [b"", b"zz\r\n", b"3\r\nabcdef\r\n", b"5\r\nab"])
def test_a_body_that_breaks_off_closes_the_connection(server, connection, rest) -> None:
    answer = raw(server, b"PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + rest)
    assert not answer.startswith(b"HTTP/1.1 2")
    assert ask(connection, "GET", "/echo")[0] == 200


def test_a_port_is_taken_once(server) -> None:
    with pytest.raises(PortTaken, match=str(server.port)):
        Server(port=server.port)


def test_a_port_is_free_again_at_once() -> None:
    with Server({"/echo": echo}) as first:
        connection = http.client.HTTPConnection(first.host, first.port, timeout=10)
        ask(connection, "GET", "/echo")
    with Server({"/echo": echo}, port=first.port) as second:
        assert second.port == first.port
        connection.close()
        assert ask(connection, "GET", "/echo")[0] == 200
        connection.close()


def test_stopping_lets_requests_finish_and_closes_idle_connections() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(environ, start_response):
        entered.set()
        assert leave.wait(10)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    server = Server({"/echo": echo, "/slow": slow})
    server.start()
    idle = http.client.HTTPConnection(server.host, server.port, timeout=10)
    ask(idle, "GET", "/echo")
    busy = http.client.HTTPConnection(server.host, server.port, timeout=10)
    busy.request("GET", "/slow")
    assert entered.wait(10)
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    assert idle.sock.recv(1) == b""
    leave.set()
    response = busy.getresponse()
    assert (response.read(), response.headers["Connection"]) == (b"done", "close")
    stopper.join(10)
    assert not stopper.is_alive()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=10)
    with pytest.raises(InvalidInput):
        server.start()
    for connection in (idle, busy):
        connection.close()


def test_requests_wait_for_the_start() -> None:
    server = Server()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    connection.request("GET", "/late")
    server.mount("/late", echo)
    server.start()
    try:
        assert connection.getresponse().read()
        server.unmount("/late")
        assert ask(connection, "GET", "/late")[0] == 404
    finally:
        connection.close()
        server.stop()


@pytest.mark.parametrize("prefix", ["", "/", "echo", "/a/b"])
def test_prefixes_are_one_segment(prefix) -> None:
    with pytest.raises(InvalidInput, match="prefix"):
        Server({prefix: echo})
