"""Routes of transfers, under the name that they have had since 3.55 and under the older one."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.volume.listing import Listing
from nova_fakes.api.volume.query import flag
from nova_fakes.api.volume.records import Transfer
from nova_fakes.api.volume.request import Request, empty, route
from nova_fakes.api.volume.schema import boolean
from nova_fakes.api.volume.views import moment
from nova_fakes.api.wsgi import reply

__all__ = ["PREFIXES", "register"]

PREFIXES = ("/os-volume-transfer", "/volume-transfers")
FIELDS = {
    "id": lambda transfer: transfer.id,
    "name": lambda transfer: transfer.name,
    "volume_id": lambda transfer: transfer.volume_id,
    "created_at": lambda transfer: transfer.created_at,
}
#: Since when the newest comes first, as in other lists.
PAGED = (3, 59)
LISTING: Listing[Transfer] = Listing("transfers", "Transfer", FIELDS, tuple(FIELDS))


def register(app: flask.Flask) -> None:
    """Add the routes to the application."""
    for prefix in PREFIXES:
        LISTING.register(
            app,
            prefix,
            _visible,
            _summary,
            _view,
            returning=True,
        )
        route(app, "POST", prefix, _create)
        route(app, "GET", f"{prefix}/<transfer_id>", _show)
        route(app, "DELETE", f"{prefix}/<transfer_id>", _delete)
        route(app, "POST", f"{prefix}/<transfer_id>/accept", _accept)


def _summary(request: Request, transfer: Transfer) -> dict[str, Any]:
    return {
        "id": transfer.id,
        "volume_id": transfer.volume_id,
        "name": transfer.name,
        "links": request.views.links(request.token.project_id or "", "os-volume-transfer", transfer.id),
    }


def _view(request: Request, transfer: Transfer) -> dict[str, Any]:
    view = {**_summary(request, transfer), "created_at": moment(transfer.created_at)}
    if request.version >= (3, 55):
        view["no_snapshots"] = transfer.no_snapshots
    if request.version >= (3, 57):
        view |= {
            "source_project_id": transfer.source_project_id,
            "destination_project_id": None,
            "accepted": False,
        }
    return view


def _visible(request: Request) -> list[Transfer]:
    found = request.service.transfers.visible(request.token, all_projects=flag("all_tenants"))
    return found if request.version >= PAGED else found[::-1]


def _create(request: Request) -> flask.Response:
    strict = request.version >= (3, 55)
    body = request.body("transfer create strict" if strict else "transfer create")["transfer"]
    transfer, key = request.service.transfers.create(
        request.token,
        body["volume_id"],
        name=(body.get("name") or "").strip() or None,
        no_snapshots=strict and boolean(body.get("no_snapshots")),
        encrypted=request.version >= (3, 70),
    )
    return reply({"transfer": {**_view(request, transfer), "auth_key": key}}, 202)


def _show(request: Request, transfer_id: str) -> flask.Response:
    return reply({"transfer": _view(request, request.service.transfers.get(request.token, transfer_id))})


def _delete(request: Request, transfer_id: str) -> flask.Response:
    request.service.transfers.delete(request.token, transfer_id)
    return empty()


def _accept(request: Request, transfer_id: str) -> flask.Response:
    key = request.body("transfer accept")["accept"]["auth_key"]
    return reply(
        {"transfer": _summary(request, request.service.transfers.accept(request.token, transfer_id, key))}, 202
    )
