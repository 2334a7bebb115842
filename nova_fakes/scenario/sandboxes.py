"""The way to sandboxes from commands and scenarios: start one, reach one, tidy up after one.

The sandbox package imports much; this module imports it when it is first needed, so that `nova-fakes --help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_fakes.sandbox.client import Client
    from nova_fakes.sandbox.spec import Progress, SandboxSpec
    from nova_fakes.virt.vif.ledger import Entry

__all__ = ["Sandboxes"]


class Sandboxes:
    """What the commands know of the sandbox package. Tests give their own."""

    def default_state(self) -> Path:
        """Return the state directory that is used where none is named."""
        from nova_fakes.sandbox.spec import default_state

        return default_state()

    def up(self, spec: SandboxSpec, on_progress: Callable[[Progress], None]) -> Client:
        """Start a sandbox and return when its API answers."""
        from nova_fakes.sandbox.launcher import up

        return up(spec, on_progress)

    def client(self, state: Path | None) -> Client:
        """Return a client of the sandbox on that state directory, the default one for None."""
        from nova_fakes.sandbox.client import Client

        return Client(state if state is not None else self.default_state())

    def cleanup(self, state: Path) -> Sequence[Entry]:
        """Remove what the ledger of a dead sandbox names; return what was removed."""
        from nova_fakes.sandbox.launcher import cleanup

        return cleanup(state)
