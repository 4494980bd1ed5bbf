"""The file handler: what it writes, when the file is open, and that pieces stay whole."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from otel_callbacks.callbacks import AgentAction, AgentFinish, CallbackManager, FileCallbackHandler


def narrate(handler: FileCallbackHandler) -> None:
    manager = CallbackManager([handler])
    chain = manager.on_chain_start({"name": "agent {x}"}, {"i": 1})
    chain.on_agent_action(AgentAction("t", "in", "thinking"))
    tool = manager.on_tool_start(None, "in")
    tool.on_tool_end("é", observation_prefix="before", llm_prefix="after", color="green")
    chain.on_text("text", end="!")
    chain.on_agent_finish(AgentFinish({}, "so"))
    chain.on_chain_end({})


TOLD = "\n\n> Entering new agent {x} chain...\nthinking\nbeforeé\naftertext!so\n\n> Finished chain.\n"


def test_a_block_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    with FileCallbackHandler(str(path)) as handler:
        narrate(handler)
        assert path.read_text("utf-8") == TOLD  # before it is closed
    assert handler.file.closed


def test_the_classic_use_closes_it_by_hand_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    handler = FileCallbackHandler(tmp_path / "runs.txt", mode="w", color="red")
    handler.on_text("red")
    handler.close()
    handler.close()
    assert (tmp_path / "runs.txt").read_text() == "\033[31;1m\033[1;3mred\033[0m"


@pytest.mark.parametrize(("mode", "left"), [("a", "before" + TOLD), ("w", TOLD)])
def test_the_mode_says_what_becomes_of_what_was_there(tmp_path: Path, mode: str, left: str) -> None:
    path = tmp_path / "runs.txt"
    path.write_text("before")
    with FileCallbackHandler(str(path), mode) as handler:
        narrate(handler)
    assert path.read_text("utf-8") == left


def test_a_file_that_cannot_be_opened_is_said_at_once_and_leaves_nothing_to_close(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    path.touch()
    with pytest.raises(FileExistsError):
        FileCallbackHandler(str(path), mode="x")
    gc.collect()  # an exception in __del__ would be a warning, and that an error


def test_a_handler_that_is_forgotten_closes_its_file(tmp_path: Path) -> None:
    handler = FileCallbackHandler(str(tmp_path / "runs.txt"))
    file = handler.file
    del handler
    gc.collect()
    assert file.closed


@pytest.mark.logs
def test_a_run_that_comes_too_late_is_told_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FileCallbackHandler(str(tmp_path / "runs.txt")) as handler:
        pass
    with pytest.raises(RuntimeError, match=r"runs\.txt is closed"):
        handler.on_text("late")
    CallbackManager([handler]).on_chain_start({"name": "c"}, {}).on_chain_end({})
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "RuntimeError in FileCallbackHandler.on_chain_start",
        "RuntimeError in FileCallbackHandler.on_chain_end",
    ]


def test_what_many_threads_report_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    with FileCallbackHandler(str(path)) as handler, ThreadPoolExecutor(8) as pool:
        texts = [f"{number:03}" * 50 for number in range(200)]
        list(pool.map(lambda text: handler.on_text(text, end="\n"), texts))
    assert sorted(path.read_text().splitlines()) == texts


def test_one_event_is_written_at_a_time(tmp_path: Path) -> None:
    """Python's text files are not safe to be written to by several threads."""

    class File:
        closed = False
        inside = most = 0

        def write(self, text: str) -> None:
            self.inside += 1
            self.most = max(self.most, self.inside)
            for _ in range(20):
                sleep(0)  # let another thread come in, if it can
            self.inside -= 1

        def flush(self) -> None:
            """Do nothing."""

    with FileCallbackHandler(tmp_path / "runs.txt") as handler, ThreadPoolExecutor(8) as pool:
        real, file = handler.file, File()
        handler.file = file  # type: ignore[assignment]  # all of a file that is used
        list(pool.map(handler.on_text, "abcdefgh" * 4))
        handler.file = real
    assert file.most == 1


def test_chains_without_a_name_have_one_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "runs.txt"
    serialized: list[Any] = [None, {}, {"id": []}]
    with FileCallbackHandler(str(path)) as handler:
        for known in serialized:
            handler.on_chain_start(known, {})
    assert path.read_text() == "\n\n> Entering new <unknown> chain...\n" * 3
