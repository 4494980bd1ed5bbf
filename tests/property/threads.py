"""Threads as an application has them: each in a copy of the context that it was started in."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_threads(calls: list[tuple[Any, ...]]) -> None:
    """Run *calls*, each in a thread with a copy of the context, to the end of all; then raise the first failure."""
    if calls:
        with ThreadPoolExecutor(len(calls)) as pool:
            contexts: list[Any] = [contextvars.copy_context() for _ in calls]
            futures = [pool.submit(each.run, *call) for each, call in zip(contexts, calls, strict=True)]
        for future in futures:
            future.result()
