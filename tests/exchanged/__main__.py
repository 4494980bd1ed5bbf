"""Runs every scenario on LangChain's own callbacks, or on ours: ``python -m tests.exchanged theirs|ours``.

Prints one JSON object: by scenario, what each handler was told and what the caller got.
"""

from __future__ import annotations

import json
import sys

if __name__ == "__main__":
    if sys.argv[1] == "ours":
        from tests.exchanged.callbacks import exchange

        exchange()
    from tests.exchanged.scenarios import play

    sys.stdout.write(json.dumps(play()))
