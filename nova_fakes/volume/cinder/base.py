"""What all of the driver stands on: its options, its store, what it tells the scheduler."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from cinder import exception
from cinder.volume import driver, volume_utils
from oslo_config import cfg

from nova_fakes.exceptions import InvalidInput, NovaFakesError
from nova_fakes.temporary import TemporaryDirectory
from nova_fakes.virt.vif.ledger import Ledger
from nova_fakes.volume import errors
from nova_fakes.volume.connections import PROTOCOLS, Portal
from nova_fakes.volume.local_files import LocalFiles
from nova_fakes.volume.pool import GIB, Pool
from nova_fakes.volume.store import VolumeStore

__all__ = ["OPTIONS", "StoreDriver", "is_replicated", "pool_of", "translated"]

OPTIONS = [
    cfg.ListOpt(
        "nova_fakes_pools",
        default=["pool"],
        help="Pools, each NAME or NAME:GIB; one without a size has no end.",
    ),
    cfg.StrOpt(
        "nova_fakes_store", help="File in which volumes and their bytes are kept; memory alone where it is unset."
    ),
    cfg.StrOpt(
        "nova_fakes_directory", help="Where files of the protocol local lie; a temporary one where it is unset."
    ),
    cfg.StrOpt("nova_fakes_ledger", help="File that names what was made in that directory."),
    cfg.StrOpt("nova_fakes_protocol", default="local", choices=sorted(PROTOCOLS), help="How hosts get at volumes."),
]

_F = TypeVar("_F", bound=Callable[..., Any])


def translated(method: _F) -> _F:
    """Let a method raise Cinder's exceptions for the store's."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except errors.ConnectorRefused as error:
            raise exception.InvalidConnectorException(missing=f"{error.field}: {error.cure}") from error
        except NovaFakesError as error:
            raise exception.VolumeBackendAPIException(data=str(error)) from error

    return cast("_F", call)


class StoreDriver(driver.VolumeDriver):  # type: ignore[misc]  # Cinder has no types
    """A driver with a store.

    :param store: None: as the options say, when Cinder sets the driver up
    """

    VERSION = "1.0.0"
    SUPPORTS_ACTIVE_ACTIVE = False

    def __init__(self, *args: Any, store: VolumeStore | None = None, **kwargs: Any) -> None:
        self._active = kwargs.pop("active_backend_id", None)
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)
        self.store: VolumeStore
        self.files: LocalFiles
        self._given = store
        self._stats: dict[str, Any] = {}

    @staticmethod
    def get_driver_options() -> list[Any]:
        """Return the driver's own options."""
        return OPTIONS

    @translated
    def do_setup(self, context: Any) -> None:
        """Open the store; take back what files of an earlier process hold."""
        conf = self.configuration
        if self._given is None:
            backend = conf.safe_get("volume_backend_name") or "fake"
            pools = [self._make_pool(one) for one in conf.safe_get("nova_fakes_pools") or ["pool"]]
            self._given = VolumeStore(pools, backend=f"cinder@{backend}", path=conf.safe_get("nova_fakes_store"))
        self.store = self._given
        self._targets = {one["backend_id"]: one for one in conf.safe_get("replication_device") or []}
        directory = conf.safe_get("nova_fakes_directory")
        if not directory:
            self._temporary = TemporaryDirectory.of_kind("volumes")
            directory = str(self._temporary.path)
        self.files = LocalFiles(self.store, directory, Ledger(conf.safe_get("nova_fakes_ledger")))
        self.files.recover()

    def _make_pool(self, text: str) -> Pool:
        name, _colon, size_gb = text.strip().partition(":")
        conf = self.configuration
        return Pool(
            name=name,
            total_bytes=int(size_gb) * GIB if size_gb else None,
            reserved_percentage=conf.safe_get("reserved_percentage") or 0,
            max_over_subscription_ratio=_ratio(conf.safe_get("max_over_subscription_ratio")),
        )

    @translated
    def check_for_setup_error(self) -> None:
        """Refuse replication targets that cannot be told apart, and a failover to one that is not configured."""
        if self._active and self._active not in self._targets:
            raise InvalidInput("active_backend_id", self._active, "it is none of the replication devices")

    @property
    def _portal(self) -> Portal:
        target = self._targets.get(self._active, {})
        address = target.get("target_portal") or "127.0.0.1:3260"
        return Portal(protocol=self.configuration.safe_get("nova_fakes_protocol") or "local", address=address)

    def _update_volume_stats(self) -> None:
        conf = self.configuration
        extra = {
            "QoS_support": True,
            "multiattach": True,
            "online_extend_support": True,
            "consistent_group_snapshot_enabled": True,
            "consistent_group_replication_enabled": bool(self._targets),
            "replication_enabled": bool(self._targets),
            "replication_targets": list(self._targets),
            "filter_function": self.get_filter_function(),
            "goodness_function": self.get_goodness_function(),
            "backend_state": "up",
        }
        self._stats = {
            "volume_backend_name": conf.safe_get("volume_backend_name") or type(self).__name__,
            "vendor_name": "nova-fakes",
            "driver_version": self.VERSION,
            "storage_protocol": self._portal.protocol,
            "active_backend_id": self._active,
            "replication_enabled": bool(self._targets),
            "pools": [{**pool, **extra} for pool in self.store.statistics()],
        }


def is_replicated(volume: Any) -> bool:
    """Tell whether a volume's type has it replicated."""
    kind = volume.volume_type
    specs = {} if kind is None else kind.extra_specs or {}
    return str(specs.get("replication_enabled", "")).lower() == "<is> true"


def pool_of(host: str) -> str | None:
    """Return the pool in ``host@backend#pool``."""
    return cast("str | None", volume_utils.extract_host(host, "pool"))


def _ratio(text: object) -> float:
    return 20.0 if text in (None, "auto") else float(str(text))
