"""Lists: one page of the records, the link to the next, and the count where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import flask

from nova_fakes.api.volume.query import flag, page
from nova_fakes.api.volume.refusals import not_found
from nova_fakes.api.volume.request import MINIMUM, Request, route
from nova_fakes.api.wsgi import reply

__all__ = ["Listing"]

#: Since when the count may be asked for.
COUNTED = (3, 45)


class Record(Protocol):
    """What is listed."""

    id: str


T = TypeVar("T", bound=Record)
#: What is shown of one record.
View = Callable[[Request, T], dict[str, Any]]


class Listing(Generic[T]):
    """How one kind of record is listed.

    Args:
        name: of the list in the body.
        kind: what one is called where a marker names none.
        fields: by name, what is filtered and sorted by.
        public: names that every user may filter by.
        links: of the list of links in the body; None: after the list's own.
        counts: whether the count may be asked for.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        fields: Mapping[str, Callable[[T], Any]],
        public: Collection[str],
        *,
        links: str | None = None,
        counts: bool = False,
    ) -> None:
        self._name = name
        self._kind = kind
        self._fields = fields
        self._public = public
        self._links = links or f"{name}_links"
        self._counts = counts

    def register(
        self,
        app: flask.Flask,
        path: str,
        records: Callable[[Request], Sequence[T]],
        summary: View[T],
        detail: View[T],
        *,
        since: tuple[int, int] = MINIMUM,
        returning: bool = False,
    ) -> None:
        """Add the routes of the short list and of the detailed one.

        Args:
            app: the application.
            path: of the short list, behind /v3.
            records: in the order that holds where none is asked for.
            summary: what the short list shows of one.
            detail: what the detailed one does.
            since: version with which the lists came.
            returning: whether the detailed list's link leads to the short one, as some of Cinder's do.
        """

        def add(suffix: str, view: View[T]) -> None:
            def answer(request: Request) -> flask.Response:
                link = path if returning else f"{path}{suffix}"
                return self.answer(request, records(request), lambda one: view(request, one), link.removeprefix("/"))

            route(app, "GET", f"{path}{suffix}", answer, since=since)

        add("", summary)
        add("/detail", detail)

    def answer(
        self, request: Request, records: Sequence[T], view: Callable[[T], dict[str, Any]], path: str | None = None
    ) -> flask.Response:
        """Answer with the page that the request asks for.

        Args:
            records: in the order that holds where none is asked for.
            view: what is shown of one.
            path: where the list is, if not under its name.

        Raises:
            ApiError: 400, a filter, sort key or limit is refused; 404, the marker.
        """
        found, more, total = page(
            records,
            request.token,
            request.version,
            fields=self._fields,
            public=self._public,
            missing=lambda marker: not_found(self._kind, marker),
        )
        body: dict[str, Any] = {self._name: [view(one) for one in found]}
        link = request.next_url(path or self._name, more, found[-1].id if found else None)
        if link is not None:
            body[self._links] = [{"rel": "next", "href": link}]
        if self._counts and request.version >= COUNTED and flag("with_count"):
            body["count"] = total
        return reply(body)
