"""Paths of tasks and of single stores, and of the cache that this service does not have."""

from __future__ import annotations

import flask

from nova_fakes.api.auth import current_token
from nova_fakes.api.image.service import ImageService
from nova_fakes.api.wsgi import json_object, reply
from nova_fakes.exceptions import ApiError

__all__ = ["add_tasks"]


def add_tasks(app: flask.Flask, service: ImageService) -> None:
    """Add the paths to the application."""

    @app.get("/v2/tasks")
    def list_tasks() -> flask.Response:
        found = service.tasks.select(current_token(), flask.request.args.get("status"))
        rows = [task.brief() for task in found]
        return reply({"tasks": rows, "first": "/v2/tasks", "schema": "/v2/schemas/tasks"})

    @app.post("/v2/tasks")
    def create_task() -> flask.Response:
        return reply(service.tasks.create(current_token(), json_object().get("type")).show(), 201)

    @app.get("/v2/tasks/<task_id>")
    def get_task(task_id: str) -> flask.Response:
        return reply(service.tasks.get(current_token(), task_id).show())

    @app.get("/v2/images/<image_id>/tasks")
    def list_image_tasks(image_id: str) -> flask.Response:
        service.get(current_token(), image_id)
        return reply({"tasks": [task.show() for task in service.tasks.of_image(image_id)]})

    @app.delete("/v2/stores/<store>/<image_id>")
    def leave_store(store: str, image_id: str) -> flask.Response:
        service.leave(current_token(), image_id, store)
        return flask.Response(status=204)

    def uncached(image_id: str = "") -> flask.Response:
        if not current_token().is_admin:
            raise ApiError(403, "You are not authorized to complete cache_image action.")
        raise ApiError(404, "Caching via API is not supported at this site.")

    app.add_url_rule("/v2/cache", "cache", uncached, methods=["GET", "DELETE"])
    app.add_url_rule("/v2/cache/<image_id>", "cache_image", uncached, methods=["PUT", "DELETE"])
