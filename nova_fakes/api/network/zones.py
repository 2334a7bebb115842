"""Availability zones of networks and routers: where one asks to be."""

from __future__ import annotations

from typing import Any, Final

from nova_fakes.api.network.refusals import not_found
from nova_fakes.api.network.values import Described, string

__all__ = ["HINTS", "ZONES"]

ZONES: Final = ("nova",)
"""All that there are; every network and router is there (`default_availability_zones` of neutron.conf is not set)."""


def _hints(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"'{value}' is not a list")
    names = [string()(name) for name in value]
    for name in names:
        if name not in ZONES:
            raise not_found("AvailabilityZoneNotFound", f"AvailabilityZone {name} could not be found.")
    return names


HINTS: Final = Described(_hints, {"type": "array", "items": {"enum": list(ZONES)}})
"""Check of a list of zones' names."""
