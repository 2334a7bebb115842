"""`nova-fakes api serve` as a process, and the same services without a socket."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openstack
import pytest
import requests
from keystoneauth1 import session
from keystoneauth1.identity import v3
from openstack import exceptions as sdk_exceptions
from openstack_commands import OpenStackShell

from nova_fakes.api.adapter import WSGIAdapter
from nova_fakes.api.adapter import session as in_process
from nova_fakes.api.stack import SERVICES, Stack
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InvalidInput

SERVER = "server create --image nova-fakes --flavor m1.tiny --network private --wait a"
PROGRAM = str(Path(sys.executable).parent / "nova-fakes")


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], dict[str, str]]]:
    """A process that serves; its URLs by service, and the environment that it prints."""
    process = subprocess.Popen(
        [PROGRAM, "api", "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    urls: dict[str, str] = {}
    variables: dict[str, str] = {}
    assert process.stdout is not None
    try:
        count = sum(argument in SERVICES for argument in arguments)
        while len(urls) < count or len(variables) < (8 if "identity" in urls else 2):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            if found := re.match(r"export (\w+)=(.*)", line):
                variables[found[1]] = found[2].strip("'\n")
            else:
                name, url = line.split()
                urls[name] = url
        yield process, urls, variables
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0, process.communicate()[1]


def connect(stack: Stack, user: str = "admin") -> openstack.connection.Connection:
    auth = v3.Password(
        stack.endpoint("identity"),
        username=user,
        password="secret",
        project_name=user,
        user_domain_id="default",
        project_domain_id="default",
    )
    ksa = session.Session(auth, session=stack.session())
    return openstack.connection.Connection(session=ksa, region_name="RegionOne", identity_api_version="3")


def test_the_stock_command_finds_all_services() -> None:
    with serving(*SERVICES) as (_, urls, variables), OpenStackShell(variables) as shell:
        assert len({url.split("/")[2] for url in urls.values()}) == 1  # one port
        kinds = {row["Type"] for row in shell.ask("catalog list")}
        assert kinds == {"identity", "image", "network", "volumev3", "compute"}
        shell.do(SERVER)
        (row,) = shell.ask("server list")
        assert (row["Status"], row["Image"], row["Flavor"]) == ("ACTIVE", "nova-fakes", "m1.tiny")
        for command in ("pause", "unpause", "stop", "start", "lock", "unlock", "shelve", "unshelve"):
            shell.do(f"server {command} a")
        shell.do("volume create --size 1 v")
        shell.do("server add volume a v")
        assert [one["Device"] for one in shell.ask("server volume list a")] == ["/dev/vdb"]
        assert shell.ask("server show a")["status"] == "ACTIVE"
        assert len(shell.ask("server event list a")) == 10
        shell.do("server resize --flavor m1.small --wait a")
        shell.do("server resize confirm a")
        shell.do("server image create --name backup --wait a")
        assert {one["Name"] for one in shell.ask("image list")} == {"nova-fakes", "backup"}
        shell.do("server delete --wait a")
        assert shell.ask("port list") == []


def test_services_with_ports_of_their_own_and_no_identity() -> None:
    arguments = ("network", "image", "--listen", "network=127.0.0.1:0", "--listen", "image=127.0.0.1:0")
    with serving(*arguments) as (_, urls, variables):
        assert len({url.split("/")[2] for url in urls.values()}) == 2
        assert variables["OS_AUTH_TYPE"] == "none"
        answer = requests.get(f"{urls['network']}/v2.0/networks", timeout=60).json()
        assert [one["name"] for one in answer["networks"]] == ["private"]
        other = {"X-Auth-Token": "somebody:elsewhere"}
        refused = requests.post(f"{urls['network']}/v2.0/networks", json={"network": {"shared": True}}, headers=other)
        assert refused.status_code == 403


def test_what_they_know_outlives_them(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with serving(*SERVICES, *state) as (_, _, variables), OpenStackShell(variables) as shell:
        shell.do(SERVER)
    with serving(*SERVICES, *state) as (_, _, variables), OpenStackShell(variables) as shell:
        (row,) = shell.ask("server list")
        assert row["Status"] == "ACTIVE"
        shell.do("server pause a")
        shell.do("server delete --wait a")


def test_a_killed_one_leaves_its_images_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen([PROGRAM, "api", "serve", "image"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    left = set(tmp_path.rglob("*"))
    assert left
    with serving("image"):
        assert not {path for path in left if path.parent.parent == tmp_path} & set(tmp_path.rglob("*"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [("--listen", "nonsense"), ("--listen", "volume=127.0.0.1:0"), ("--listen", "127.0.0.1:99999")]
)
def test_wrong_addresses_are_refused(wrong) -> None:
    done = subprocess.run([PROGRAM, "api", "serve", "image", *wrong], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--listen" in done.stderr


def test_a_fleet_file_says_what_hosts_there_are(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text('[[host]]\nname = "big-{n}"\ncount = 3\nvcpus = 96\n')
    with (
        serving("identity", "compute", "--fleet", str(fleet)) as (_, _, variables),
        OpenStackShell(variables) as shell,
    ):
        assert [row["Hypervisor Hostname"] for row in shell.ask("hypervisor list")] == ["big-1", "big-2", "big-3"]


def test_two_clouds_in_one_process_know_nothing_of_each_other() -> None:
    with Stack() as one, Stack() as other:
        network = connect(one).network.create_network(name="mine")
        assert connect(other).network.find_network("mine") is None
        assert connect(one).network.get_network(network.id).name == "mine"


def test_bytes_stream_both_ways_without_a_socket() -> None:
    with Stack(("identity", "image")) as stack:
        cloud = connect(stack)
        contents = bytes(range(256)) * 4096
        image = cloud.image.create_image(
            name="x", disk_format="raw", container_format="bare", data=contents, validate_checksum=False
        )
        response = cloud.image.download_image(image, stream=True)
        assert b"".join(response.iter_content(1000)) == contents
        # A body that comes block by block, as glanceclient sends it.
        url = f"{stack.endpoint('image')}/v2/images"
        headers = {"X-Auth-Token": cloud.auth_token}
        values = {"name": "y", "disk_format": "raw", "container_format": "bare"}
        made = stack.session().post(url, json=values, headers=headers).json()
        octets = {**headers, "Content-Type": "application/octet-stream"}
        stack.session().put(
            f"{url}/{made['id']}/file", data=iter([b"ab", b"", b"c"]), headers=octets
        ).raise_for_status()
        assert stack.session().get(f"{url}/{made['id']}/file", headers=headers).content == b"abc"


def test_an_application_that_fails_is_a_connection_that_fails() -> None:
    def broken(environ, start_response):
        raise RuntimeError("no")

    with pytest.raises(requests.ConnectionError, match="no"):
        in_process(broken).get("http://nova-fakes.test/")


def test_a_body_that_fails_is_the_callers() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("the caller's own")

    with Stack(("image",)) as stack:
        url = f"{stack.endpoint('image')}/v2/images"
        values = {"name": "y", "disk_format": "raw", "container_format": "bare"}
        made = stack.session().post(url, json=values).json()
        octets = {"Content-Type": "application/octet-stream"}
        with pytest.raises(LookupError, match="own"):
            stack.session().put(f"{url}/{made['id']}/file", data=blocks(), headers=octets)
        assert stack.session().get(f"{url}/{made['id']}").json()["status"] == "queued"


def test_the_address_is_the_clients_own() -> None:
    def echo(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Two", "1"), ("X-Two", "2")])
        return [f"{environ['HTTP_HOST']} {environ['PATH_INFO']} {environ['QUERY_STRING']}".encode()]

    client = requests.Session()
    client.mount("https://", WSGIAdapter(echo))
    response = client.get("https://cloud:8443/a%20b", params={"c": "d"})
    assert response.text == "cloud:8443 /a b c=d"
    assert response.headers["X-Two"] in ("1, 2", "2")


def test_tokens_expire_by_the_stacks_clock() -> None:
    clock = ManualClock(1_800_000_000.0)
    with Stack(("identity", "volume"), clock=clock) as stack:
        client = stack.session()
        user = {"name": "demo", "domain": {"id": "default"}, "password": "secret"}
        auth = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        issued = client.post(f"{stack.endpoint('identity')}/v3/auth/tokens", json=auth)
        headers = {"X-Auth-Token": issued.headers["X-Subject-Token"]}
        url = f"{stack.endpoint('volume')}/volumes"
        assert client.get(url, headers=headers).status_code == 200
        clock.advance(3601)
        assert client.get(url, headers=headers).status_code == 401


def test_unknown_services_and_spoilt_state_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="services"):
        Stack(("telephony",))
    (tmp_path / "network.json").write_text("nonsense")
    with pytest.raises(InvalidInput, match="restore the file"):
        Stack(("network",), directory=tmp_path)


def test_an_ordinary_user_gets_the_real_refusals() -> None:
    with Stack() as stack:
        demo = connect(stack, "demo")
        with pytest.raises(sdk_exceptions.ForbiddenException):
            list(demo.compute.hypervisors())
        with pytest.raises(sdk_exceptions.ForbiddenException):
            list(demo.compute.servers(all_projects=True))
