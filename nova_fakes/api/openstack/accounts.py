"""Users, projects and tokens as nova kept them itself in 2011 (`nova.auth.manager`, Cactus), in memory.

What the fakes of that time kept on classes, these keep on instances: two managers know nothing of each other.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nova_fakes.clock import Clock, SystemClock
from nova_fakes.exceptions import Conflict, NotFound

__all__ = [
    "Context",
    "FakeAuthDatabase",
    "FakeAuthManager",
    "FakeRequestContext",
    "FakeToken",
    "Project",
    "User",
    "token_hash",
]


class Context:
    """What an authentication middleware passes to its database: nothing that this one looks at."""


class FakeRequestContext:
    """Who makes a request.

    Args:
        user: a `User` or the id of one.
        project: a `Project` or the id of one.
    """

    def __init__(self, user: User | str, project: Project | str | None, *args: Any, **kwargs: Any) -> None:
        self.user = user
        self.project = project
        self.user_id = _id(user)
        self.project_id = None if project is None else _id(project)
        self.is_admin = bool(getattr(user, "admin", False))


@dataclass
class User:
    """Somebody with an access key and a secret."""

    id: str
    name: str
    access: str
    secret: str
    admin: bool = False


@dataclass
class Project:
    """Users that share servers."""

    id: str
    name: str
    project_manager_id: str
    description: str | None = None
    member_ids: list[str] = field(default_factory=list)


class FakeToken:
    """A row of the database's table of tokens; its columns are attributes and keys.

    Args:
        columns: "token_hash", "user_id", "created_at" and whatever else is kept.
    """

    def __init__(self, **columns: Any) -> None:
        self.id: int = 0
        for name, value in columns.items():
            setattr(self, name, value)

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


class FakeAuthDatabase:
    """The tokens that were issued, found by hash.

    Args:
        clock: tells when they were.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._tokens: dict[int, FakeToken] = {}
        self._count = 0

    def auth_token_create(self, context: object, token: dict[str, Any]) -> FakeToken:
        """Keep a token under its "token_hash" and return it with its id."""
        self._count += 1
        made = FakeToken(**{"created_at": datetime.fromtimestamp(self.clock.now()), **token, "id": self._count})
        self._tokens[made.id] = made
        return made

    def auth_token_get(self, context: object, token_hash: str) -> FakeToken | None:
        """Return the token of that hash, None if there is none."""
        return next((one for one in self._tokens.values() if one["token_hash"] == token_hash), None)

    def auth_token_destroy(self, context: object, token_id: int) -> None:
        """Forget a token; nothing happens if there is none."""
        self._tokens.pop(token_id, None)


class FakeAuthManager:
    """Who there is, and who belongs where.

    Users are named by themselves or by their ids, projects likewise.
    """

    def __init__(self) -> None:
        self.auth_data: list[User] = []
        self.projects: dict[str, Project] = {}

    def clear_fakes(self) -> None:
        """Forget all users and projects."""
        self.auth_data = []
        self.projects = {}

    def reset_fake_data(self) -> None:
        """Know one user, "id1" with the access key "acc1", who manages one project, "testacct"."""
        self.auth_data = [User("id1", "guy1", "acc1", "secret1", False)]
        self.projects = {"testacct": Project("testacct", "testacct", "id1", "test", ["id1"])}

    # Users

    def add_user(self, user: User) -> None:
        """Take a user in.

        Raises:
            Conflict: there is one of that id.
        """
        if self.get_user(user.id) is not None:
            raise Conflict(f"there is a user {user.id} already: delete it or take another id")
        self.auth_data.append(user)

    def create_user(self, name: str, access: str | None = None, secret: str | None = None, admin: bool = False) -> User:
        """Make a user whose id is his name, with new keys where none are given; Conflict if there is one."""
        user = User(name, name, access or str(uuid.uuid4()), secret or str(uuid.uuid4()), admin)
        self.add_user(user)
        return user

    def get_user(self, uid: str) -> User | None:
        """Return the user of that id, None if there is none."""
        return next((user for user in self.auth_data if user.id == uid), None)

    def get_user_from_access_key(self, key: str) -> User | None:
        """Return the user with that access key, None if there is none."""
        return next((user for user in self.auth_data if user.access == key), None)

    def get_users(self) -> list[User]:
        """Return all users."""
        return list(self.auth_data)

    def modify_user(
        self, user_id: str, access: str | None = None, secret: str | None = None, admin: bool | None = None
    ) -> None:
        """Change what is given of a user, and nothing else.

        Raises:
            NotFound: there is none.
        """
        user = self._user(user_id)
        user.access = user.access if access is None else access
        user.secret = user.secret if secret is None else secret
        user.admin = user.admin if admin is None else admin

    def delete_user(self, uid: str) -> None:
        """Forget a user, in his projects too; NotFound, there is none."""
        user = self._user(uid)
        self.auth_data.remove(user)
        for project in self.projects.values():
            project.member_ids = [member for member in project.member_ids if member != user.id]

    def is_admin(self, user: User | str) -> bool:
        """Tell whether a user may do everything; NotFound, there is none."""
        return self._user(_id(user)).admin

    # Projects

    def create_project(
        self,
        name: str,
        manager_user: User | str,
        description: str | None = None,
        member_users: Iterable[User | str] | None = None,
    ) -> Project:
        """Make a project whose id is its name; its manager is a member.

        Raises:
            Conflict: there is one of that name.
            NotFound: a user is not there.
        """
        if name in self.projects:
            raise Conflict(f"there is a project {name} already: delete it or take another name")
        manager = self._user(_id(manager_user)).id
        members = [self._user(_id(user)).id for user in member_users or ()]
        project = Project(name, name, manager, description, list(dict.fromkeys([*members, manager])))
        self.projects[name] = project
        return project

    def get_project(self, pid: str) -> Project | None:
        """Return the project of that id, None if there is none."""
        return self.projects.get(pid)

    def get_projects(self, user: User | str | None = None) -> list[Project]:
        """Return all projects, or those of a user."""
        if user is None:
            return list(self.projects.values())
        return [project for project in self.projects.values() if self.is_project_member(user, project)]

    def is_project_member(self, user: User | str, project: Project | str) -> bool:
        """Tell whether a user belongs to a project, or manages it; NotFound, there is no such project."""
        found = self._project(_id(project))
        return _id(user) in (*found.member_ids, found.project_manager_id)

    def modify_project(
        self, project: Project | str, manager_user: User | str | None = None, description: str | None = None
    ) -> None:
        """Change what is given of a project, and nothing else; a new manager becomes a member.

        Raises:
            NotFound: the project or the user is not there.
        """
        found = self._project(_id(project))
        if manager_user is not None:
            found.project_manager_id = self._user(_id(manager_user)).id
            found.member_ids = list(dict.fromkeys([*found.member_ids, found.project_manager_id]))
        if description is not None:
            found.description = description

    def delete_project(self, pid: str) -> None:
        """Forget a project; NotFound, there is none."""
        del self.projects[self._project(pid).id]

    def _user(self, uid: str) -> User:
        user = self.get_user(uid)
        if user is None:
            raise NotFound(
                f"there is no user {uid!r}; there are {', '.join(one.id for one in self.auth_data) or 'none'}"
            )
        return user

    def _project(self, pid: str) -> Project:
        project = self.projects.get(pid)
        if project is None:
            raise NotFound(f"there is no project {pid!r}; there are {', '.join(self.projects) or 'none'}")
        return project


def _id(thing: User | Project | str) -> str:
    return thing if isinstance(thing, str) else thing.id


def token_hash(user: User, at_s: float) -> str:
    """Return a new token for a user."""
    return hashlib.sha256(f"{user.id}{user.access}{at_s}{uuid.uuid4()}".encode()).hexdigest()
