"""Definitions of metadata in the image fake, as openstacksdk, glanceclient and plain requests see them."""

from collections.abc import Iterator
from typing import Any

import openstack
import pytest
from keystoneauth1 import session
from keystoneauth1.identity import v3
from openstack import exceptions

from nova_fakes.api.stack import Stack

ROOT = "/v2/metadefs/namespaces"
CPU = {"title": "CPUs", "type": "integer", "minimum": 1}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(("identity", "image"), seed=False) as stack:
        yield stack


def opened(stack: Stack, user: str) -> session.Session:
    where = {"user_domain_id": "default", "project_domain_id": "default"}
    auth = v3.Password(stack.endpoint("identity"), username=user, password="secret", project_name=user, **where)
    return session.Session(auth, session=stack.session())


@pytest.fixture
def admin(stack: Stack) -> openstack.connection.Connection:
    return openstack.connection.Connection(session=opened(stack, "admin"), region_name="RegionOne")


@pytest.fixture
def demo(stack: Stack) -> openstack.connection.Connection:
    return openstack.connection.Connection(session=opened(stack, "demo"), region_name="RegionOne")


def namespace(name: str = "n", **more: Any) -> dict[str, Any]:
    return {
        "namespace": name,
        "visibility": "public",
        "properties": {"cpus": CPU},
        "objects": [{"name": "o", "required": ["cpus"], "properties": {"cpus": CPU}}],
        "tags": [{"name": "t"}],
        "resource_type_associations": [{"name": "OS::Nova::Flavor", "prefix": "hw:"}],
        **more,
    }


def test_a_namespace_with_all_that_it_defines(admin, demo) -> None:
    made = admin.image.post("/metadefs/namespaces", json=namespace())
    assert made.status_code == 201
    shown = demo.image.get("/metadefs/namespaces/n").json()
    assert shown["self"] == f"{ROOT}/n"
    assert shown["properties"] == {"cpus": CPU}
    assert shown["objects"][0]["self"] == f"{ROOT}/n/objects/o"
    assert "description" not in shown
    flavored = demo.image.get("/metadefs/namespaces/n?resource_type=OS::Nova::Flavor").json()
    assert list(flavored["properties"]) == ["hw:cpus"]
    assert flavored["objects"][0]["required"] == ["hw:cpus"]
    one = demo.image.get("/metadefs/namespaces/n/properties/hw:cpus?resource_type=OS::Nova::Flavor").json()
    assert one["name"] == "cpus"
    assert [row["name"] for row in demo.image.get("/metadefs/resource_types").json()["resource_types"]] == [
        "OS::Nova::Flavor"
    ]
    (listed,) = demo.image.get("/metadefs/namespaces?resource_types=OS::Nova::Flavor").json()["namespaces"]
    assert "properties" not in listed
    assert demo.image.get("/metadefs/namespaces?resource_types=other").json()["namespaces"] == []


def test_namespaces_by_the_sdk(admin, demo) -> None:
    for name in "abc":
        admin.image.create_metadef_namespace(namespace=name, visibility="private" if name == "b" else "public")
    assert [one.namespace for one in admin.image.metadef_namespaces(limit=2)] == ["c", "b", "a"]
    assert [one.namespace for one in demo.image.metadef_namespaces()] == ["c", "a"]
    with pytest.raises(exceptions.NotFoundException):
        demo.image.get_metadef_namespace("b")
    with pytest.raises(exceptions.ForbiddenException):
        demo.image.create_metadef_namespace(namespace="d")
    with pytest.raises(exceptions.ConflictException):
        admin.image.create_metadef_namespace(namespace="a")
    renamed = admin.image.update_metadef_namespace("a", namespace="z", is_protected=True)
    assert (renamed.namespace, renamed.visibility) == ("z", "private")
    with pytest.raises(exceptions.ForbiddenException, match="protected"):
        admin.image.delete_metadef_namespace("z", ignore_missing=False)
    admin.image.delete_metadef_namespace("b")
    assert {one.namespace for one in admin.image.metadef_namespaces()} == {"c", "z"}


def test_parts_by_the_sdk(admin) -> None:
    admin.image.create_metadef_namespace(namespace="n")
    admin.image.create_metadef_object("n", name="o", description="x", properties={"p": CPU})
    assert [one.name for one in admin.image.metadef_objects("n")] == ["o"]
    assert admin.image.update_metadef_object("o", "n", name="p").name == "p"
    with pytest.raises(exceptions.NotFoundException):
        admin.image.get_metadef_object("o", "n")
    made = admin.image.create_metadef_property("n", name="q", title="Q", type="string", enum=["a"])
    assert admin.image.get_metadef_property(made, "n").enum == ["a"]
    with pytest.raises(exceptions.BadRequestException, match="does not match schema"):
        admin.image.create_metadef_property("n", name="r", title="R", type="colour")
    admin.image.delete_all_metadef_properties("n")
    assert list(admin.image.metadef_properties("n")) == []
    admin.image.create_metadef_resource_type_association("n", name="OS::Glance::Image", prefix="i_")
    assert [one.name for one in admin.image.metadef_resource_type_associations("n")] == ["OS::Glance::Image"]
    admin.image.delete_metadef_resource_type_association("OS::Glance::Image", "n")
    assert [one.name for one in admin.image.metadef_resource_types()] == ["OS::Glance::Image"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"namespace": 7}, 400),
        ({"colour": "red"}, 400),
        ({"visibility": "shared"}, 400),
        ({"self": "/"}, 403),
        ({"tags": [{"name": "t"}, {"name": "t"}]}, 409),
        ({"objects": [{"description": "nameless"}]}, 400),
        ({"properties": {"p": {"type": "string"}}}, 400),
        ({"tags": ["t"]}, 400),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(admin, change, status) -> None:
    answer = admin.image.post("/metadefs/namespaces", json=namespace(**change))
    assert answer.status_code == status
    assert admin.image.get("/metadefs/namespaces").json()["namespaces"] == []


def test_tags_take_each_others_place_or_are_added(admin) -> None:
    admin.image.post("/metadefs/namespaces", json=namespace())
    path = "/metadefs/namespaces/n/tags"

    def names() -> set[str]:
        return {one["name"] for one in admin.image.get(path).json()["tags"]}

    body = {"tags": [{"name": "u"}, {"name": "v"}]}
    assert admin.image.post(path, json=body).status_code == 201
    assert names() == {"u", "v"}
    append = {"X-Openstack-Append": "True"}
    assert admin.image.post(path, json=body, headers=append).status_code == 409
    admin.image.post(path, json={"tags": [{"name": "w"}]}, headers=append)
    assert admin.image.post(f"{path}/x").status_code == 201
    assert admin.image.put(f"{path}/x", json={"name": "y"}).json()["name"] == "y"
    assert names() == {"u", "v", "w", "y"}
    assert admin.image.delete(f"{path}/none-such").status_code == 404
    assert admin.image.delete(path).status_code == 204
    assert names() == set()


def test_they_outlive_the_service(stack, admin) -> None:
    admin.image.post("/metadefs/namespaces", json=namespace())
    before = admin.image.get("/metadefs/namespaces/n").json()
    assert stack.image is not None
    state = stack.image.dump()
    admin.image.delete_metadef_namespace("n")
    stack.image.load(state)
    assert admin.image.get("/metadefs/namespaces/n").json() == before


def test_glanceclient(stack) -> None:
    glanceclient = pytest.importorskip("glanceclient", reason="python-glanceclient is not installed")
    glance = glanceclient.Client("2", session=opened(stack, "admin"))
    glance.metadefs_namespace.create(namespace="n", description="d")
    assert glance.metadefs_namespace.update("n", display_name="N").display_name == "N"
    glance.metadefs_property.create("n", name="p", title="P", type="string")
    glance.metadefs_object.create("n", name="o")
    assert len(list(glance.metadefs_tag.create_multiple("n", tags=["a", "b"]))) == 2
    glance.metadefs_resource_type.associate("n", name="OS::Glance::Image")
    found = glance.metadefs_namespace.get("n")
    assert list(found.properties) == ["p"]
    assert [one["name"] for one in found.objects] == ["o"]
    assert {one.name for one in glance.metadefs_tag.list("n")} == {"a", "b"}
    assert [one.namespace for one in glance.metadefs_namespace.list()] == ["n"]
    glance.metadefs_namespace.delete("n")
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        glance.metadefs_namespace.get("n")
