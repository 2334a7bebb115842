"""Some or all of the API fakes together, as the services of one cloud."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nova_fakes.api import adapter
from nova_fakes.api.auth import Token, TokenValidator
from nova_fakes.api.mounts import Mounts
from nova_fakes.api.noauth import NoAuth
from nova_fakes.api.seed import administrator, seed_image, seed_network
from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import ApiError, InvalidInput
from nova_fakes.temporary import TemporaryDirectory

if TYPE_CHECKING:
    import flask
    import requests
    from _typeshed.wsgi import WSGIApplication

    from nova_fakes.api.compute import ComputeService
    from nova_fakes.api.identity import IdentityService
    from nova_fakes.api.image import ImageService
    from nova_fakes.api.network import NetworkService
    from nova_fakes.api.network.events import Event
    from nova_fakes.api.volume import VolumeService
    from nova_fakes.virt.fleet_file import FleetPlan
    from nova_fakes.virt.journal import Journal
    from nova_fakes.volume.store import VolumeStore

__all__ = ["PATHS", "SERVICES", "Stack"]

SERVICES = ("identity", "image", "network", "volume", "compute")
#: Where each service is mounted, and its endpoint below that: type in the catalog, prefix, rest of the path.
PATHS: Mapping[str, tuple[str, str, str]] = {
    "identity": ("identity", "/identity", ""),
    "image": ("image", "/image", ""),
    "network": ("network", "/networking", ""),
    "volume": ("volumev3", "/volume", "/v3"),
    "compute": ("compute", "/compute", "/v2.1"),
}


class Saved(Protocol):
    """A service whose state can be had as JSON and given back."""

    def dump(self) -> dict[str, Any]:
        """Return everything worth keeping."""

    def load(self, data: dict[str, Any], /) -> None:
        """Take over what `dump` returned."""


class Stack(Mounts):
    """Fakes of OpenStack's services that know each other, as one WSGI application.

    Without the identity service every token counts, and so does none (see `NoAuth`). Usable as a context manager.

    Args:
        services: which, of `SERVICES`.
        url: root of all addresses; the catalog names them below it.
        urls: root by service, for those that have one of their own.
        clock: dates everything.
        password: of all users.
        region: of the endpoints.
        directory: what they know is loaded from there, and saved there by `close`; None: it is forgotten.
        plan: the hosts of the compute and the network service (see `nova_fakes.virt.fleet_file`); two if None.
        seed: whether a new cloud begins with a small image and a shared network.

    Attributes:
        identity, image, network, volume, compute: the services; None where one was not asked for.
        applications: WSGI application by service.
        tokens: who knows the tokens.

    Raises:
        InvalidInput: there is no service of that name, or a file of the directory cannot be read back.
    """

    def __init__(
        self,
        services: Sequence[str] = SERVICES,
        *,
        url: str = adapter.URL,
        urls: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        password: str = "secret",
        region: str = "RegionOne",
        directory: Path | None = None,
        plan: FleetPlan | None = None,
        seed: bool = True,
    ) -> None:
        super().__init__(url)
        unknown = [name for name in services if name not in SERVICES]
        if unknown or not services:
            raise InvalidInput("services", list(services), f"name some of {', '.join(SERVICES)}")
        self.services = tuple(name for name in SERVICES if name in services)
        self.password = password
        self.region = region
        self._clock = clock or SystemClock()
        self._roots = {name: (urls or {}).get(name, url) for name in self.services}
        self._directory = directory
        self._journal: Journal | None = None
        self._volumes: VolumeStore | None = None
        self._temporary: TemporaryDirectory | None = None
        self.identity: IdentityService | None = None
        self.image: ImageService | None = None
        self.network: NetworkService | None = None
        self.volume: VolumeService | None = None
        self.compute: ComputeService | None = None
        self.tokens: TokenValidator = NoAuth(self._clock)
        self.applications: dict[str, flask.Flask] = {}
        hosts = tuple(plan.hosts) if plan is not None else ("compute-1", "compute-2")
        makers: Mapping[str, Callable[[], tuple[Any, flask.Flask]]] = {
            "identity": self._make_identity,
            "image": self._make_image,
            "network": lambda: self._make_network(hosts),
            "volume": self._make_volume,
            "compute": lambda: self._make_compute(plan, hosts),
        }
        for name in self.services:
            service, application = makers[name]()
            setattr(self, name, service)
            self.applications[name] = application
        self._begin(seed)
        for name in self.services:
            self.mount(PATHS[name][1], self.mounted(name))

    def mounted(self, name: str) -> WSGIApplication:
        """Return a service's application as it is to be served."""
        application = self.applications[name]
        return self.tokens.open(application) if isinstance(self.tokens, NoAuth) else application

    def endpoint(self, name: str) -> str:
        """Return the URL of a service as its catalog names it."""
        _, prefix, path = PATHS[name]
        return f"{self._roots[name]}{prefix}{path}"

    def session(self) -> requests.Session:
        """Return a session of requests that reaches the services without a socket."""
        made = adapter.session(self, self.url)
        for root in self._roots.values():
            made.mount(root, adapter.WSGIAdapter(self))
        return made

    def environment(self, user: str = "admin") -> dict[str, str]:
        """Return the variables by which the openstack command finds the cloud.

        Args:
            user: "admin", or "demo" who may do what ordinary users may.
        """
        if "identity" not in self.services:
            return {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.endpoint(self.services[0])}
        return {
            "OS_AUTH_URL": f"{self.endpoint('identity')}/v3",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": user,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": self.region,
        }

    def save(self) -> None:
        """Write what every service knows into the directory; nothing happens without one."""
        if self._directory is None:
            return
        for name in self.services:
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / f"{name}.json"
            written = path.with_suffix(".json.new")
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(self._service(name).dump(), file)
            written.replace(path)

    def close(self) -> None:
        """Save, and give up the images' bytes where nothing is saved; idempotent."""
        self.save()
        if self._journal is not None:
            self._journal.close()
        if self._volumes is not None:
            self._volumes.close()
        if self._temporary is not None:
            self._temporary.remove()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _service(self, name: str) -> Saved:
        service: Saved = getattr(self, name)
        return service

    def _make_identity(self) -> tuple[Any, flask.Flask]:
        from nova_fakes.api.identity import IdentityService, create_app

        self.tokens = service = IdentityService(self._clock)
        return service, create_app(service)

    def _make_image(self) -> tuple[Any, flask.Flask]:
        from nova_fakes.api.image import ImageService, create_app

        if self._directory is None:
            self._temporary = TemporaryDirectory.of_kind("images")
            content = self._temporary.path
        else:
            content = self._directory / "images"
        service = ImageService(self._clock, content, stores=("fake", "spare"))
        return service, create_app(service, self.tokens)

    def _make_network(self, hosts: Sequence[str]) -> tuple[Any, flask.Flask]:
        from nova_fakes.api.network import NetworkService, create_app

        service = NetworkService(hosts, notifier=self._tell_compute)
        return service, create_app(service, self.tokens)

    def _make_volume(self) -> tuple[Any, flask.Flask]:
        from nova_fakes.api.volume import VolumeService, create_app
        from nova_fakes.volume.pool import Pool
        from nova_fakes.volume.store import VolumeStore

        path = None
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
            path = self._directory / "volumes.sqlite"
        # A second pool gives volumes somewhere to move to.
        self._volumes = VolumeStore([Pool(name="fake"), Pool(name="spare")], clock=self._clock, path=path)
        service = VolumeService(
            images=None if self.image is None else self._find_image,
            image_bytes=None if self.image is None else self._image_bytes,
            image_sink=self.image,
            clock=self._clock,
            volume_store=self._volumes,
            server_swap=self._swap_volumes,
        )
        return service, create_app(service, self.tokens)

    def _make_compute(self, plan: FleetPlan | None, hosts: Sequence[str]) -> tuple[Any, flask.Flask]:
        from nova_fakes.api.compute import ComputeService, create_app
        from nova_fakes.api.compute.neighbours import Neighbours
        from nova_fakes.virt.fleet_file import FleetPlan
        from nova_fakes.virt.inventory import Inventory
        from nova_fakes.virt.journal import Journal

        neighbours = Neighbours({name: self.applications[name] for name in self.applications if name != "identity"})
        plan = plan or FleetPlan({host: Inventory() for host in hosts})
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self._directory / "fleet.sqlite")
        service = ComputeService(
            plan, neighbours=neighbours, agent=self.network, clock=self._clock, journal=self._journal
        )
        service.fleet.volume_store = self._volumes
        return service, create_app(service, self.tokens)

    def _begin(self, seed: bool) -> None:
        """Load what was saved, or begin afresh."""
        restored = self._restore()
        if self.identity is not None:
            endpoints = {PATHS[name][0]: self.endpoint(name) for name in self.services}
            # After a restart too: the addresses may be others.
            self.identity.bootstrap(self.password, endpoints, region=self.region)
        if restored or not seed:
            return
        admin = administrator(self.identity, self._clock)
        if self.image is not None:
            seed_image(self.image, admin)
        if self.network is not None:
            seed_network(self.network, admin)

    def _restore(self) -> bool:
        found = False
        for name in self.services if self._directory is not None else ():
            assert self._directory is not None
            path = self._directory / f"{name}.json"
            if not path.exists():
                continue
            try:
                self._service(name).load(json.loads(path.read_text()))
            except (ValueError, KeyError, TypeError, ApiError) as error:
                raise InvalidInput(
                    "state", str(path), f"restore the file, or start with an empty directory ({error!r})"
                ) from error
            found = True
        return found

    def _tell_compute(self, events: list[Event]) -> None:
        """Take the network service's events for nova."""
        if self.compute is not None:
            self.compute.take_events([dict(event) for event in events])

    def _image_bytes(self, image_id: str, token: Token) -> Iterable[bytes]:
        """Return an image's bytes, for the volume service."""
        assert self.image is not None
        self.image.download(token, image_id)
        return self.image.read(image_id)

    def _swap_volumes(self, server_id: str, old_id: str, new_id: str) -> None:
        """Let the compute service put a volume in another's place, for the volume service."""
        from nova_fakes.api.compute.neighbours import Neighbours

        served = {name: self.applications[name] for name in ("compute",) if name in self.applications}
        path = f"/v2.1/servers/{server_id}/os-volume_attachments/{old_id}"
        body = {"volumeAttachment": {"volumeId": new_id}}
        reply = Neighbours(served).call(administrator(self.identity, self._clock), "compute", "PUT", path, body)
        if not reply.ok:
            raise ApiError(reply.status, reply.message)

    def _find_image(self, reference: str, token: Token) -> Mapping[str, Any] | None:
        """Look an image up by id or name, for the volume service."""
        from nova_fakes.api.image.query import Query

        assert self.image is not None
        try:
            return self.image.get(token, reference).show()
        except ApiError:
            found, _more = self.image.select(token, Query([("name", reference)]))
            return found[0].show() if found else None
