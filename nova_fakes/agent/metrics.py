"""What the agent counts, in the text format of Prometheus (exposition format 0.0.4)."""

import threading
from collections.abc import Iterable, Mapping

__all__ = ["Metrics"]


class Metrics:
    """Counts requests by verb and outcome, and the seconds that they took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, float] = {}

    def count(self, verb: str, outcome: str, took_s: float) -> None:
        """Count a request; `outcome` is ``done`` or the name of the error."""
        with self._lock:
            self._requests[verb, outcome] = self._requests.get((verb, outcome), 0) + 1
            self._seconds[verb] = self._seconds.get(verb, 0.0) + took_s

    def render(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return everything as text.

        :param gauges: further values by name, each with what it is
        """
        with self._lock:
            requests, seconds = dict(self._requests), dict(self._seconds)
        lines = [
            *_family("requests_total", "counter", "Requests that were answered."),
            *(
                _line("requests_total", count, verb=verb, outcome=outcome)
                for (verb, outcome), count in requests.items()
            ),
            *_family("request_seconds_total", "counter", "Seconds from request to answer."),
            *(_line("request_seconds_total", value, verb=verb) for verb, value in seconds.items()),
        ]
        for name, (about, value) in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [*_family(name, kind, about), _line(name, value)]
        return "\n".join(lines) + "\n"


def _family(name: str, kind: str, about: str) -> Iterable[str]:
    return f"# HELP nova_fakes_agent_{name} {about}", f"# TYPE nova_fakes_agent_{name} {kind}"


def _line(name: str, value: float, **labels: str) -> str:
    shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"nova_fakes_agent_{name}{'{' + shown + '}' if shown else ''} {value:.10g}"
