"""What a process does with a spool, in the tests of test_spool.py: `python spooling.py what folder ...`.

Every item that was put in is said on standard output after `put` has returned; every item that is settled, before.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from otel_callbacks.export.items import Origin
from otel_callbacks.export.spool.store import SpoolStore

ORIGIN = Origin(b"resource", b"scope")


def opened(folder: str) -> SpoolStore:
    return SpoolStore(directory=folder, signal="traces", destination="here")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # at once: nobody flushes what is killed


def put(store: SpoolStore, who: str, count: int) -> None:
    for number in range(count):
        item = f"{who}-{number}"
        store.put(ORIGIN, [item.encode() + b"." * (number * 37 % 5000)])
        say("put", item)


def putting(folder: str, who: str, count: str) -> None:
    """Put in; the process ends without a word."""
    put(opened(folder), who, int(count))
    os._exit(0)


def putting_for_ever(folder: str, who: str) -> None:
    """Put in until somebody kills the process."""
    store = opened(folder)
    threads = [threading.Thread(target=put, args=(store, f"{who}{number}", 1 << 30)) for number in range(3)]
    for thread in threads:
        thread.start()
    while True:
        store.tend()
        time.sleep(0.01)


def draining(folder: str, wanted: str) -> None:
    """Adopt and settle, *wanted* items at a time, until standard input ends."""
    store = opened(folder)
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    say("ready")
    while not stop.is_set():
        store._adopt_at_s = 0
        store.tend()
        while entries := store.take(int(wanted), 1 << 20):
            for entry in entries:
                say("got", entry.item.decode().rstrip("."))
            store.settle(entries)
        time.sleep(0.01)
    counts = store.counts()
    assert counts.adopted == counts.settled
    store.close()


def forking(folder: str) -> None:
    """Put in before and after a fork, in both; the parent dies first, the child keeps no lock of it."""
    store = opened(folder)
    put(store, "parent", 3)
    store.tend()  # a file that is ready for later is inherited too
    reading, writing = os.pipe()
    if os.fork() == 0:
        store.after_fork()
        assert store.counts().accepted == 0
        put(store, "child", 3)
        os.write(writing, b"x")
        sys.stdin.read()  # lives on, and holds nothing of the parent's
        os._exit(0)
    os.read(reading, 1)
    put(store, "later", 1)
    other = opened(folder)
    other.tend()
    say("adopted", other.counts().adopted)
    os._exit(0)


if __name__ == "__main__":
    {each.__name__: each for each in (putting, putting_for_ever, draining, forking)}[sys.argv[1]](
        *sys.argv[2:]
    )
