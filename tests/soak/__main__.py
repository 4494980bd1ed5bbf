"""``python -m tests.soak [RUNS]``: a million runs by default, a line for each sample, and what they leave behind."""

from __future__ import annotations

import sys
from operator import attrgetter

from tests.soak.soak import Sample, soak

_SAMPLES = 45
_RECENT = 4_096  # what the package itself has
_MEGABYTE = 1_000_000


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _line(sample: Sample) -> None:
    _say(
        f"{sample.runs:>9,} runs  {sample.traced_bytes / _MEGABYTE:7.3f} MB traced  {sample.rss_bytes / _MEGABYTE:7.1f} MB RSS"
        f"  {sample.files} files  {sample.threads} threads  {sample.objects} objects"
    )


def main() -> None:
    """Run it."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    soaked = soak(runs, samples=_SAMPLES, recent=_RECENT, said=_line)
    _say(f"spans started {soaked.started:,}, ended {soaked.ended.total():,}, open {soaked.open_runs}")
    for end, count in sorted(soaked.ended.items(), key=str):
        _say(f"  {end}: {count:,}, planned {soaked.planned[end]:,}")
    for name in ("traced_bytes", "rss_bytes", "files", "threads", "objects"):
        _say(f"growth of {name}: {soaked.growth(attrgetter(name)):,}")
    _say(f"faults: {soaked.faults or 'none'}")


if __name__ == "__main__":
    main()
