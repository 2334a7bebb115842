"""RabbitMQ's own command for its management API, pointed at ours."""

import http.client
import json
import shutil
import subprocess

import pytest

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit import Broker
from nova_fakes.rabbit.management import ManagementServer

COMMAND = shutil.which("rabbitmqadmin")
pytestmark = pytest.mark.skipif(COMMAND is None, reason="no rabbitmqadmin here (Debian's package rabbitmq-server)")


@pytest.fixture
def admin():
    with ManagementServer(Broker()) as server:
        port = server.url.rpartition(":")[2]

        def run(*arguments):
            argv = [COMMAND, "-P", port, *arguments]
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

        yield run


def test_it_declares_publishes_gets_and_lists(admin, tmp_path):
    admin("declare", "exchange", "name=work", "type=topic")
    admin("declare", "queue", "name=jobs", "durable=true")
    admin("declare", "binding", "source=work", "destination=jobs", "routing_key=a.*")
    assert "published" in admin("publish", "exchange=work", "routing_key=a.b", "payload=hello")
    (message,) = json.loads(admin("-f", "raw_json", "get", "queue=jobs"))
    assert message["payload"] == "hello"
    (queue,) = json.loads(admin("-f", "raw_json", "list", "queues", "name", "messages"))
    assert (queue["name"], queue["messages"]) == ("jobs", 1)
    assert "3.10.8" in admin("show", "overview")
    admin("declare", "vhost", "name=two")
    admin("declare", "user", "name=bob", "password=x", "tags=monitoring")
    admin("declare", "permission", "vhost=two", "user=bob", "configure=.*", "write=.*", "read=.*")
    admin("export", str(tmp_path / "definitions.json"))
    admin("delete", "binding", "source=work", "destination_type=queue", "destination=jobs", "properties_key=a.%2A")
    admin("purge", "queue", "name=jobs")
    admin("delete", "queue", "name=jobs")
    assert "No items" in admin("list", "queues")
    admin("import", str(tmp_path / "definitions.json"))
    assert "jobs" in admin("list", "queues")


def test_a_client_that_stays_does_not_keep_it_from_stopping():
    with ManagementServer(Broker()) as server:
        client = http.client.HTTPConnection(server.url.removeprefix("http://"))
        client.request("GET", "/api/overview")
        assert client.getresponse().read()
    client.close()


def test_an_address_that_cannot_be_is_refused():
    for address in ("nonsense", "127.0.0.1:x", "203.0.113.1:0"):
        with pytest.raises(InvalidInput, match="management"):
            ManagementServer(Broker(), address)
