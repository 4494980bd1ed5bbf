"""``python -m tests.soak [RUNS]``: a million runs by default, a line for each sample, and what they leave behind."""

from __future__ import annotations

import sys

from tests.soak.soak import Sample, soak

_SAMPLES = 45
_RECENT = 4_096  # what the package itself has
_MEGABYTE = 1_000_000


def _line(sample: Sample) -> None:
    print(
        f"{sample.runs:>9,} runs  {sample.traced_bytes / _MEGABYTE:7.3f} MB traced  {sample.rss_bytes / _MEGABYTE:7.1f} MB RSS"
        f"  {sample.files} files  {sample.threads} threads  {sample.objects} objects",
        flush=True,
    )


def main() -> None:
    """Run it."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    soaked = soak(runs, samples=_SAMPLES, recent=_RECENT, said=_line)
    print(f"spans started {soaked.started:,}, ended {soaked.ended.total():,}, open {soaked.open_runs}")
    for end, count in sorted(soaked.ended.items(), key=str):
        print(f"  {end}: {count:,}, planned {soaked.planned[end]:,}")
    print(f"growth: {soaked.growth(lambda sample: sample.traced_bytes):,} bytes traced,", end=" ")
    print(f"{soaked.growth(lambda sample: sample.rss_bytes):,} bytes RSS,", end=" ")
    print(f"{soaked.growth(lambda sample: sample.files)} files, {soaked.growth(lambda sample: sample.threads)} threads,", end=" ")
    print(f"{soaked.growth(lambda sample: sample.objects)} objects; faults: {soaked.faults or 'none'}")


if __name__ == "__main__":
    main()
