"""Put the shim that nova's driver loader looks for into editable installs too."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIM = "packaging/nova_virt_shim.py"


class ShimBuildHook(BuildHookInterface):  # type: ignore[misc]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            build_data["force_include_editable"][str(Path(self.root) / SHIM)] = "nova/virt/nova_fakes.py"
