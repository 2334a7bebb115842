"""Tokens agree at every moment with a plain account of who has which rights."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nova_fakes.api.identity import IdentityService
from nova_fakes.api.identity.assignments import Grant
from nova_fakes.api.identity.tokens import Scope
from nova_fakes.clock import ManualClock
from nova_fakes.exceptions import ApiError

USERS = st.sampled_from(["u0", "u1"])
PROJECTS = st.sampled_from(["p0", "p1"])
ROLES = st.sampled_from(["r0", "r1"])


class Rights(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.service = IdentityService(self.clock, token_lifetime_s=100)
        for number in (0, 1):
            self.service.create("users", {"name": f"u{number}"}, f"u{number}")
            self.service.create("projects", {"name": f"p{number}"}, f"p{number}")
            self.service.create("roles", {"name": f"r{number}"}, f"r{number}")
        self.service.create("groups", {"name": "g"}, "g")
        self.grants: set[tuple[str, str, str]] = set()  # actor, project, role
        self.members: set[str] = set()
        self.disabled: set[str] = set()
        self.tokens: dict[str, tuple[str, str, float]] = {}  # user, project, when it expires

    def roles(self, user: str, project: str) -> set[str]:
        actors = {user} | ({"g"} if user in self.members else set())
        return {role for actor, where, role in self.grants if actor in actors and where == project}

    @rule(actor=st.sampled_from(["u0", "u1", "g"]), project=PROJECTS, role=ROLES)
    def change_grant(self, actor: str, project: str, role: str) -> None:
        grant = Grant("group" if actor == "g" else "user", actor, "project", project, role)
        if (actor, project, role) in self.grants:
            self.service.revoke_grant(grant)
        else:
            self.service.grant(grant)
        self.grants ^= {(actor, project, role)}

    @rule(user=USERS)
    def change_membership(self, user: str) -> None:
        if user in self.members:
            self.service.remove_member("g", user)
        else:
            self.service.add_member("g", user)
        self.members ^= {user}

    @rule(row=st.sampled_from([("users", "u0"), ("users", "u1"), ("projects", "p0")]))
    def toggle(self, row: tuple[str, str]) -> None:
        plural, row_id = row
        self.service.update(plural, row_id, {"enabled": row_id in self.disabled})
        self.disabled ^= {row_id}

    @rule(user=USERS, project=PROJECTS)
    def issue(self, user: str, project: str) -> None:
        allowed = bool(self.roles(user, project)) and not {user, project} & self.disabled
        if not allowed:
            with pytest.raises(ApiError) as caught:
                self.service.issue(user, ("password",), Scope("project", project))
            assert caught.value.status == 401
            return
        token_id, record = self.service.issue(user, ("password",), Scope("project", project))
        self.tokens[token_id] = (user, project, record.expires_at)

    @rule(user=USERS)
    def change_password(self, user: str) -> None:
        self.service.update("users", user, {"password": "x"})
        self.tokens = {token_id: token for token_id, token in self.tokens.items() if token[0] != user}

    @rule(duration_s=st.integers(1, 60))
    def pass_time(self, duration_s: int) -> None:
        self.clock.advance(duration_s)

    @rule()
    def restart(self) -> None:
        state = self.service.dump()
        self.service = IdentityService(self.clock, token_lifetime_s=100)
        self.service.load(state)

    @invariant()
    def tokens_are_right(self) -> None:
        for token_id, (user, project, expires_at) in self.tokens.items():
            roles = self.roles(user, project)
            valid = bool(roles) and not {user, project} & self.disabled and self.clock.now() < expires_at
            token = self.service.validate(token_id)
            assert (token is not None) == valid
            if token is not None:
                assert (set(token.roles), token.user_id, token.project_id) == (roles, user, project)


TestRights = Rights.TestCase
TestRights.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
