"""The API fakes of a sandbox: made, mounted, seeded, kept over restarts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from keystoneauth1 import adapter, session
from keystoneauth1.identity import v3

from nova_fakes.api.auth import Token
from nova_fakes.api.identity import IdentityService
from nova_fakes.api.identity import create_app as create_identity_app
from nova_fakes.api.image import ImageService
from nova_fakes.api.image import create_app as create_image_app
from nova_fakes.api.image.query import Query
from nova_fakes.api.network import NetworkService, NovaNotifier
from nova_fakes.api.network import create_app as create_network_app
from nova_fakes.api.network.events import Event
from nova_fakes.api.network.state import DEFAULT_QUOTAS
from nova_fakes.api.seed import IMAGE_NAME, NETWORK_NAME, administrator, seed_image, seed_network
from nova_fakes.api.server import Server
from nova_fakes.api.volume import VolumeService
from nova_fakes.api.volume import create_app as create_volume_app
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError
from nova_fakes.sandbox import config
from nova_fakes.sandbox.autosave import Autosave
from nova_fakes.sandbox.state import StateDirectory
from nova_fakes.volume.pool import Pool
from nova_fakes.volume.store import VolumeStore

__all__ = ["IMAGE_NAME", "NETWORK_NAME", "Fakes"]

# What limits a sandbox is the machine, as for nova's own quotas (see nova_fakes.sandbox.config).
UNLIMITED_VOLUMES = dict.fromkeys(("volumes", "gigabytes", "snapshots"), -1)

# Volumes are made in the first; a second gives them somewhere to move to.
POOLS = ("fake", "spare")


class Fakes:
    """Identity, image, network and, unless a Cinder is elsewhere, volume over one state directory and one server.

    :param state: what they keep lies there
    :param server: where they are mounted
    :param hosts: names of the compute hosts, for the network's agents
    :param clock: for the expiry of tokens and the times of records
    :param cinder_url: endpoint of a Cinder that takes the volume service's place; None: there is none
    """

    def __init__(
        self,
        state: StateDirectory,
        server: Server,
        hosts: tuple[str, ...],
        clock: Clock,
        *,
        cinder_url: str | None = None,
    ) -> None:
        self._clock = clock
        passwords = state.passwords()
        endpoints = {kind: server.url + path for kind, path in config.ENDPOINTS.items()}
        if cinder_url is not None:
            endpoints["volumev3"] = cinder_url.rstrip("/")
        self.notifier = NovaNotifier(
            _session(endpoints["identity"], "neutron", passwords["service"]), region_name=config.REGION
        )
        self._nova = adapter.Adapter(
            _session(endpoints["identity"], "cinder", passwords["service"]),
            service_type="compute",
            region_name=config.REGION,
        )
        self.identity = IdentityService(clock)
        self.image = ImageService(clock, state.images)
        self.network = NetworkService(hosts, notifier=self.notifier, quotas=dict.fromkeys(DEFAULT_QUOTAS, -1))
        self.volume_store = None if cinder_url is not None else self._make_store(state)
        services: dict[str, Any] = {
            "identity": self.identity,
            "image": self.image,
            "network": self.network,
        }
        volume = None if self.volume_store is None else self._make_volumes(self.volume_store)
        if volume is not None:
            services["volume"] = volume
        self._autosave = Autosave(state.saved, services)
        restored = self._autosave.restore()
        # After a restart too: the port, and with it every endpoint, may be another one.
        self.identity.bootstrap(
            passwords["admin"],
            endpoints,
            region=config.REGION,
            service_password=passwords["service"],
            demo_password=passwords["demo"],
        )
        if not restored:
            self._seed()
        applications = {
            "identity": create_identity_app(self.identity),
            "image": create_image_app(self.image, self.identity),
            "network": create_network_app(self.network, self.identity),
        }
        if volume is not None:
            applications["volume"] = create_volume_app(volume, self.identity)
        for name, application in applications.items():
            path = config.MOUNTS["volumev3" if name == "volume" else name]
            server.mount(path, self._autosave.watch(name, application))
        self._autosave.start()

    def _make_store(self, state: StateDirectory) -> VolumeStore:
        pools = [Pool(name=name) for name in POOLS]
        return VolumeStore(pools, clock=self._clock, path=state.root / "volumes.sqlite")

    def _make_volumes(self, store: VolumeStore) -> VolumeService:
        return VolumeService(
            images=self._find_image,
            notifier=self._notify_of_volumes,
            clock=self._clock,
            quotas=UNLIMITED_VOLUMES,
            volume_store=store,
            image_bytes=self._image_bytes,
            image_sink=self.image,
            server_swap=self._swap_volumes,
        )

    def _notify_of_volumes(self, events: list[dict[str, Any]]) -> None:
        self.notifier([cast(Event, event) for event in events])

    def _swap_volumes(self, server_id: str, old_id: str, new_id: str) -> None:
        """Let nova put a volume in another's place, for the volume service."""
        path = f"/servers/{server_id}/os-volume_attachments/{old_id}"
        self._nova.put(path, json={"volumeAttachment": {"volumeId": new_id}})

    def _find_image(self, reference: str, token: Token) -> Mapping[str, Any] | None:
        """Look an image up by id or name, for the volume service."""
        try:
            return self.image.get(token, reference).show()
        except ApiError:
            found, _more = self.image.select(token, Query([("name", reference)]))
            return found[0].show() if found else None

    def _image_bytes(self, image_id: str, token: Token) -> Iterable[bytes]:
        """Return an image's bytes, for the volume service."""
        self.image.download(token, image_id)
        return self.image.read(image_id)

    def device_up(self, port_id: str, host: str) -> None:
        """Report a port's device as plugged (see :class:`nova_fakes.sandbox.l2agent.Layer2Agent`)."""
        self.network.device_up(port_id, host)
        self._autosave.mark("network")

    def device_down(self, port_id: str, host: str) -> None:
        """Report a port's device as gone."""
        self.network.device_down(port_id, host)
        self._autosave.mark("network")

    def stop(self) -> None:
        """Save everything; send no more events."""
        self.notifier.close()
        self._autosave.stop()
        if self.volume_store is not None:
            self.volume_store.close()

    def _seed(self) -> None:
        """Make what a first ``openstack server create`` needs: an image and a shared dual-stack network."""
        admin = administrator(self.identity, self._clock)
        seed_image(self.image, admin)
        seed_network(self.network, admin)


def _session(url: str, user: str, password: str) -> session.Session:
    """Return a session of one of the services' users."""
    return session.Session(
        auth=v3.Password(
            auth_url=f"{url}/v3",
            username=user,
            password=password,
            user_domain_id="default",
            project_name="service",
            project_domain_id="default",
        )
    )
