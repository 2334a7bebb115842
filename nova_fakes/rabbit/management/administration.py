"""The management API's requests about virtual hosts, users, and what they may."""

from __future__ import annotations

from flask import Response, g

from nova_fakes.rabbit.broker import Broker
from nova_fakes.rabbit.management.answers import listed, read_body, to_json
from nova_fakes.rabbit.management.refusals import Refusal, bad_request, not_found
from nova_fakes.rabbit.management.shapes import Shapes
from nova_fakes.rabbit.users import Permission, User

__all__ = ["Administration"]


class Administration:
    """The views, each of which runs in a turn."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.shapes = Shapes(broker)

    def check_administrator(self) -> None:
        """Refuse who may not change users and virtual hosts."""
        if "administrator" not in g.user.tags:
            raise Refusal(401, "not_authorised", "User not authorised to access virtual host")

    def vhost(self, vhost: str) -> Response:
        """Return one."""
        if vhost not in self.broker.vhosts:
            raise not_found()
        return to_json(self.shapes.vhost(self.broker.vhosts[vhost]))

    def add_vhost(self, vhost: str) -> Response:
        """Make one, in which who asks may do everything."""
        self.check_administrator()
        is_new = vhost not in self.broker.vhosts
        self.broker.add_vhost(vhost)
        g.user.permissions.setdefault(vhost, Permission())
        return Response(status=201 if is_new else 204)

    def remove_vhost(self, vhost: str) -> Response:
        """Take one away; its clients are thrown out."""
        self.check_administrator()
        if vhost not in self.broker.vhosts:
            raise not_found()
        self.broker.remove_vhost(vhost)
        return Response(status=204)

    def _user(self, name: str) -> User:
        user = self.broker.users.get(name)
        if user is None:
            raise not_found()
        return user

    def user(self, user: str) -> Response:
        """Return one."""
        return to_json(self.shapes.user(self._user(user)))

    def add_user(self, user: str) -> Response:
        """Make or change one."""
        self.check_administrator()
        body = read_body()
        known = self.broker.users.get(user)
        if known is None and "password" not in body and "password_hash" not in body:
            raise bad_request("neither password nor password_hash is there: give one of them")
        tags = body.get("tags", "")
        named = tuple(tag.strip() for tag in (tags.split(",") if isinstance(tags, str) else tags) if tag.strip())
        permissions = {} if known is None else known.permissions
        made = User(user, body.get("password"), named, permissions, password_hash=body.get("password_hash"))
        if known is not None and made.password is None and made.password_hash is None:
            made.password, made.password_hash = known.password, known.password_hash
        self.broker.users.add(made)
        return Response(status=201 if known is None else 204)

    def remove_user(self, user: str) -> Response:
        """Forget one."""
        self.check_administrator()
        self.broker.users.remove(self._user(user).name)
        return Response(status=204)

    def user_permissions(self, user: str) -> Response:
        """Return what one may."""
        return listed(self.shapes.permissions(self._user(user)))

    def permission(self, vhost: str, user: str) -> Response:
        """Return what one may in a virtual host."""
        for permission in self.shapes.permissions(self._user(user)):
            if permission["vhost"] == vhost:
                return to_json(permission)
        raise not_found()

    def permit(self, vhost: str, user: str) -> Response:
        """Say what one may in a virtual host."""
        self.check_administrator()
        body, found = read_body(), self._user(user)
        if vhost not in self.broker.vhosts:
            raise not_found()
        missing = [name for name in ("configure", "write", "read") if not isinstance(body.get(name), str)]
        if missing:
            raise bad_request(f"{missing[0]} is missing: give a regular expression")
        is_new = vhost not in found.permissions
        found.permissions[vhost] = Permission(body["configure"], body["write"], body["read"])
        return Response(status=201 if is_new else 204)

    def forbid(self, vhost: str, user: str) -> Response:
        """Let one into a virtual host no more."""
        self.check_administrator()
        if self._user(user).permissions.pop(vhost, None) is None:
            raise not_found()
        return Response(status=204)
