"""Which images a caller sees, and which are in his lists."""

from __future__ import annotations

from nova_fakes.api.auth import Token
from nova_fakes.api.image.query import Query
from nova_fakes.api.image.record import Image

__all__ = ["listed", "visible"]


def visible(token: Token, image: Image) -> bool:
    """Whether a caller may see an image that he asks for by its id."""
    return (
        token.is_admin
        or image.visibility in ("public", "community")
        or (image.owner is not None and image.owner == token.project_id)
        or (image.visibility == "shared" and token.project_id in image.members)
    )


def listed(token: Token, image: Image, query: Query) -> bool:
    """Whether an image may be in the list that a caller asks for, filters aside."""
    if image.owner is not None and image.owner == token.project_id:
        return True
    if image.visibility == "community":
        return query.visibility in ("community", "all")
    if token.is_admin or image.visibility == "public":
        return True
    member = image.members.get(token.project_id or "") if image.visibility == "shared" else None
    return member is not None and query.member_status in ("all", member.status)
