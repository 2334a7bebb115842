"""Volumes that move to another pool, with their bytes, also under a server; and types that say where."""

from collections.abc import Callable, Iterator

import pytest
from volume_requests import ADMIN, CONNECTOR, NOVA, PROJECT, SERVERS, Api, Validator

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import InjectedFault
from nova_fakes.faults import FaultRule
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore

FAST, SLOW = "nova-fakes@fake#fast", "nova-fakes@fake#slow"
Swaps = list[tuple[str, str, str]]


@pytest.fixture
def store(clock: ManualClock) -> VolumeStore:
    return VolumeStore([Pool(name="fast", total_bytes=4 * GIB), Pool(name="slow")], clock=clock)


@pytest.fixture
def swaps() -> Swaps:
    return []


@pytest.fixture
def api(store: VolumeStore, swaps: Swaps, clock: ManualClock) -> Iterator[Api]:
    service = VolumeService(clock=clock, volume_store=store, server_swap=lambda *ids: swaps.append(ids))
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)


def migrate(api: Api, volume_id: str, host: str = SLOW, *, status: int = 202, **values: bool) -> None:
    api.as_(ADMIN).act(volume_id, "os-migrate_volume", {"host": host, **values}, status=status)


def shown(api: Api, volume_id: str) -> tuple[str, str, str | None]:
    volume = api.as_(ADMIN).show(volume_id)
    return volume["status"], volume["os-vol-host-attr:host"], volume["migration_status"]


def attach(api: Api, volume_id: str) -> str:
    body = {"volume_uuid": volume_id, "instance_uuid": SERVERS[0], "connector": CONNECTOR}
    made: str = api("POST", "/v3/attachments", {"attachment": body})["attachment"]["id"]
    api("POST", f"/v3/attachments/{made}/action", {"os-complete": None}, status=204)
    return made


def swapped(api: Api, store: VolumeStore, swaps: Swaps, attachment_id: str, *, failed: bool = False) -> str:
    """Do what nova does when it has been asked to swap; return the id that it is told to keep."""
    server, old, new = swaps.pop()
    nova = api.as_(NOVA)
    nova.act(old, "os-begin_detaching")
    body = {"volume_uuid": new, "instance_uuid": server, "connector": CONNECTOR}
    made = nova("POST", "/v3/attachments", {"attachment": body})["attachment"]["id"]
    if failed:
        nova.act(old, "os-roll_detaching")
        nova("DELETE", f"/v3/attachments/{made}")
    else:
        assert all(store.copy_volume(old, new))
        nova("POST", f"/v3/attachments/{made}/action", {"os-complete": None}, status=204)
        nova("DELETE", f"/v3/attachments/{attachment_id}")
    answer = nova.act(old, "os-migrate_volume_completion", {"new_volume": new, "error": failed}, status=200)
    return str(answer["save_volume_id"])


def test_volume_moves_with_its_bytes(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    store.volume(volume_id).disk.write(7, b"moves")
    assert shown(api, volume_id) == ("available", FAST, None)
    migrate(api, volume_id, lock_volume=True)
    assert shown(api, volume_id) == ("available", SLOW, "success")
    assert store.volume(volume_id).pool == "slow"
    assert store.volume(volume_id).disk.read(7, 5) == b"moves"


def test_copy_that_fails_midway_leaves_the_volume_where_it_was(api: Api, store: VolumeStore) -> None:
    volume_id = api.volume()
    store.volume(volume_id).disk.write(0, b"x" * (3 << 20))
    store.faults.add(FaultRule("volume.copy", after=1, times=1))
    migrate(api, volume_id)
    assert shown(api, volume_id) == ("available", FAST, "error")
    assert store.volume(volume_id).disk.read(0, 1) == b"x"
    migrate(api, volume_id)
    assert shown(api, volume_id) == ("available", SLOW, "success")


def test_volume_in_use_moves_by_way_of_nova(api: Api, store: VolumeStore, swaps: Swaps) -> None:
    volume_id = api.volume(name="data")
    attachment = attach(api, volume_id)
    store.open(attachment).write(0, b"of the guest")
    migrate(api, volume_id)
    assert shown(api, volume_id) == ("in-use", FAST, "migrating")
    ((_, _, temporary),) = swaps
    assert [one["id"] for one in api("GET", "/v3/volumes")["volumes"]] == [volume_id]
    assert shown(api, temporary) == ("available", SLOW, f"target:{volume_id}")
    api.as_(ADMIN)("DELETE", f"/v3/volumes/{temporary}", status=400)

    assert swapped(api, store, swaps, attachment) == volume_id
    assert shown(api, volume_id) == ("in-use", SLOW, "success")
    api("GET", f"/v3/volumes/{temporary}", status=404)
    (held,) = api("GET", f"/v3/attachments/detail?volume_id={volume_id}")["attachments"]
    assert store.open(held["id"]).read(0, 12) == b"of the guest"
    assert list(store.volumes) == [volume_id]
    api.as_(NOVA)("DELETE", f"/v3/attachments/{held['id']}")
    assert shown(api, volume_id)[0] == "available"
    usage = api("GET", f"/v3/os-quota-sets/{'a' * 32}?usage=true")["quota_set"]["volumes"]
    assert usage["in_use"] == 1


def test_swap_that_fails_leaves_the_volume_with_its_server(api: Api, store: VolumeStore, swaps: Swaps) -> None:
    volume_id = api.volume()
    attachment = attach(api, volume_id)
    store.open(attachment).write(0, b"kept")
    migrate(api, volume_id)
    assert swapped(api, store, swaps, attachment, failed=True) == volume_id
    assert shown(api, volume_id) == ("in-use", FAST, "error")
    assert store.open(attachment).read(0, 4) == b"kept"
    assert list(store.volumes) == [volume_id]


@pytest.mark.parametrize("swap", [None, pytest.param(lambda *ids: 1 / 0, id="refused")])
def test_volume_in_use_stays_where_nova_does_not_help(
    store: VolumeStore, clock: ManualClock, swap: Callable[..., None] | None
) -> None:
    service = VolumeService(clock=clock, volume_store=store, server_swap=swap)
    with create_app(service, Validator()).test_client() as client:
        api = Api(client)
        volume_id = api.volume()
        attach(api, volume_id)
        migrate(api, volume_id)
        assert shown(api, volume_id) == ("in-use", FAST, "error")
        assert list(store.volumes) == [volume_id]


def test_what_cannot_move_is_refused(api: Api) -> None:
    volume_id = api.volume()
    api.act(volume_id, "os-migrate_volume", {"host": SLOW}, status=403)
    migrate(api, volume_id, "elsewhere@fake#slow", status=400)
    migrate(api, volume_id, FAST, status=400)
    api.as_(ADMIN).act(volume_id, "os-migrate_volume", {}, status=400)
    migrate(api, volume_id, "nova-fakes@fake#missing")
    assert shown(api, volume_id) == ("available", FAST, "error")
    api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)
    migrate(api, volume_id, status=400)


def test_completion_of_what_does_not_move(api: Api) -> None:
    one, other = api.volume(), api.volume()
    complete = {"new_volume": other}
    admin = api.as_(ADMIN)
    assert admin.act(one, "os-migrate_volume_completion", complete, status=200) == {"save_volume_id": other}
    admin.act(one, "os-reset_status", {"migration_status": "migrating"})
    assert "Destination" in str(admin.act(one, "os-migrate_volume_completion", complete, status=400))
    admin.act(other, "os-reset_status", {"migration_status": "target:another"})
    assert "expected target:" in str(admin.act(one, "os-migrate_volume_completion", complete, status=400))
    api.act(one, "os-migrate_volume_completion", complete, status=403)


def _type(api: Api, name: str, **specs: str) -> str:
    body = {"volume_type": {"name": name, "extra_specs": specs}}
    return str(api.as_(ADMIN)("POST", "/v3/types", body)["volume_type"]["id"])


def test_type_says_where_its_volumes_lie(api: Api, store: VolumeStore) -> None:
    _type(api, "bulk", pool_name="slow")
    _type(api, "nowhere", volume_backend_name="another")
    bulk = api.volume(volume_type="bulk")
    assert shown(api, bulk) == ("available", SLOW, None)
    assert shown(api, api.volume(volume_type="nowhere"))[:1] == ("error",)
    large = api.volume(size=100)
    assert (shown(api, large)[1], store.volume(large).pool) == (SLOW, "slow")


def test_retype_moves_where_it_may(api: Api, store: VolumeStore, swaps: Swaps) -> None:
    _type(api, "bulk", pool_name="slow")
    volume_id = api.volume()
    api.act(volume_id, "os-retype", {"new_type": "bulk", "migration_policy": "never"})
    assert shown(api, volume_id) == ("available", FAST, None)
    api.act(volume_id, "os-retype", {"new_type": "bulk", "migration_policy": "on-demand"})
    assert shown(api, volume_id) == ("available", SLOW, "success")
    assert api.show(volume_id)["volume_type"] == "bulk"

    used = api.volume()
    attachment = attach(api, used)
    api.act(used, "os-retype", {"new_type": "bulk", "migration_policy": "on-demand"})
    assert shown(api, used) == ("retyping", FAST, "migrating")
    api.act(used, "os-retype", {"new_type": "bulk"}, status=400)
    swapped(api, store, swaps, attachment)
    assert shown(api, used) == ("in-use", SLOW, "success")
    assert api.show(used)["volume_type"] == "bulk"
    quota = api("GET", f"/v3/os-quota-sets/{'a' * 32}?usage=true")["quota_set"]
    assert (quota["volumes_bulk"]["in_use"], quota["volumes___DEFAULT__"]["in_use"]) == (2, 0)


def test_snapshots_become_of_the_new_type_too(api: Api) -> None:
    admin = api.as_(ADMIN)
    types = [admin("POST", "/v3/types", {"volume_type": {"name": name}})["volume_type"]["id"] for name in "ab"]
    volume_id = api.volume(volume_type="a")
    snapshot = api("POST", "/v3/snapshots", {"snapshot": {"volume_id": volume_id}}, status=202)["snapshot"]["id"]
    api.act(volume_id, "os-retype", {"new_type": "b"})
    usage = admin("GET", f"/v3/os-quota-sets/{PROJECT}?usage=true")["quota_set"]
    used = {name: usage[name]["in_use"] for name in ("snapshots_a", "gigabytes_a", "snapshots_b", "gigabytes_b")}
    assert used == {"snapshots_a": 0, "gigabytes_a": 0, "snapshots_b": 1, "gigabytes_b": 2}
    admin("DELETE", f"/v3/types/{types[0]}", status=202)
    assert api.show(api.volume(snapshot_id=snapshot))["volume_type"] == "b"
    api("DELETE", f"/v3/snapshots/{snapshot}", status=202)


def test_retype_that_fails_gives_the_type_back(api: Api, store: VolumeStore, swaps: Swaps) -> None:
    _type(api, "bulk", pool_name="slow")
    used = api.volume()
    attachment = attach(api, used)
    api.act(used, "os-retype", {"new_type": "bulk", "migration_policy": "on-demand"})
    swapped(api, store, swaps, attachment, failed=True)
    assert shown(api, used) == ("in-use", FAST, "error")
    idle = api.volume()
    store.volume(idle).disk.write(0, b"x")
    store.faults.add(FaultRule("volume.copy", error=InjectedFault))
    api.act(idle, "os-retype", {"new_type": "bulk", "migration_policy": "on-demand"})
    assert shown(api, idle) == ("available", FAST, "error")
    assert {api.show(one)["volume_type"] for one in (used, idle)} == {"__DEFAULT__"}
    quota = api("GET", f"/v3/os-quota-sets/{'a' * 32}?usage=true")["quota_set"]
    assert (quota["volumes_bulk"]["in_use"], quota["volumes___DEFAULT__"]["in_use"]) == (0, 2)
