from pathlib import Path

import pytest
from flask.testing import FlaskClient
from image_requests import TOKENS, Tokens

from nova_fakes.api.auth import Token
from nova_fakes.api.image import ImageService, create_app
from nova_fakes.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def service(clock: ManualClock, tmp_path: Path) -> ImageService:
    return ImageService(clock, tmp_path / "images", size_limit_bytes=1_000_000)


@pytest.fixture
def client(service: ImageService) -> FlaskClient:
    return create_app(service, Tokens()).test_client()


@pytest.fixture
def owner() -> Token:
    return TOKENS["owner"]
