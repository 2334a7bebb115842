"""Calls of a fabric that come together."""

import threading
import time


class Burst:
    """Calls that come while the fabric is busy: they queue up, and go together."""

    def __init__(self, fabric):
        self._worker = fabric._worker
        self.errors = {}

    def run(self, calls):
        go, busy = threading.Event(), threading.Event()
        holder = threading.Thread(target=lambda: self._worker.call(lambda: (busy.set(), go.wait())))
        holder.start()
        busy.wait()
        threads = [threading.Thread(target=self._call, args=item) for item in calls.items()]
        for thread in threads:
            thread.start()
        while self._worker.waiting() < len(calls):
            time.sleep(0.001)
        go.set()
        for thread in [*threads, holder]:
            thread.join()

    def _call(self, name, call):
        try:
            call()
        except Exception as error:
            self.errors[name] = error
