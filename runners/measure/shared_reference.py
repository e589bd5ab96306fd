"""The reference computation of several threads: on all their processors at once."""

import os
import threading
from collections.abc import Sequence
from functools import partial
from hashlib import pbkdf2_hmac
from time import thread_time_ns


class SharedReference:
    """A reference on several processors at once, by threads that stay there; calling it gives the longest time.

    At once, because processors may share a core: what the threads of an inference do to each other then, they do here.
    By threads that sleep, because the calling one would wait for milliseconds where the runtime's own threads still
    spin after an inference; one that slept gets its turn at once.
    """

    def __init__(self, processors: Sequence[int]) -> None:
        self._probes = [_Probe(processor) for processor in processors]

    def __call__(self) -> int:
        for probe in self._probes:
            probe.asked.release()
        for probe in self._probes:
            probe.answered.acquire()
        return max(probe.duration_ns for probe in self._probes)


class _Probe:
    """Computes a reference of about 50 us on one processor each time it is asked.

    Its own processor time counts, because the runtime's threads may want the same processor at that moment.
    """

    def __init__(self, processor: int) -> None:
        # In C without Python's lock, so that the probes do run at once.
        self._compute = partial(pbkdf2_hmac, "sha256", b"", b"", 150)
        self._processor = processor
        self.duration_ns = 0
        self.asked, self.answered = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        os.sched_setaffinity(0, {self._processor})
        while True:
            self.asked.acquire()
            begun = thread_time_ns()
            self._compute()
            self.duration_ns = thread_time_ns() - begun
            self.answered.release()
