"""Address scopes, and the subnet pools in them."""

from nova_fakes.api.network import ADMIN

from .conftest import USER, World, refused


def pool(world: World, scope: str | None, prefix: str) -> str:
    body = {"name": "pool", "prefixes": [prefix], "address_scope_id": scope, "project_id": USER.project_id}
    return str(world.service.subnetpools.create(USER, body)["id"])


def scope(world: World, version: int = 4) -> str:
    body = {"name": "scope", "ip_version": version, "project_id": USER.project_id}
    made = world.service.address_scopes.create(USER, body)
    assert {"name", "ip_version", "shared", "id"} <= made.keys()
    return str(made["id"])


def test_pools_of_one_scope_do_not_overlap(world: World) -> None:
    one = scope(world)
    pools = world.service.subnetpools
    first = pool(world, one, "10.0.0.0/8")
    refused(409, "AddressScopePrefixConflict", pool, world, one, "10.1.0.0/16")
    other = pool(world, scope(world), "10.1.0.0/16")
    refused(409, "AddressScopePrefixConflict", pools.update, USER, other, {"address_scope_id": one})
    kind = "IllegalSubnetPoolIpVersionAssociationToAddressScope"
    refused(400, kind, pool, world, scope(world, 6), "10.2.0.0/16")
    refused(404, "AddressScopeNotFound", pool, world, first, "10.3.0.0/16")
    assert pools.get(USER, other)["address_scope_id"] != one


def test_scope_in_use_stays(world: World) -> None:
    one = scope(world)
    scopes, pools = world.service.address_scopes, world.service.subnetpools
    held = pool(world, one, "10.0.0.0/8")
    refused(409, "AddressScopeInUse", scopes.delete, USER, one)
    pools.update(USER, held, {"address_scope_id": None})
    scopes.delete(USER, one)
    refused(404, "AddressScopeNotFound", scopes.get, USER, one)


def test_shared_scope_stays_shared_and_is_kept(world: World) -> None:
    one = scope(world)
    scopes = world.service.address_scopes
    scopes.update(ADMIN, one, {"shared": True})
    refused(400, "AddressScopeUpdateError", scopes.update, ADMIN, one, {"shared": False})
    world.service.load(world.service.dump())
    assert scopes.get(USER, one)["shared"]
