"""The stubs of 2011, over the nova that is installed: its authentication, images, key pairs, addresses and snapshots.

Each takes what puts attributes back afterwards: the `StubOutForTesting` of that time, a `Stubs` of this module,
pytest's `monkeypatch`, or a test case or fixture of the package fixtures.
"""

from __future__ import annotations

import copy
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import fixtures
import nova.api.auth
import nova.compute.api
import nova.conf.netconf
import nova.context
import nova.exception
import nova.image.glance
import nova.manager
import nova.objects

from nova_fakes.api.openstack import pipeline
from nova_fakes.exceptions import InvalidInput

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "FakeManager",
    "Stubs",
    "stub_out_auth",
    "stub_out_compute_api_snapshot",
    "stub_out_glance",
    "stub_out_glance_add_image",
    "stub_out_image_service",
    "stub_out_key_pair_funcs",
    "stub_out_networking",
    "stub_out_rate_limiting",
]

PUBLIC_KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ fake"
FINGERPRINT = "1e:2c:9b:56:79:4b:45:77:f9:ca:7a:98:2c:b0:d5:3c"


class FakeManager(nova.manager.Manager):  # type: ignore[misc]
    """A manager whose service forwards to it what it does not know itself (`nova/service.py`: `__getattr__`)."""

    def test_method(self) -> str:
        """Tell who answers."""
        return "manager"


class Stubs:
    """Replace attributes, and put them back; usable as a context manager."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def Set(self, parent: object, name: str, value: object) -> None:
        """Replace an attribute of a module, class or object; AttributeError, it has none of that name."""
        old = vars(parent).get(name, getattr(parent, name))
        own = name in vars(parent)
        setattr(parent, name, value)
        self._undo.append(functools.partial(setattr, parent, name, old) if own else lambda: delattr(parent, name))

    def UnsetAll(self) -> None:
        """Put everything back, the last first."""
        while self._undo:
            self._undo.pop()()

    def __enter__(self) -> Stubs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.UnsetAll()


def _set(stubs: Any, parent: Any, name: str, value: object) -> None:
    """Replace an attribute by whatever the caller's tests put things back with.

    Raises:
        InvalidInput: that is nothing known.
    """
    if hasattr(stubs, "Set"):
        stubs.Set(parent, name, value)
    elif hasattr(stubs, "useFixture"):
        stubs.useFixture(fixtures.MockPatchObject(parent, name, new=value))
    elif hasattr(stubs, "setattr"):
        stubs.setattr(parent, name, value)
    else:
        raise InvalidInput("stubs", stubs, "give Stubs(), pytest's monkeypatch, a StubOutForTesting or a test case")


def stub_out_auth(stubs: Any, user_id: str = "fake", project_id: str = "fake", is_admin: bool = False) -> None:
    """Let nova's API take every request as that user's, whatever its headers say."""

    def call(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        roles = ["admin"] if is_admin else ["member", "reader"]
        environ["nova.context"] = nova.context.RequestContext(
            user_id=user_id, project_id=project_id, is_admin=is_admin, roles=roles
        )
        return self.application(environ, start_response)

    _set(stubs, nova.api.auth.NovaKeystoneContext, "__call__", call)
    _set(stubs, pipeline.AuthMiddleware, "__call__", call)


def stub_out_rate_limiting(stubs: Any) -> None:
    """Let every request through the rate limits of `wsgi_app`; nova itself has had none since 2015."""

    def call(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        return self.application(environ, start_response)

    _set(stubs, pipeline.RateLimitingMiddleware, "__call__", call)


def stub_out_networking(stubs: Any) -> None:
    """Let the host's own address be 127.0.0.1, without a look at its interfaces."""
    _set(stubs, nova.conf.netconf.netutils, "get_my_ipv4", lambda: "127.0.0.1")


def stub_out_key_pair_funcs(stubs: Any, have_key_pair: bool = True) -> None:
    """Let every user have one key pair, named "key", or none."""

    def made(context: Any, user_id: str) -> Any:
        return nova.objects.KeyPair(
            context, id=1, user_id=user_id, name="key", type="ssh", fingerprint=FINGERPRINT, public_key=PUBLIC_KEY
        )

    def get_by_user(context: Any, user_id: str, limit: int | None = None, marker: str | None = None) -> Any:
        if marker is not None and not (have_key_pair and marker == "key"):
            raise nova.exception.MarkerNotFound(marker=marker)
        rows = [made(context, user_id)] if have_key_pair and marker is None and limit != 0 else []
        return nova.objects.KeyPairList(context, objects=rows)

    def get_by_name(context: Any, user_id: str, name: str, localonly: bool = False) -> Any:
        if not have_key_pair or name != "key":
            raise nova.exception.KeypairNotFound(user_id=user_id, name=name)
        return made(context, user_id)

    _set(stubs, nova.objects.KeyPairList, "get_by_user", get_by_user)
    _set(stubs, nova.objects.KeyPairList, "get_count_by_user", lambda context, user_id: int(have_key_pair))
    _set(stubs, nova.objects.KeyPair, "get_by_name", get_by_name)


def stub_out_image_service(stubs: Any) -> None:
    """Let there be every image, active, with a kernel and a RAM disk."""

    def get(self: Any, context: Any, id_or_uri: str, include_locations: bool = False, show_deleted: bool = True) -> Any:
        return {**_image(str(id_or_uri).rsplit("/", 1)[-1], {}), "properties": {"kernel_id": "1", "ramdisk_id": "1"}}

    _set(stubs, nova.image.glance.API, "get", get)


def stub_out_compute_api_snapshot(stubs: Any) -> None:
    """Let a snapshot be there at once, with the id "123"."""

    def snapshot(self: Any, context: Any, instance: Any, name: str, extra_properties: Any = None) -> dict[str, Any]:
        properties = {**(extra_properties or {}), "instance_id": "123"}
        return {"id": "123", "name": name, "status": "ACTIVE", "properties": properties}

    _set(stubs, nova.compute.api.API, "snapshot", snapshot)


def stub_out_glance_add_image(stubs: Any, sent_to_glance: dict[str, Any]) -> None:
    """Note what is sent to the image service in `sent_to_glance`, under "metadata" and "data", and send it."""
    create = nova.image.glance.API.create

    def noted(self: Any, context: Any, image_info: Mapping[str, Any], data: Any = None) -> Any:
        sent_to_glance["metadata"] = copy.deepcopy(image_info)
        sent_to_glance["data"] = data
        return create(self, context, image_info, data)

    _set(stubs, nova.image.glance.API, "create", noted)


def stub_out_glance(
    stubs: Any, initial_fixtures: Iterable[Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Let nova's image API be a dictionary, which is returned: images by id, as nova shows them.

    Args:
        stubs: what puts it back.
        initial_fixtures: images that are there from the beginning.
    """
    images = {str(one["id"]): _image(str(one["id"]), one) for one in initial_fixtures or ()}
    contents: dict[str, bytes] = {}

    def found(image_id: str) -> dict[str, Any]:
        key = str(image_id).rsplit("/", 1)[-1]
        if key not in images:
            raise nova.exception.ImageNotFound(image_id=key)
        return images[key]

    def get_all(self: Any, context: Any, **kwargs: Any) -> list[dict[str, Any]]:
        return [copy.deepcopy(one) for one in images.values()]

    def get(self: Any, context: Any, id_or_uri: str, include_locations: bool = False, show_deleted: bool = True) -> Any:
        return copy.deepcopy(found(id_or_uri))

    def create(self: Any, context: Any, image_info: Mapping[str, Any], data: Any = None) -> Any:
        image_id = str(image_info.get("id") or uuid.uuid4())
        if image_id in images:
            raise nova.exception.ImageBadRequest(image_id=image_id, response="the id is taken")
        images[image_id] = _image(image_id, image_info)
        if data is not None:
            contents[image_id] = _bytes(data)
            images[image_id] |= {"status": "active", "size": len(contents[image_id])}
        elif "status" not in image_info:
            images[image_id]["status"] = "queued"
        return copy.deepcopy(images[image_id])

    def update(
        self: Any,
        context: Any,
        id_or_uri: str,
        image_info: Mapping[str, Any],
        data: Any = None,
        purge_props: bool = False,
    ) -> Any:
        image = found(id_or_uri)
        properties = {} if purge_props else image["properties"]
        changes = {key: value for key, value in image_info.items() if key != "id"}
        image |= {**changes, "properties": {**properties, **image_info.get("properties", {})}}
        if data is not None:
            contents[image["id"]] = _bytes(data)
            image |= {"status": "active", "size": len(contents[image["id"]])}
        return copy.deepcopy(image)

    def delete(self: Any, context: Any, id_or_uri: str) -> None:
        image_id = found(id_or_uri)["id"]
        del images[image_id]
        contents.pop(image_id, None)

    def download(self: Any, context: Any, id_or_uri: str, data: Any = None, dest_path: Any = None, **more: Any) -> Any:
        held = contents.get(found(id_or_uri)["id"], b"")
        if dest_path is not None:
            with open(dest_path, "wb") as file:
                file.write(held)
        elif data is not None:
            data.write(held)
        else:
            return iter([held])
        return None

    functions = {"get_all": get_all, "get": get, "create": create, "update": update, "delete": delete}
    for name, function in {**functions, "download": download}.items():
        _set(stubs, nova.image.glance.API, name, function)
    return images


def _image(image_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    image: dict[str, Any] = {
        "name": "",
        "status": "active",
        "size": 0,
        "container_format": "bare",
        "disk_format": "raw",
        "min_ram": 0,
        "min_disk": 0,
        "is_public": False,
        "protected": False,
        "owner": None,
        "created_at": None,
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
        "checksum": None,
        **values,
        "id": image_id,
    }
    image["properties"] = dict(values.get("properties") or {})
    return image


def _bytes(data: Any) -> bytes:
    if isinstance(data, bytes):
        return data
    return bytes(data.read()) if hasattr(data, "read") else b"".join(data)
