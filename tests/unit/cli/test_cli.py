"""The command line without its commands' work: help, version, exit codes, and what an import costs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otel_callbacks import cli
from otel_callbacks.cli.command import Command
from otel_callbacks.errors import ConfigurationError, MissingExtraError
from otel_callbacks.version import version

if TYPE_CHECKING:
    import argparse


def command(error: BaseException | None = None, code: int = 0) -> Command:
    def run(arguments: argparse.Namespace) -> int:
        if error:
            raise error
        return code

    return Command("play", "plays", "Plays.", lambda parser: None, run)


@pytest.mark.parametrize("asked", [["--help"], ["demo", "--help"]])
def test_help_is_asked_for_and_given(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(asked) == 0
    assert "demo" in capsys.readouterr().out


def test_the_version_is_the_distribution_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"otel-callbacks {version()}\n"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ([], "COMMAND"),
        (["nonsense"], "nonsense"),
        (["demo", "--nonsense"], "--nonsense"),
        (["demo", "--base-url", "http://127.0.0.1:1/v1"], "--model"),
        (["demo", "--model", "m"], "--base-url"),
    ],
)
def test_wrong_arguments_are_a_usage_error(
    wrong: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(wrong) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "error", [ConfigurationError("X=1 is not allowed"), MissingExtraError("the demo", "demo", "langgraph")]
)
def test_what_the_user_can_mend_is_one_line_without_a_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (command(error),))
    assert cli.main(["play"]) == 1
    assert capsys.readouterr().err == f"otel-callbacks: {error}\n"


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (command(ValueError("bug")),))
    with pytest.raises(ValueError, match="bug"):
        cli.main(["play"])


def test_an_interrupt_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (command(KeyboardInterrupt()),))
    assert cli.main(["play"]) == 130


def test_the_exit_code_is_the_command_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", (command(code=1),))
    assert cli.main(["play"]) == 1


def test_only_commands_that_exist_are_listed() -> None:
    assert [command.name for command in cli.COMMANDS] == ["demo", "doctor", "spool"]


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otel_callbacks", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"otel-callbacks {version()}\n"


TALKER = """
import sys
from otel_callbacks import cli
from otel_callbacks.cli.command import Command

def talk(arguments):
    sys.stdin.read()
    print("too late")
    return 0

cli.COMMANDS = (Command("talk", "talks", "Talks.", lambda parser: None, talk),)
sys.exit(cli.main(["talk"]))
"""


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    process = subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", TALKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    assert process.communicate()[1] == ""
    assert process.returncode == 1


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_help_imports_neither_langchain_nor_the_sdk(asked: str) -> None:
    script = (
        "import json, sys; from otel_callbacks.cli import main; main([sys.argv[1]]);"
        "print(); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", script, asked], capture_output=True, text=True, check=True
    )
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "otel_callbacks.cli" in imported
    heavy = (
        "langchain",
        "langgraph",
        "langsmith",
        "openai",
        "pydantic",
        "opentelemetry.sdk",
        "otel_callbacks.demo",
    )
    assert [name for name in imported if name.startswith(heavy)] == []
