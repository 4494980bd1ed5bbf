"""What is called in a forked child: everybody who lives, in order, whatever the others do."""

from __future__ import annotations

import gc

import pytest

from otel_callbacks.export import children


class Anew:
    def __init__(self, said: list[str], name: str) -> None:
        self.said, self.name = said, name

    def begin(self) -> None:
        self.said.append(self.name)
        if self.name == "fails":
            raise ValueError("CANARY")


def test_who_lives_is_called_in_order_and_who_is_gone_is_forgotten(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        children, "_methods", {}
    )  # what other tests have left is not called: this is no child
    said: list[str] = []
    owners = [Anew(said, name) for name in ("first", "fails", "gone", "last")]
    for owner in owners:
        children.call_in_children(owner.begin)
    del owners[2], owner
    gc.collect()
    children._in_child()
    assert said == ["first", "fails", "last"]
    assert [line for line in caplog.messages if "begin anew" in line] == [
        "Something could not begin anew after a fork: ValueError."
    ]
    owners.clear()
    gc.collect()
    assert children._methods == {}
