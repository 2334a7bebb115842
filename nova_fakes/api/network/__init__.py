"""A fake of the network API, Neutron v2.0: what nova, `openstack` and openstacksdk call.

`NetworkService` is the model, `create_app` puts the HTTP API in front of it, `NovaNotifier` carries its events to nova.
"""

from nova_fakes.api.network.app import create_app
from nova_fakes.api.network.caller import ADMIN, Caller
from nova_fakes.api.network.events import Event
from nova_fakes.api.network.notifier import NovaNotifier
from nova_fakes.api.network.query import Query
from nova_fakes.api.network.service import NetworkService

__all__ = ["ADMIN", "Caller", "Event", "NetworkService", "NovaNotifier", "Query", "create_app"]
