"""Requests that are not granted."""

from __future__ import annotations

__all__ = ["Refusal", "bad_request", "not_found"]


class Refusal(Exception):
    """A request that is not granted."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        self.status, self.error, self.reason = status, error, reason
        super().__init__(reason)


def not_found() -> Refusal:
    """Make the refusal of what is not there."""
    return Refusal(404, "Object Not Found", "Not Found")


def bad_request(reason: str) -> Refusal:
    """Make the refusal of what cannot be."""
    return Refusal(400, "bad_request", reason)
