"""Reads the code in this folder as its users' type checkers would, and compares what they say with what the code says of it.

``python -m tests.typing.check``, part of ``make types``. A line that ends in ``# E: mypy pyright`` is one that these two have to
find fault with; every other line they must not. They look twice: as on a machine where LangChain is installed, and as on
one where nothing is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
BARE = Path(sys.base_prefix, "bin", "python3")
OURS = [HERE / "handlers_good.py", HERE / "handlers_bad.py"]
SITUATIONS = [
    ("with LangChain", Path(sys.executable), [*OURS, HERE / "handlers_in_langchain.py"]),
    ("without", BARE, OURS),
]

Complaint = tuple[str, str, int]
"""Who complains, about which file, which line."""


def expected(files: Sequence[Path]) -> Iterator[Complaint]:
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if marked := re.search(r"# E: ([a-z ]+)", line):
                for checker in marked[1].split():
                    yield checker, file.name, number


def said_by_mypy(python: Path, files: Sequence[Path]) -> Iterator[Complaint]:
    cache = HERE.parents[1] / ".mypy_cache" / ("bare" if python == BARE else "full")
    options = ["--strict", "--no-error-summary", f"--python-executable={python}", f"--cache-dir={cache}"]
    output = run("mypy", *options, "--follow-imports=silent", *map(str, files))
    for file, number in re.findall(r"^(\S+?):(\d+): error:", output, re.MULTILINE):
        yield "mypy", Path(file).name, int(number)


def said_by_pyright(python: Path, files: Sequence[Path]) -> Iterator[Complaint]:
    output = run("pyright", "--outputjson", f"--project={HERE}", f"--pythonpath={python}")
    names = {file.name for file in files}
    for complaint in json.loads(output)["generalDiagnostics"]:
        name = Path(complaint["file"]).name
        if complaint["severity"] == "error" and name in names:
            yield "pyright", name, complaint["range"]["start"]["line"] + 1


def run(module: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - the checkers of this environment
        [sys.executable, "-m", module, *arguments],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"{module} failed: {done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    wrong = 0
    for situation, python, files in SITUATIONS:
        wanted = set(expected(files))
        said = {*said_by_mypy(python, files), *said_by_pyright(python, files)}
        for verdict, lines in (("is silent", wanted - said), ("complains", said - wanted)):
            for checker, file, line in sorted(lines):
                print(f"tests/typing/{file}:{line}: {checker} {verdict}, {situation}")  # noqa: T201 - the result
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
