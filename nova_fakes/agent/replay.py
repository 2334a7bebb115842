"""Makes the changes of an audit log again, on the agent of a test host."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from nova_fakes.agent.audit import Record
from nova_fakes.agent.client import Client
from nova_fakes.exceptions import AgentUnreachable, NovaFakesError

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A change that was made again: its record, and the kind of error that came of it now, None for none."""

    record: Record
    error: str | None
    message: str

    @property
    def same(self) -> bool:
        """Whether the same came of it as then."""
        return self.error == self.record.error


def replay(
    records: Iterable[Record], client: Client, *, pace: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Replayed]:
    """Make changes again, one after the other.

    :param pace: seconds between two of them for each second that lay between them then; 0 does not wait
    :raises AgentUnreachable: there is no agent
    """
    before: float | None = None
    for record in records:
        if before is not None and pace and record.at > before:
            sleep((record.at - before) * pace)
        before = record.at
        try:
            client.call(record.request)
        except AgentUnreachable:
            raise
        except NovaFakesError as error:
            yield Replayed(record, type(error).__name__, str(error))
        else:
            yield Replayed(record, None, "")
