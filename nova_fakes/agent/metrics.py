"""What the agent counts, in the text format of Prometheus (exposition format 0.0.4)."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Metrics"]

#: Upper bounds of how long requests take, seconds: one alone takes milliseconds, and its client waits half a minute.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts requests by verb and outcome, and how long they took.

    :param about: what does not change, as labels of one metric
    """

    def __init__(self, **about: str) -> None:
        self._lock = threading.Lock()
        self._about = about
        self._requests: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, float] = {}
        self._times: dict[str, list[int]] = {}

    def count(self, verb: str, outcome: str, took_s: float) -> None:
        """Count a request; `outcome` is ``done`` or the name of the error."""
        with self._lock:
            self._requests[verb, outcome] = self._requests.get((verb, outcome), 0) + 1
            self._seconds[verb] = self._seconds.get(verb, 0.0) + took_s
            times = self._times.setdefault(verb, [0] * (len(_BOUNDS) + 1))
            times[bisect_left(_BOUNDS, took_s)] += 1

    def render(self, gauges: Mapping[str, tuple[str, float | None]]) -> str:
        """Return everything as text.

        :param gauges: further values by name, each with what it is; None leaves it out
        """
        with self._lock:
            requests, seconds = dict(self._requests), dict(self._seconds)
            times = {verb: list(counts) for verb, counts in self._times.items()}
        lines = [
            *_family("info", "gauge", "What the agent is."),
            _line("info", 1, **self._about),
            *_family("requests_total", "counter", "Requests that were answered, by verb and outcome."),
            *(
                _line("requests_total", count, verb=verb, outcome=outcome)
                for (verb, outcome), count in sorted(requests.items())
            ),
            *_family("request_seconds", "histogram", "From request to answer."),
            *(line for verb in sorted(times) for line in _histogram(verb, times[verb], seconds[verb])),
        ]
        for name, (about, value) in gauges.items():
            if value is not None:
                kind = "counter" if name.endswith("_total") else "gauge"
                lines += [*_family(name, kind, about), _line(name, value)]
        return "\n".join(lines) + "\n"


def _histogram(verb: str, counts: Iterable[int], seconds: float) -> Iterator[str]:
    total = 0
    for bound, count in zip([*map(str, _BOUNDS), "+Inf"], counts, strict=True):
        total += count
        yield _line("request_seconds_bucket", total, verb=verb, le=bound)
    yield _line("request_seconds_sum", seconds, verb=verb)
    yield _line("request_seconds_count", total, verb=verb)


def _family(name: str, kind: str, about: str) -> Iterable[str]:
    return f"# HELP nova_fakes_agent_{name} {about}", f"# TYPE nova_fakes_agent_{name} {kind}"


def _line(name: str, value: float, **labels: str) -> str:
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"nova_fakes_agent_{name}{'{' + shown + '}' if shown else ''} {value:.10g}"
