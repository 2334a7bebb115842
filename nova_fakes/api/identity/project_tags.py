"""Tags of projects: /v3/projects/{project}/tags."""

from __future__ import annotations

from typing import Any

import flask

from nova_fakes.api.identity.policy import Policy
from nova_fakes.api.identity.service import IdentityService
from nova_fakes.api.wsgi import base_url, json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_project_tags"]

TAG_LIMIT = 80
TAG_LENGTH = 255


def add_project_tags(app: flask.Flask, service: IdentityService, policy: Policy) -> None:
    """Add the tags of projects to `app`."""
    path = "/v3/projects/<project_id>/tags"

    def tags(project_id: str) -> list[str]:
        return list(service["projects"].get(project_id)["tags"])

    def store(project_id: str, wanted: list[Any]) -> list[str]:
        for tag in wanted:
            if not isinstance(tag, str) or not 0 < len(tag) <= TAG_LENGTH or "/" in tag or "," in tag:
                raise ApiError(
                    400, f"Invalid input for field 'tags': {tag!r} is no tag of 1 to {TAG_LENGTH} characters"
                )
        if len(wanted) > TAG_LIMIT:
            raise ApiError(400, f"Invalid input for field 'tags': more than {TAG_LIMIT} of them.")
        found = list(dict.fromkeys(wanted))
        service.update("projects", project_id, {"tags": found})
        return found

    def answer(project_id: str, found: list[str]) -> flask.Response:
        link = f"{base_url()}/v3/projects/{project_id}/tags"
        return reply({"tags": found, "links": {"self": link, "next": None, "previous": None}})

    @app.get(path)
    def list_tags(project_id: str) -> flask.Response:
        policy.require_get("projects", project_id, service["projects"].rows.get(project_id))
        return answer(project_id, tags(project_id))

    @app.put(path)
    def replace_tags(project_id: str) -> flask.Response:
        policy.require("update_project_tags")
        wanted = json_object().get("tags")
        if not isinstance(wanted, list):
            raise ApiError(400, "'tags' is a required property and must be a list.")
        return answer(project_id, store(project_id, wanted))

    @app.delete(path)
    def clear_tags(project_id: str) -> flask.Response:
        policy.require("delete_project_tags")
        store(project_id, [])
        return flask.Response(status=204)

    @app.get(f"{path}/<tag>")
    def check_tag(project_id: str, tag: str) -> flask.Response:
        policy.require_get("projects", project_id, service["projects"].rows.get(project_id))
        if tag not in tags(project_id):
            raise ApiError(404, f"Could not find project tag: {tag}.")
        return flask.Response(status=204)

    @app.put(f"{path}/<tag>")
    def add_tag(project_id: str, tag: str) -> flask.Response:
        policy.require("create_project_tag")
        store(project_id, [*tags(project_id), tag])
        link = f"{base_url()}/v3/projects/{project_id}/tags/{tag}"
        return flask.Response(status=201, headers={"Location": link})

    @app.delete(f"{path}/<tag>")
    def remove_tag(project_id: str, tag: str) -> flask.Response:
        policy.require("delete_project_tag")
        present = tags(project_id)
        if tag not in present:
            raise ApiError(404, f"Could not find project tag: {tag}.")
        store(project_id, [one for one in present if one != tag])
        return flask.Response(status=204)
