"""The management API's requests.

Each runs in one turn of the broker. What changes something is asked of the engine as a client would ask it, by a
channel of a session that lasts for the request, so that permissions, checks and their texts are the broker's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.channel import Channel
from nova_fakes.rabbit.errors import AmqpError, HardError
from nova_fakes.rabbit.management import messages
from nova_fakes.rabbit.management.administration import Administration
from nova_fakes.rabbit.management.answers import flag, listed, read_body, to_json
from nova_fakes.rabbit.management.definitions import export_definitions, import_definitions
from nova_fakes.rabbit.management.refusals import Refusal, bad_request, not_found
from nova_fakes.rabbit.receiver import Inbox
from nova_fakes.rabbit.tables import typed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["create_app"]

#: Tags of users who may look; the first may do everything.
LOOKERS = ("administrator", "monitoring", "policymaker", "management")
#: What a URL calls the exchange without a name.
DEFAULT_EXCHANGE = "amq.default"


def create_app(broker: Broker) -> Flask:
    """Return the application for a broker."""
    app = Flask(__name__)
    api = _Api(broker)
    app.before_request(api.authenticate)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(AmqpError, lambda error: _refused(bad_request(_reason(error))))
    app.register_error_handler(InvalidInput, lambda error: _refused(bad_request(str(error))))
    app.register_error_handler(HTTPException, _http_error)
    for rule, methods in api.routes().items():
        for method, view in methods.items():
            app.add_url_rule(rule, f"{method} {rule}", api.turn(view), methods=[method])
    app.wsgi_app = _keep_slashes(app.wsgi_app)  # type: ignore[method-assign,assignment]
    return app


def _keep_slashes(application: WSGIApplication) -> WSGIApplication:
    """Let an escaped slash in a path stay escaped: a virtual host is named so, and WSGI's PATH_INFO no longer tells."""

    def keep(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        parts = environ["REQUEST_URI"].partition("?")[0].split("/")
        environ["PATH_INFO"] = "/".join(quote(unquote(part), safe="~ ") for part in parts)
        return application(environ, start_response)

    return keep


def _refused(refusal: Refusal) -> Response:
    answer = to_json({"error": refusal.error, "reason": refusal.reason}, refusal.status)
    if refusal.status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="RabbitMQ Management"'
    return answer


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    return _refused(not_found() if status == 404 else Refusal(status, error.name, error.description or error.name))


def _reason(error: AmqpError) -> str:
    return error.text.partition(" - ")[2] or error.text


class _Api(Administration):
    """The views, each of which runs in a turn."""

    def turn(self, view: Callable[..., Response]) -> Callable[..., Response]:
        """Let a view run in a turn of the broker."""

        def run(**names: str) -> Response:
            whole = {name: unquote(value) for name, value in names.items()}
            with self.broker:
                return view(**{name: "" if value == DEFAULT_EXCHANGE else value for name, value in whole.items()})

        return run

    def authenticate(self) -> None:
        """Let in who has a tag to look, and to change things where it is more than messages."""
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Refusal(403, "forbidden", "a page from elsewhere may not use a browser's login here")
        given = request.authorization
        user = None
        if given is not None and given.username is not None:
            user = self.broker.users.authenticate(given.username, given.password or "")
        if user is None:
            raise Refusal(401, "not_authorised", "Login failed")
        if not set(user.tags) & set(LOOKERS):
            raise Refusal(401, "not_authorised", "Not management user")
        g.user = user

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by path and method."""
        shapes = self.shapes
        return {
            "/": {"GET": self.page},
            "/api/overview": {"GET": lambda: to_json(shapes.overview([]))},
            "/api/nodes": {"GET": lambda: listed([shapes.node()])},
            "/api/whoami": {"GET": lambda: to_json({"name": g.user.name, "tags": list(g.user.tags)})},
            "/api/cluster-name": {"GET": lambda: to_json({"name": self.broker.name})},
            "/api/definitions": {"GET": self.export, "POST": self.load},
            "/api/extensions": {"GET": lambda: to_json([])},
            "/api/policies": {"GET": lambda: to_json([])},
            "/api/parameters": {"GET": lambda: to_json([])},
            "/api/aliveness-test/<vhost>": {"GET": self.aliveness},
            "/api/health/checks/alarms": {"GET": self.alarms},
            "/api/vhosts": {"GET": lambda: listed(map(shapes.vhost, self.broker.vhosts.values()))},
            "/api/vhosts/<vhost>": {"GET": self.vhost, "PUT": self.add_vhost, "DELETE": self.remove_vhost},
            "/api/connections": {"GET": lambda: listed(map(shapes.connection, self.broker.sessions))},
            "/api/connections/<path:name>": {"GET": self.connection, "DELETE": self.close_connection},
            "/api/channels": {"GET": lambda: listed(map(shapes.channel, shapes.channels()))},
            "/api/consumers": {"GET": self.consumers},
            "/api/consumers/<vhost>": {"GET": self.consumers},
            "/api/exchanges": {"GET": self.exchanges},
            "/api/exchanges/<vhost>": {"GET": self.exchanges},
            "/api/exchanges/<vhost>/<name>": {
                "GET": self.exchange,
                "PUT": self.declare_exchange,
                "DELETE": self.delete_exchange,
            },
            "/api/exchanges/<vhost>/<name>/publish": {"POST": self.publish},
            "/api/exchanges/<vhost>/<name>/bindings/source": {"GET": self.bindings_from},
            "/api/exchanges/<vhost>/<name>/bindings/destination": {"GET": self.bindings_to_exchange},
            "/api/queues": {"GET": self.queues},
            "/api/queues/<vhost>": {"GET": self.queues},
            "/api/queues/<vhost>/<name>": {"GET": self.queue, "PUT": self.declare_queue, "DELETE": self.delete_queue},
            "/api/queues/<vhost>/<name>/bindings": {"GET": self.bindings_to_queue},
            "/api/queues/<vhost>/<name>/contents": {"DELETE": self.purge},
            "/api/queues/<vhost>/<name>/get": {"POST": self.get},
            "/api/bindings": {"GET": self.bindings},
            "/api/bindings/<vhost>": {"GET": self.bindings},
            "/api/bindings/<vhost>/e/<source>/<kind>/<name>": {"GET": self.bindings_between, "POST": self.bind},
            "/api/bindings/<vhost>/e/<source>/<kind>/<name>/<key>": {"GET": self.one_binding, "DELETE": self.unbind},
            "/api/users": {"GET": lambda: listed(map(shapes.user, self.broker.users))},
            "/api/users/<user>": {"GET": self.user, "PUT": self.add_user, "DELETE": self.remove_user},
            "/api/users/<user>/permissions": {"GET": self.user_permissions},
            "/api/permissions": {"GET": lambda: listed(shapes.permissions())},
            "/api/permissions/<vhost>/<user>": {
                "GET": self.permission,
                "PUT": self.permit,
                "DELETE": self.forbid,
            },
        }

    @contextmanager
    def asking(self, vhost: str) -> Iterator[Channel]:
        """Give a channel in a virtual host, as the user who asks."""
        inbox = Inbox()
        if vhost not in self.broker.vhosts:
            raise not_found()
        try:
            session = self.broker.connect(inbox, user=g.user, vhost=vhost, name="management")
        except HardError as error:
            raise Refusal(401, "not_authorised", _reason(error)) from None
        try:
            yield session.open_channel(inbox)
        finally:
            session.close()

    # The page, and whether the broker is well.

    def page(self) -> Response:
        """Show what there is to people."""
        shapes = self.shapes
        return Response(
            render_template(
                "overview.html",
                overview=shapes.overview([]),
                node=shapes.node(),
                queues=[shapes.queue(queue) for queue in shapes.queues()],
                exchanges=[shapes.exchange(exchange) for exchange in shapes.exchanges()],
                bindings=[binding for binding in shapes.bindings() if binding["source"]],
                connections=[shapes.connection(session) for session in self.broker.sessions],
            )
        )

    def aliveness(self, vhost: str) -> Response:
        """Send a message through a queue and take it out again."""
        with self.asking(vhost) as channel:
            name = channel.queue_declare("aliveness-test").queue
            channel.publish("", name, messages.EMPTY, b"test_message")
            if channel.get(name, no_ack=True) is None:
                raise Refusal(500, "aliveness", "the message did not come back")
        return to_json({"status": "ok"})

    def alarms(self) -> Response:
        """Tell whether the broker takes messages."""
        if self.broker.blocked_by is not None:
            return to_json({"status": "failed", "reason": self.broker.blocked_by}, 503)
        return to_json({"status": "ok"})

    def export(self) -> Response:
        """Return all that is declared."""
        self.check_administrator()
        return to_json(export_definitions(self.broker, self.shapes))

    def load(self) -> Response:
        """Declare what a document has."""
        self.check_administrator()
        import_definitions(self.broker, read_body())
        return Response(status=204)

    # Connections and consumers.

    def connection(self, name: str) -> Response:
        """Return one."""
        for session in self.broker.sessions:
            if session.name == name:
                return to_json(self.shapes.connection(session))
        raise not_found()

    def close_connection(self, name: str) -> Response:
        """Throw a client out."""
        reason = request.headers.get("X-Reason", "Closed via management plugin")
        for session in list(self.broker.sessions):
            if session.name == name:
                session.end(HardError("CONNECTION_FORCED", reason, (0, 0)))
                return Response(status=204)
        raise not_found()

    def consumers(self, vhost: str | None = None) -> Response:
        """Return the subscriptions."""
        self._check_vhost(vhost)
        return listed(self.shapes.consumer(each) for queue in self.shapes.queues(vhost) for each in queue.consumers)

    def _check_vhost(self, vhost: str | None) -> None:
        if vhost is not None and vhost not in self.broker.vhosts:
            raise not_found()

    # Exchanges.

    def exchanges(self, vhost: str | None = None) -> Response:
        """Return all."""
        self._check_vhost(vhost)
        return listed(map(self.shapes.exchange, self.shapes.exchanges(vhost)))

    def exchange(self, vhost: str, name: str) -> Response:
        """Return one."""
        self._check_vhost(vhost)
        found = self.broker.vhosts[vhost].exchanges.get(name)
        if found is None:
            raise not_found()
        return to_json(self.shapes.exchange(found))

    def declare_exchange(self, vhost: str, name: str) -> Response:
        """Make one."""
        body = read_body()
        with self.asking(vhost) as channel:
            is_new = name not in self.broker.vhosts[vhost].exchanges
            channel.exchange_declare(
                name,
                str(body.get("type", "direct")),
                durable=flag(body, "durable", True),
                auto_delete=flag(body, "auto_delete", False),
                internal=flag(body, "internal", False),
                arguments=typed(body.get("arguments") or {}),
            )
        return Response(status=201 if is_new else 204)

    def delete_exchange(self, vhost: str, name: str) -> Response:
        """Delete one."""
        self.exchange(vhost, name)
        with self.asking(vhost) as channel:
            channel.exchange_delete(name, if_unused=request.args.get("if-unused") == "true")
        return Response(status=204)

    def publish(self, vhost: str, name: str) -> Response:
        """Publish a message; tell whether it reached a queue."""
        message = messages.read(read_body())
        with self.asking(vhost) as channel:
            channel.publish(name, message.routing_key, message.properties, message.body, mandatory=True)
            inbox = channel.receiver
            assert isinstance(inbox, Inbox)
            return to_json({"routed": not inbox.returns})

    # Queues.

    def queues(self, vhost: str | None = None) -> Response:
        """Return all."""
        self._check_vhost(vhost)
        return listed(map(self.shapes.queue, self.shapes.queues(vhost)))

    def queue(self, vhost: str, name: str) -> Response:
        """Return one, with its consumers."""
        self._check_vhost(vhost)
        found = self.broker.vhosts[vhost].queues.get(name)
        if found is None:
            raise not_found()
        consumers = [self.shapes.consumer(consumer) for consumer in found.consumers]
        return to_json({**self.shapes.queue(found), "consumer_details": consumers})

    def declare_queue(self, vhost: str, name: str) -> Response:
        """Make one."""
        body = read_body()
        with self.asking(vhost) as channel:
            is_new = name not in self.broker.vhosts[vhost].queues
            channel.queue_declare(
                name,
                durable=flag(body, "durable", True),
                auto_delete=flag(body, "auto_delete", False),
                arguments=typed(body.get("arguments") or {}),
            )
        return Response(status=201 if is_new else 204)

    def delete_queue(self, vhost: str, name: str) -> Response:
        """Delete one."""
        self.queue(vhost, name)
        with self.asking(vhost) as channel:
            conditions = {
                flag: request.args.get(flag.replace("_", "-")) == "true" for flag in ("if_unused", "if_empty")
            }
            channel.queue_delete(name, **conditions)
        return Response(status=204)

    def purge(self, vhost: str, name: str) -> Response:
        """Forget what waits in one."""
        self.queue(vhost, name)
        with self.asking(vhost) as channel:
            channel.queue_purge(name)
        return Response(status=204)

    def get(self, vhost: str, name: str) -> Response:
        """Take messages out of one, for good or only to look at them."""
        wanted = messages.wanted(read_body())
        self.queue(vhost, name)
        with self.asking(vhost) as channel:
            return to_json(messages.take(channel, name, wanted))

    # Bindings.

    def bindings(self, vhost: str | None = None) -> Response:
        """Return all."""
        self._check_vhost(vhost)
        return listed(self.shapes.bindings(vhost))

    def _chosen(self, vhost: str, **wanted: str) -> list[dict[str, Any]]:
        self._check_vhost(vhost)
        return [
            binding
            for binding in self.shapes.bindings(vhost)
            if all(binding[name] == value for name, value in wanted.items())
        ]

    def bindings_from(self, vhost: str, name: str) -> Response:
        """Return those of which an exchange is the source."""
        return listed(self._chosen(vhost, source=name))

    def bindings_to_exchange(self, vhost: str, name: str) -> Response:
        """Return those of which an exchange is the destination."""
        return listed(self._chosen(vhost, destination=name, destination_type="exchange"))

    def bindings_to_queue(self, vhost: str, name: str) -> Response:
        """Return those of which a queue is the destination."""
        return listed(self._chosen(vhost, destination=name, destination_type="queue"))

    def _between(self, vhost: str, source: str, kind: str, name: str) -> list[dict[str, Any]]:
        if kind not in ("q", "e"):
            raise not_found()
        destination_type = "queue" if kind == "q" else "exchange"
        return self._chosen(vhost, source=source, destination=name, destination_type=destination_type)

    def bindings_between(self, vhost: str, source: str, kind: str, name: str) -> Response:
        """Return those between two."""
        return listed(self._between(vhost, source, kind, name))

    def bind(self, vhost: str, source: str, kind: str, name: str) -> Response:
        """Make one; its place is in the answer."""
        body = read_body()
        routing_key, arguments = str(body.get("routing_key", "")), typed(body.get("arguments") or {})
        before = {binding["properties_key"] for binding in self._between(vhost, source, kind, name)}
        with self.asking(vhost) as channel:
            if kind == "q":
                channel.queue_bind(name, source, routing_key, arguments=arguments)
            else:
                channel.exchange_bind(name, source, routing_key, arguments=arguments)
        made = [b for b in self._between(vhost, source, kind, name) if b["properties_key"] not in before]
        answer = Response(status=201)
        answer.headers["Location"] = f"{name}/{made[0]['properties_key'] if made else '~'}"
        return answer

    def _one(self, vhost: str, source: str, kind: str, name: str, key: str) -> dict[str, Any]:
        for binding in self._between(vhost, source, kind, name):
            if key == binding["properties_key"]:
                return binding
        raise not_found()

    def one_binding(self, vhost: str, source: str, kind: str, name: str, key: str) -> Response:
        """Return one of those between two."""
        return to_json(self._one(vhost, source, kind, name, key))

    def unbind(self, vhost: str, source: str, kind: str, name: str, key: str) -> Response:
        """Take one of those between two away."""
        found = self._one(vhost, source, kind, name, key)
        with self.asking(vhost) as channel:
            unbind = channel.queue_unbind if kind == "q" else channel.exchange_unbind
            unbind(name, source, found["routing_key"], arguments=typed(found["arguments"]))
        return Response(status=204)
