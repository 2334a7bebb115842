"""The tests of the model use the driver's stand-ins for realizers, and what makes them fail."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "driver"))
