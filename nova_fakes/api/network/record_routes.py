"""Lists of the network API that nobody adds to: types of rules, availability zones, providers of services."""

from __future__ import annotations

from typing import Final

import flask

from nova_fakes.api.network.body import arguments, asked, caller, fields
from nova_fakes.api.network.qos_rules import rule_type, rule_types
from nova_fakes.api.network.refusals import bad_request
from nova_fakes.api.network.table import Record
from nova_fakes.api.network.zones import ZONES
from nova_fakes.api.wsgi import reply

__all__ = ["add_records"]

_PROVIDERS: Final[tuple[Record, ...]] = ({"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": True},)


def add_records(app: flask.Flask) -> None:
    """Add the paths to the application."""

    def types() -> flask.Response:
        return reply({"rule_types": _selected(rule_types())})

    def one_type(name: str) -> flask.Response:
        return reply({"rule_type": fields(rule_type(caller(), name), asked())})

    def zones() -> flask.Response:
        rows = [
            {"name": zone, "resource": resource, "state": "available"}
            for zone in ZONES
            for resource in ("network", "router")
        ]
        return reply({"availability_zones": _selected(rows)})

    def providers() -> flask.Response:
        return reply({"service_providers": _selected(list(_PROVIDERS))})

    app.add_url_rule("/v2.0/qos/rule-types", "rule_types_index", types, methods=["GET"])
    app.add_url_rule("/v2.0/qos/rule-types/<name>", "rule_types_show", one_type, methods=["GET"])
    app.add_url_rule("/v2.0/availability_zones", "availability_zones_index", zones, methods=["GET"])
    app.add_url_rule("/v2.0/service-providers", "service_providers_index", providers, methods=["GET"])


def _selected(rows: list[Record]) -> list[Record]:
    """Return the rows that match the query string's filters, and the fields that it asks for; ApiError 400."""
    filters = {name: wanted for name, wanted in arguments().items() if name != "fields"}
    unknown = [name for name in filters if name not in rows[0]]
    if unknown:
        raise bad_request(f"{unknown} is invalid attribute for filtering")
    found = [row for row in rows if all(str(row[name]).lower() in _lower(wanted) for name, wanted in filters.items())]
    return [fields(row, asked()) for row in found]


def _lower(words: list[str]) -> list[str]:
    return [word.lower() for word in words]
