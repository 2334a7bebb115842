"""A whole nova in one process with native threads, nova's own fake driver and nova's stubs of its neighbours.

What nova's functional tests start: real API, conductor, scheduler, compute and placement, SQLite in files; neutron,
glance and cinder are method stubs, so no request leaves the process. For each line with a number on standard input it
boots and deletes that many servers, one after the other (asked for concurrently, some of them stay in BUILD for ever),
and prints a JSON object: seconds of a boot, CPU seconds of one with its deletion. The client is in the same process,
and its CPU is counted. Prints an empty object first, once it is up.
"""

import json
import os
import resource
import statistics
import sys
import time
import unittest
from typing import Any

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
# The fixtures of nova's tests print the log to standard output otherwise, and end a test after a while.
os.environ |= {"OS_STDOUT_CAPTURE": "0", "OS_STDERR_CAPTURE": "0", "OS_LOG_CAPTURE": "1", "OS_TEST_TIMEOUT": "0"}

from nova import monkey_patch

monkey_patch.patch(backend="threading")

from nova.tests.functional import integrated_helpers  # noqa: E402

POLL_S = 0.05
# The tests' fixtures replace the process's own while they run.
OUTPUT = sys.stdout


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Floor(integrated_helpers._IntegratedTestBase):  # type: ignore[misc]
    ADMIN_API = True
    CAST_AS_CALL = False
    microversion = "2.90"

    def _setup_services(self) -> None:
        # nova's tests expect the file in nova's source tree; the wheel installs it elsewhere.
        self.flags(api_paste_config=os.path.join(sys.prefix, "etc", "nova", "api-paste.ini"), group="wsgi")
        super()._setup_services()

    def _setup_compute_service(self) -> Any:
        self._start_compute("compute-1")
        return self._start_compute("compute-2")

    def boot(self) -> str:
        image = "155d900f-4e14-4e4c-a73d-069cbf4541e6"
        wanted = {"name": "bench", "imageRef": image, "flavorRef": "1", "networks": "auto"}
        server_id: str = self.api.post_server({"server": wanted})["id"]
        while (found := self.api.get_server(server_id))["status"] != "ACTIVE":
            if found["status"] == "ERROR":
                raise RuntimeError(found["fault"])
            time.sleep(POLL_S)
        return server_id

    def remove(self, server_ids: list[str]) -> None:
        for server_id in server_ids:
            self.api.delete_server(server_id)
        while self.api.get_servers(detail=False):
            time.sleep(POLL_S)

    def test_boots(self) -> None:
        self.flags(instances=-1, cores=-1, ram=-1, group="quota")
        self.remove([self.boot()])
        tell({})
        for line in sys.stdin:
            tell(self.cost(int(line)))

    def cost(self, boots: int) -> dict[str, float]:
        taken = []
        before = cpu_s()
        for _ in range(boots):
            begun = time.perf_counter()
            server_id = self.boot()
            taken.append(time.perf_counter() - begun)
            self.remove([server_id])
        return {"boot_s": statistics.median(taken), "cpu_s": (cpu_s() - before) / boots}


def tell(figures: dict[str, float]) -> None:
    print(json.dumps(figures), file=OUTPUT, flush=True)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(Floor("test_boots"))
    os._exit(0 if result.wasSuccessful() else 1)
