"""The kit's fixtures for every test here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from driver_kit import clock, driver, fleet, nova_conf, other, virtapi

__all__ = ["clock", "driver", "fleet", "nova_conf", "other", "virtapi"]
