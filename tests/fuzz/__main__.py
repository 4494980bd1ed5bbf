"""``python -m tests.fuzz TARGET [options of libFuzzer]``: coverage-guided, by atheris, which has to be installed beside it."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Fuzz until something is found, or as long as ``-max_total_time`` says."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["otel_callbacks"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported
    known = {target.name: target for target in TARGETS}
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"python -m tests.fuzz TARGET [options]; targets: {', '.join(known)}")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], known[sys.argv[1]].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
