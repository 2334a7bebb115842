"""Tasks: the imports that the service has done, or has failed to do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from nova_fakes.api.auth import Token
from nova_fakes.api.image.record import timestamp
from nova_fakes.api.wsgi import request_id
from nova_fakes.clock import Clock
from nova_fakes.exceptions import ApiError

__all__ = ["Task", "Tasks"]

_KEPT_S = 48 * 3600  # glance-api.conf task_time_to_live


@dataclass(slots=True)
class Task:
    """One import. Times are unix seconds; `status` is "processing", "success" or "failure"."""

    id: str
    image_id: str
    owner: str | None
    user_id: str
    request_id: str
    input: dict[str, Any]
    created_at: float
    updated_at: float
    status: str = "processing"
    message: str = ""
    result: dict[str, Any] | None = field(default=None)

    def show(self) -> dict[str, Any]:
        """Return the task as the API shows it."""
        shown = {**self.brief(), "input": self.input, "result": self.result, "message": self.message}
        return {**shown, "image_id": self.image_id, "request_id": self.request_id, "user_id": self.user_id}

    def brief(self) -> dict[str, Any]:
        """Return the task as the API lists it."""
        shown = {
            "id": self.id,
            "type": "api_image_import",
            "status": self.status,
            "owner": self.owner,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
            "self": f"/v2/tasks/{self.id}",
            "schema": "/v2/schemas/task",
        }
        done = self.status != "processing"
        return {**shown, **({"expires_at": timestamp(self.updated_at + _KEPT_S)} if done else {})}


class Tasks:
    """The tasks of the last 48 hours.

    Args:
        clock: dates them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, Task] = {}

    @contextmanager
    def running(self, token: Token, image_id: str, wanted: Mapping[str, Any]) -> Iterator[Task]:
        """Keep a task for what happens meanwhile; an ApiError that comes out of it is the task's failure.

        Args:
            token: who asks.
            image_id: what is imported.
            wanted: the request's body.
        """
        now = self._clock.now()
        made = {"image_id": image_id, "import_req": dict(wanted)}
        task = Task(str(uuid.uuid4()), image_id, token.project_id, token.user_id, request_id(), made, now, now)
        self._tasks[task.id] = task
        try:
            yield task
            task.status, task.result = "success", {"image_id": image_id}
        except ApiError as error:
            task.status, task.message = "failure", error.message
            raise
        finally:
            task.updated_at = self._clock.now()

    def select(self, token: Token, status: str | None = None) -> list[Task]:
        """Return the tasks, the newest first; ApiError 403 to all but administrators."""
        self._guard(token, "get_tasks")
        return [task for task in reversed(self._current()) if status in (None, task.status)]

    def of_image(self, image_id: str) -> Iterable[Task]:
        """Return the tasks of an image, the newest first."""
        return [task for task in reversed(self._current()) if task.image_id == image_id]

    def get(self, token: Token, task_id: str) -> Task:
        """Return a task; ApiError 403 to all but administrators, 404."""
        self._guard(token, "get_task")
        for task in self._current():
            if task.id == task_id:
                return task
        raise ApiError(404, f"No task found with ID {task_id}")

    def create(self, token: Token, kind: object) -> Task:
        """Refuse to make a task by itself: imports are asked of the image.

        Raises:
            ApiError: 403, he is no administrator; 400, no such type, or one that is not done here.
        """
        self._guard(token, "add_task")
        known = ("import", "api_image_import", "location_import")
        if kind not in known:
            raise ApiError(400, f"Type must be one of {', '.join(known)}, not {kind!r}.")
        raise ApiError(400, f"Tasks of type {kind} cannot be made here; import with POST /v2/images/ID/import.")

    def dump(self) -> list[dict[str, Any]]:
        """Return all tasks as JSON-able data."""
        return [asdict(task) for task in self._current()]

    def load(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace all tasks by what `dump` returned; those that were under way have failed."""
        self._tasks = {row["id"]: Task(**row) for row in rows}
        for task in self._tasks.values():
            if task.status == "processing":
                task.status, task.message = "failure", "The service was stopped meanwhile."

    def _current(self) -> list[Task]:
        oldest = self._clock.now() - _KEPT_S
        self._tasks = {one.id: one for one in self._tasks.values() if one.updated_at >= oldest}
        return list(self._tasks.values())

    @staticmethod
    def _guard(token: Token, rule: str) -> None:
        if not token.is_admin:
            raise ApiError(403, f"You are not authorized to complete {rule} action.")
