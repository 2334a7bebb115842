"""The image service over HTTP: paths and shapes of Glance's v2 API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask

from nova_fakes.api.auth import TokenValidator, authenticate, current_token
from nova_fakes.api.image.attributes import patch_operations
from nova_fakes.api.image.description import describe
from nova_fakes.api.image.errors import render_error
from nova_fakes.api.image.imports import import_image, methods
from nova_fakes.api.image.metadefs import add_metadefs
from nova_fakes.api.image.query import Query
from nova_fakes.api.image.schemas import SCHEMAS, schema
from nova_fakes.api.image.service import ImageService
from nova_fakes.api.image.task_routes import add_tasks
from nova_fakes.api.openapi import PATH, publish
from nova_fakes.api.wsgi import application, base_url, json_object, json_value, next_link, reply
from nova_fakes.exceptions import ApiError

__all__ = ["create_app"]

# What a Glance with one store offers: later ones need several (2.8, 2.10 to 2.15) or a cache (2.14, 2.16).
VERSIONS = ("v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
VERSIONS_OF_STORES = ("v2.15", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8", *VERSIONS[1:])
BLOCK_BYTES = 262144


def create_app(service: ImageService, tokens: TokenValidator) -> flask.Flask:
    """Return the WSGI application that serves `service`, to be mounted under "/image".

    Args:
        service: the images.
        tokens: who knows the tokens; the identity service.
    """
    app = application(__name__, "image", render_error)
    authenticate(app, tokens, public=("/", "/versions", PATH))
    _add_discovery(app, service)
    _add_images(app, service)
    _add_data(app, service)
    _add_tags(app, service)
    _add_members(app, service)
    add_tasks(app, service)
    add_metadefs(app, service.metadefs)
    publish(app, "image", "v2.9", describe)
    return app


def _no_content() -> flask.Response:
    return flask.Response(status=204)


def _add_discovery(app: flask.Flask, service: ImageService) -> None:
    def versions(status: int) -> flask.Response:
        rows = [
            {
                "id": version,
                "status": "SUPPORTED" if index else "CURRENT",
                "links": [{"rel": "self", "href": f"{base_url()}/v2/"}],
            }
            for index, version in enumerate(VERSIONS_OF_STORES if service.stores.names else VERSIONS)
        ]
        return reply({"versions": rows}, status)

    @app.get("/")
    def root() -> flask.Response:
        return versions(300)

    @app.get("/versions")
    def list_versions() -> flask.Response:
        return versions(200)

    @app.get("/v2/schemas/<name>")
    def get_schema(name: str) -> flask.Response:
        if name not in SCHEMAS:
            raise ApiError(404, f"There is no schema '{name}'; there are {', '.join(SCHEMAS)}.")
        return reply(schema(name))

    @app.get("/v2/info/import")
    def import_info() -> flask.Response:
        known = {"description": "Import methods available.", "type": "array", "value": methods(service)}
        return reply({"import-methods": known})

    @app.get("/v2/info/stores")
    def stores() -> flask.Response:
        return reply({"stores": service.stores.show()})

    @app.get("/v2/info/stores/detail")
    def stores_in_detail() -> flask.Response:
        if not current_token().is_admin:
            raise ApiError(403, "You are not authorized to complete stores_info_detail action.")
        return reply({"stores": service.stores.show(detail=True)})

    @app.get("/v2/info/usage")
    def usage() -> flask.Response:
        return reply({"usage": {}})  # Glance counts nothing until Keystone's limits are turned on


def _add_images(app: flask.Flask, service: ImageService) -> None:
    @app.get("/v2/images")
    def list_images() -> flask.Response:
        query = Query(flask.request.args.items(multi=True))
        images, more = service.select(current_token(), query)
        first = "/v2/images"
        pairs = flask.request.query_string.decode("latin-1")
        body: dict[str, Any] = {
            "images": [image.show() for image in images],
            "first": f"{first}?{pairs}" if pairs else first,
            "schema": "/v2/schemas/images",
        }
        if more:
            body["next"] = next_link(first, images[-1].id)
        return reply(body)

    @app.post("/v2/images")
    def create_image() -> flask.Response:
        image = service.create(current_token(), json_object())
        headers = {
            "Location": f"{base_url()}/v2/images/{image.id}",
            "OpenStack-image-import-methods": ",".join(methods(service)),
        }
        return reply(image.show(), 201, headers)

    @app.get("/v2/images/<image_id>")
    def get_image(image_id: str) -> flask.Response:
        return reply(service.get(current_token(), image_id).show())

    @app.patch("/v2/images/<image_id>")
    def update_image(image_id: str) -> flask.Response:
        token = current_token()
        service.get(token, image_id)
        media_type = flask.request.mimetype
        data = flask.request.get_data()
        try:
            body = json_value(data) if data else None
        except ValueError as error:
            raise ApiError(400, f"Malformed JSON in request body: {error}.") from None
        return reply(service.update(token, image_id, patch_operations(body, media_type)).show())

    @app.delete("/v2/images/<image_id>")
    def delete_image(image_id: str) -> flask.Response:
        service.delete(current_token(), image_id)
        return _no_content()

    @app.post("/v2/images/<image_id>/actions/deactivate")
    def deactivate(image_id: str) -> flask.Response:
        service.deactivate(current_token(), image_id)
        return _no_content()

    @app.post("/v2/images/<image_id>/actions/reactivate")
    def reactivate(image_id: str) -> flask.Response:
        service.reactivate(current_token(), image_id)
        return _no_content()


def _add_data(app: flask.Flask, service: ImageService) -> None:
    def blocks() -> Iterator[bytes]:
        stream = flask.request.stream
        while block := stream.read(BLOCK_BYTES):
            yield block

    def announced() -> int | None:
        if flask.request.mimetype != "application/octet-stream":
            raise ApiError(
                415, f"Unsupported Content-Type '{flask.request.mimetype}': image data is application/octet-stream."
            )
        text = flask.request.headers.get("X-OpenStack-Image-Size")
        if text is not None and not text.isdigit():
            raise ApiError(400, f"x-openstack-image-size '{text}' is no number of bytes.")
        return int(text) if text else flask.request.content_length

    @app.put("/v2/images/<image_id>/file")
    def upload(image_id: str) -> flask.Response:
        store = flask.request.headers.get("X-Image-Meta-Store")
        service.upload(current_token(), image_id, blocks(), announced(), store)
        return _no_content()

    @app.put("/v2/images/<image_id>/stage")
    def stage(image_id: str) -> flask.Response:
        service.stage(current_token(), image_id, blocks(), announced())
        return _no_content()

    @app.post("/v2/images/<image_id>/import")
    def start_import(image_id: str) -> flask.Response:
        json_object("method")  # or 400
        import_image(service, current_token(), image_id, json_object())
        return flask.Response(status=202)

    @app.get("/v2/images/<image_id>/file")
    def download(image_id: str) -> flask.Response:
        image = service.download(current_token(), image_id)
        if image.status not in ("active", "deactivated") or image.size is None:
            return _no_content()
        start, stop, status = 0, image.size, 200
        headers = {"Content-Type": "application/octet-stream"}
        wanted = flask.request.range
        if wanted is not None:
            found = wanted.range_for_length(image.size)
            if found is None:
                raise ApiError(
                    416, f"{wanted} is not within the image.", headers={"Content-Range": f"bytes */{image.size}"}
                )
            start, stop = found
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{image.size}"
        elif image.checksum is not None:
            headers["Content-MD5"] = image.checksum
        headers["Content-Length"] = str(stop - start)
        return flask.Response(service.read(image.id, start, stop), status, headers)


def _add_tags(app: flask.Flask, service: ImageService) -> None:
    @app.put("/v2/images/<image_id>/tags/<tag>")
    def add_tag(image_id: str, tag: str) -> flask.Response:
        service.tag(current_token(), image_id, tag)
        return _no_content()

    @app.delete("/v2/images/<image_id>/tags/<tag>")
    def remove_tag(image_id: str, tag: str) -> flask.Response:
        service.untag(current_token(), image_id, tag)
        return _no_content()


def _add_members(app: flask.Flask, service: ImageService) -> None:
    path = "/v2/images/<image_id>/members"

    def text(key: str) -> str:
        value = json_object().get(key)
        if not isinstance(value, str) or not value:
            raise ApiError(400, f"'{key}' is required and must be a string that is not empty.")
        return value

    @app.get(path)
    def list_members(image_id: str) -> flask.Response:
        image, members = service.members(current_token(), image_id)
        return reply({"members": [image.show_member(member) for member in members], "schema": "/v2/schemas/members"})

    @app.post(path)
    def add_member(image_id: str) -> flask.Response:
        image, member = service.add_member(current_token(), image_id, text("member"))
        return reply(image.show_member(member))

    @app.get(f"{path}/<member_id>")
    def get_member(image_id: str, member_id: str) -> flask.Response:
        image, member = service.member(current_token(), image_id, member_id)
        return reply(image.show_member(member))

    @app.put(f"{path}/<member_id>")
    def answer_member(image_id: str, member_id: str) -> flask.Response:
        image, member = service.answer_member(current_token(), image_id, member_id, text("status"))
        return reply(image.show_member(member))

    @app.delete(f"{path}/<member_id>")
    def remove_member(image_id: str, member_id: str) -> flask.Response:
        service.remove_member(current_token(), image_id, member_id)
        return _no_content()
