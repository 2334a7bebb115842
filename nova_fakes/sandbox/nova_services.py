"""The installed nova's and placement's services, started inside this process.

What nova's own programs do in `nova/cmd/*.py` happens here once for all of them: configuration, RPC, objects, cells.
The RPC transport is oslo.messaging's in-process one.

This module must be imported before any other that imports nova: it chooses native threads.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nova import monkey_patch

monkey_patch.patch(backend="threading")

import nova.conf  # noqa: E402
import os_brick  # noqa: E402
import os_vif  # noqa: E402
from nova import config as nova_config  # noqa: E402
from nova import context as nova_context  # noqa: E402
from nova import objects, rpc, service  # noqa: E402
from nova.api.openstack import wsgi_app  # noqa: E402
from nova.compute import api as compute_api  # noqa: E402
from nova.compute import rpcapi as compute_rpcapi  # noqa: E402
from nova.conductor import rpcapi as conductor_rpcapi  # noqa: E402
from nova.objects import cell_mapping, host_mapping  # noqa: E402
from nova.scheduler import rpcapi as scheduler_rpcapi  # noqa: E402

from nova_fakes.sandbox import database  # noqa: E402
from nova_fakes.sandbox.state import StateDirectory  # noqa: E402
from nova_fakes.virt.fleet_file import HostAggregate  # noqa: E402

__all__ = ["NovaServices"]

LOG = logging.getLogger(__name__)

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# One name for the services that are not computes; nova's configuration file says the same.
CONTROLLER = "controller"


class NovaServices:
    """nova-api, nova-conductor, nova-scheduler, nova-computes and placement over one state directory.

    Call the ``start_…`` methods in the order in which they stand here; :meth:`stop` stops whatever was started.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._running: dict[tuple[str, str], service.Service] = {}
        # A compute service reads its host's name from CONF while it starts.
        self._starting = threading.Lock()

    def load_configuration(self) -> None:
        """Read nova.conf into nova's CONF, as the programs do with their command line."""
        nova_config.parse_args(
            ["nova", "--config-file", str(self._state.etc / "nova.conf")], default_config_files=[], prog="nova"
        )
        objects.register_all()
        os_brick.setup(nova.conf.CONF)
        if not nova.conf.CONF.compute_driver.startswith("nova_fakes."):
            # What plugs the VIFs of other drivers; our realizers are not os-vif's, and its plugins take long to import.
            os_vif.initialize()

    def create_cells(self) -> None:
        """Map cell0 and cell1, as ``nova-manage cell_v2 map_cell0`` and ``create_cell`` do; idempotent."""
        context = nova_context.get_admin_context()
        known = {mapping.name: mapping for mapping in objects.CellMappingList.get_all(context)}
        cells = (
            ("cell0", cell_mapping.CellMapping.CELL0_UUID, "none:///", "nova_cell0.sqlite"),
            # The cell's is what nova.conf says, also where its owner chose a broker.
            ("cell1", "00000000-0000-4000-8000-000000000001", nova.conf.CONF.transport_url, "nova_cell1.sqlite"),
        )
        for name, uuid, transport_url, file in cells:
            if name in known:
                # The sandbox may have had its services in one process the last time, or a broker elsewhere.
                known[name].transport_url = transport_url
                known[name].database_connection = database.url(self._state.databases / file)
                known[name].save()
            else:
                objects.CellMapping(
                    context,
                    uuid=uuid,
                    name=name,
                    transport_url=transport_url,
                    database_connection=database.url(self._state.databases / file),
                ).create()

    def create_flavors(self) -> None:
        """Create the classic flavors when there are none at all."""
        context = nova_context.get_admin_context()
        if objects.FlavorList.get_all(context, limit=1):
            return
        flavors = (
            ("m1.nano", "42", 1, 64, 0),
            ("m1.tiny", "1", 1, 512, 1),
            ("m1.small", "2", 1, 2048, 20),
            ("m1.medium", "3", 2, 4096, 40),
            ("m1.large", "4", 4, 8192, 80),
            ("m1.xlarge", "5", 8, 16384, 160),
        )
        for name, flavorid, vcpus, memory_mb, root_gb in flavors:
            objects.Flavor(
                context,
                name=name,
                flavorid=flavorid,
                vcpus=vcpus,
                memory_mb=memory_mb,
                root_gb=root_gb,
                ephemeral_gb=0,
                swap=0,
                rxtx_factor=1.0,
                is_public=True,
                disabled=False,
            ).create()

    def start_conductor(self) -> None:
        """Start nova-conductor."""
        self._start("nova-conductor", CONTROLLER, conductor_rpcapi.RPC_TOPIC)

    def start_scheduler(self) -> None:
        """Start nova-scheduler."""
        self._start("nova-scheduler", CONTROLLER, scheduler_rpcapi.RPC_TOPIC)

    def start_compute(self, host: str) -> None:
        """Start the nova-compute of one host.

        The caller's context decides which fleet its driver joins.
        """
        # Here alone, since it loads the driver.
        from nova_fakes.sandbox import own_hosts

        own_hosts.install()
        self._start("nova-compute", host, compute_rpcapi.RPC_TOPIC, topic_alt=compute_rpcapi.RPC_TOPIC_ALT)

    def stop_compute(self, host: str) -> None:
        """Stop one host's nova-compute as a crash would: no reply, no heartbeat, nothing tidied up."""
        self._halt(("nova-compute", host))

    def silence_compute(self, host: str) -> None:
        """Let one host's nova-compute report no more and look after nothing; it still takes what is asked of it."""
        self._running["nova-compute", host].tg.stop_timers()

    def hear_compute(self, host: str) -> None:
        """Undo :meth:`silence_compute`: the timers are those that ``nova.service.Service.start`` makes."""
        running = self._running["nova-compute", host]
        running.servicegroup_api.join(running.host, running.topic, running)
        running.tg.add_dynamic_timer(
            running.periodic_tasks, initial_delay=None, periodic_interval_max=running.periodic_interval_max
        )

    def has_reported(self, binary: str, host: str, since: float) -> bool:
        """Tell whether a service in a process of its own is up, and has its compute node where it is a nova-compute.

        :param since: seconds since the epoch; what it reported before does not count
        """
        context = nova_context.get_admin_context()
        mapping = next(one for one in objects.CellMappingList.get_all(context) if one.name == "cell1")
        with nova_context.target_cell(context, mapping) as cell:
            found = objects.Service.get_by_host_and_binary(cell, host, binary)
            seen = found and (found.last_seen_up or found.created_at)
            if not seen or seen.timestamp() < since:
                return False
            return binary != "nova-compute" or any(node.host == host for node in objects.ComputeNodeList.get_all(cell))

    def map_hosts(self) -> None:
        """Map every new compute to its cell, as ``nova-manage cell_v2 discover_hosts`` does."""
        host_mapping.discover_hosts(nova_context.get_admin_context())

    def create_aggregates(self, aggregates: Sequence[HostAggregate]) -> None:
        """Make the host aggregates that are missing, and put the hosts that are missing into them."""
        if not aggregates:
            return
        context, api = nova_context.get_admin_context(), compute_api.AggregateAPI()
        known = {found.name: found for found in api.get_aggregate_list(context)}
        for wanted in aggregates:
            found = known.get(wanted.name) or api.create_aggregate(context, wanted.name, wanted.availability_zone)
            if wanted.metadata:
                api.update_aggregate_metadata(context, found.id, dict(wanted.metadata))
            for host in wanted.hosts:
                if host not in found.hosts:
                    api.add_host_to_aggregate(context, found.id, host)

    def api(self) -> WSGIApplication:
        """Return nova's compute API."""
        os.environ["OS_NOVA_CONFIG_DIR"] = str(self._state.etc)
        # init_application would read the configuration and start RPC a second time.
        wsgi_app._setup_service(CONTROLLER, "osapi_compute")
        paste = self._state.etc / "api-paste.ini"
        application: WSGIApplication = wsgi_app.deploy.loadapp(f"config:{paste}", name="osapi_compute")
        return application

    def placement(self) -> WSGIApplication:
        """Return placement's API; its database is brought up to date on the way where placement.conf says so."""
        from placement import wsgi as placement_wsgi

        os.environ["OS_PLACEMENT_CONFIG_DIR"] = str(self._state.etc)
        # Its migrations read the connection from a configuration of their own, which knows the environment alone.
        os.environ["OS_PLACEMENT_DATABASE__CONNECTION"] = database.url(self._state.databases / "placement.sqlite")
        application: WSGIApplication = placement_wsgi.init_application()
        return application

    def stop(self) -> None:
        """Stop every service, computes first.

        Nothing waits for work that is under way, as nova's own graceful shutdown would for seconds: nova takes it up
        again, or fails it, when the services start the next time.
        """
        for key in sorted(self._running, reverse=True):
            try:
                self._halt(key)
            except Exception:
                LOG.exception("%s on %s did not stop", *key)
        if rpc.NOTIFIER is not None:  # it is where the configuration was refused
            rpc.cleanup()

    def _halt(self, key: tuple[str, str]) -> None:
        """Take a service off the RPC bus and end its timers; does nothing where it does not run."""
        running = self._running.pop(key, None)
        if running is None:
            return
        for server in (running.rpcserver, running.rpcserver_alt):
            if server is not None:
                server.stop()
        running.tg.stop()

    def _start(self, binary: str, host: str, topic: str, topic_alt: str | None = None) -> None:
        with self._starting:
            nova.conf.CONF.set_override("host", host)
            try:
                created = service.Service.create(host=host, binary=binary, topic=topic, topic_alt=topic_alt)
                created.start()
            finally:
                nova.conf.CONF.clear_override("host")
        self._running[binary, host] = created
