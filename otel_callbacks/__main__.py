"""``python -m otel_callbacks`` is ``otel-callbacks``."""

from __future__ import annotations

import sys

from otel_callbacks.cli import main

if __name__ == "__main__":
    sys.exit(main())
