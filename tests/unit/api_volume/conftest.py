"""A volume service with hand-made tokens, images and time."""

from collections.abc import Iterator
from typing import Any

import pytest
from volume_requests import Api, Validator, find_image

from nova_fakes.api.volume import VolumeService, create_app
from nova_fakes.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def service(clock: ManualClock, events: list[dict[str, Any]]) -> VolumeService:
    return VolumeService(images=find_image, notifier=events.extend, clock=clock)


@pytest.fixture
def api(service: VolumeService) -> Iterator[Api]:
    with create_app(service, Validator()).test_client() as client:
        yield Api(client)
