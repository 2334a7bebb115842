"""Errors as Glance sends them: HTML, JSON or plain text, whichever the client prefers (webob's way)."""

from __future__ import annotations

from html import escape

import flask

from nova_fakes.api.wsgi import reply, title
from nova_fakes.exceptions import ApiError

__all__ = ["render_error"]


def render_error(error: ApiError) -> flask.Response:
    """Return the response of an error; 401 in Keystone's form, since the token check stands before Glance."""
    phrase = title(error.status)
    if error.status == 401:
        return reply({"error": {"code": 401, "message": error.message, "title": phrase}}, 401)
    status = f"{error.status} {phrase}"
    # As in webob, a client that does not say what it accepts gets plain text.
    match = None
    if "Accept" in flask.request.headers:
        match = flask.request.accept_mimetypes.best_match(["text/html", "application/json"])
    if match == "application/json":
        return reply({"message": f"{error.message}<br /><br />\n\n\n", "code": status, "title": phrase}, error.status)
    if match == "text/html":
        text = (
            f"<html>\n <head>\n  <title>{status}</title>\n </head>\n <body>\n  <h1>{status}</h1>\n"
            f"  {escape(error.message)}<br /><br />\n\n\n\n </body>\n</html>"
        )
        return flask.Response(text, error.status, content_type="text/html; charset=UTF-8")
    return flask.Response(
        f"{status}\n\n{error.message}\n\n\n\n", error.status, content_type="text/plain; charset=UTF-8"
    )
