"""The versions of the compute API, and the documents that name them (`nova/api/openstack/compute/versions.py`)."""

from __future__ import annotations

from typing import Any

__all__ = ["MAXIMUM", "MINIMUM", "Version", "version_document", "versions_document"]

Version = tuple[int, int]

MINIMUM: Version = (2, 1)
MAXIMUM: Version = (2, 100)

_MEDIA = "application/vnd.openstack.compute+json;version="


def versions_document(base: str) -> dict[str, Any]:
    """Return what the root answers, with addresses below `base`."""
    legacy = {
        "id": "v2.0",
        "status": "DEPRECATED",
        "version": "",
        "min_version": "",
        "updated": "2025-07-04T12:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/v2/"}],
    }
    present = {
        "id": "v2.1",
        "status": "CURRENT",
        "version": _text(MAXIMUM),
        "min_version": _text(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base}/v2.1/"}],
    }
    return {"versions": [legacy, present]}


def version_document(base: str) -> dict[str, Any]:
    """Return what /v2.1 answers."""
    return {
        "version": {
            "id": "v2.1",
            "status": "CURRENT",
            "version": _text(MAXIMUM),
            "min_version": _text(MINIMUM),
            "updated": "2013-07-23T11:33:21Z",
            "links": [
                {"rel": "self", "href": f"{base}/v2.1/"},
                {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"},
            ],
            "media-types": [{"base": "application/json", "type": f"{_MEDIA}2.1"}],
        }
    }


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
