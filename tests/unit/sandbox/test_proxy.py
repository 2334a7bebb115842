import io
import json

import pytest

from nova_fakes.api.server import Server
from nova_fakes.sandbox.proxy import Proxy


def echo(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length).decode()
    told = {name: environ.get(name, "") for name in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")}
    told |= {"body": body, "token": environ.get("HTTP_X_AUTH_TOKEN"), "type": environ.get("CONTENT_TYPE", "")}
    start_response("202 Accepted", [("Content-Type", "application/json"), ("X-Told", "yes")])
    return [json.dumps(told).encode()]


@pytest.fixture
def server():
    server = Server({"/compute": echo})
    server.start()
    yield server
    server.stop()


def ask(proxy, method="GET", path="/v2.1/servers", query="", body=b"", **headers):
    answered = []
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "/compute",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": "application/json" if body else "",
        "HTTP_CONNECTION": "close",
        "wsgi.input": io.BytesIO(body),
        **headers,
    }
    parts = proxy(environ, lambda status, headers: answered.append((status, dict(headers))))
    (status, headers), text = answered[0], b"".join(parts)
    assert int(headers["Content-Length"]) == len(text)
    return status, headers, json.loads(text)


def test_a_request_is_handed_on_whole_and_so_is_the_answer(server):
    proxy = Proxy(server.port)
    status, headers, told = ask(proxy, "POST", query="a=1&b=%20", body=b'{"x": 1}', HTTP_X_AUTH_TOKEN="secret")
    assert status == "202 Accepted"
    assert headers["X-Told"] == "yes"
    assert told == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/compute",
        "PATH_INFO": "/v2.1/servers",
        "QUERY_STRING": "a=1&b=%20",
        "body": '{"x": 1}',
        "token": "secret",
        "type": "application/json",
    }


def test_many_requests_and_odd_paths(server):
    proxy = Proxy(server.port)
    for path in ("/v2.1/a b", "/v2.1/\xc3\xbc", "/v2.1/x;y=z"):
        assert ask(proxy, path=path)[2]["PATH_INFO"] == path


def test_while_nobody_answers_clients_are_told_to_try_again():
    gone = Server({"/compute": echo})
    gone.start()
    proxy = Proxy(gone.port)
    assert ask(proxy)[0] == "202 Accepted"
    gone.stop()
    status, headers, told = ask(proxy)
    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "1")
    assert told["error"]["code"] == 503
    again = Server({"/compute": echo}, port=gone.port)
    again.start()
    assert ask(proxy)[0] == "202 Accepted"
    again.stop()
