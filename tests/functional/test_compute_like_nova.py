"""The compute fake and a real nova, asked the same: same statuses, same shapes."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
from compute_calls import SCRIPT, Answered, run
from keystoneauth1 import session
from keystoneauth1.identity import v3
from running import connect, wait_for

from nova_fakes.api.stack import Stack
from nova_fakes.sandbox import launcher
from nova_fakes.sandbox.launcher import SandboxSpec

# Values that nova has where the fake has none, or the other way round, at the moment of asking.
OPTIONAL = ("uptime", "updated_at", "finish_time", "OS-EXT-AZ:availability_zone")


def prepare(cloud: openstack.connection.Connection) -> dict[str, str]:
    """Return what the script needs to be told of a cloud."""
    volume = cloud.block_storage.create_volume(size=1, name="cmp")
    wait_for("a volume", lambda: cloud.block_storage.get_volume(volume.id).status == "available")
    (image,) = cloud.image.images(name="nova-fakes")
    (network,) = cloud.network.networks(name="private")
    return {"image": image.id, "network": network.id, "volume": volume.id, "project": cloud.current_project_id}


def asked(cloud: openstack.connection.Connection) -> list[Answered]:
    return list(run(cloud.session, prepare(cloud)))


@pytest.fixture(scope="module")
def real() -> Iterator[list[Answered]]:
    directory = Path(tempfile.mkdtemp(prefix="nova-fakes-test-"))
    client = launcher.up(SandboxSpec(state=directory, realizer="null"))
    try:
        yield asked(connect(client))
    finally:
        client.down()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def fake() -> Iterator[list[Answered]]:
    with Stack() as stack:
        auth = v3.Password(
            stack.endpoint("identity"),
            username="admin",
            password="secret",
            project_name="admin",
            user_domain_id="default",
            project_domain_id="default",
        )
        ksa = session.Session(auth, session=stack.session())
        yield asked(openstack.connection.Connection(session=ksa, region_name="RegionOne"))


def differences(real: Any, fake: Any, where: str = "") -> Iterator[str]:
    """Yield where two shapes differ."""
    if where.rpartition("/")[2] in OPTIONAL and "null" in (real, fake):
        return
    if isinstance(real, dict) and isinstance(fake, dict):
        for key in sorted(real.keys() | fake.keys()):
            if key not in fake or key not in real:
                yield f"{where}/{key}: only {'nova' if key in real else 'the fake'} has it"
            else:
                yield from differences(real[key], fake[key], f"{where}/{key}")
    elif isinstance(real, list) and isinstance(fake, list) and len(real) == len(fake):
        for one, other in zip(real, fake, strict=True):
            yield from differences(one, other, f"{where}[]")
    elif real != fake:
        yield f"{where}: {real} with nova, {fake} with the fake"


def test_the_script_is_long_enough() -> None:
    assert len(SCRIPT) >= 100


def test_same_statuses(real, fake) -> None:
    found = [
        f"{one.call}: {one.status} {one.state} with nova, {other.status} {other.state} with the fake"
        for one, other in zip(real, fake, strict=True)
        if (one.status, one.state) != (other.status, other.state)
    ]
    assert not found, "\n".join(found)


def test_same_shapes(real, fake) -> None:
    found = [
        f"{one.call.method} {one.call.path} {one.call.version} {one.call.body}: {difference}"
        for one, other in zip(real, fake, strict=True)
        # Of a path that it does not know, nova tells in plain text.
        if one.call.path != "/none-such"
        for difference in differences(one.shape, other.shape)
    ]
    assert not found, "\n".join(found)
