"""The callback system by itself: nothing but the standard library, and little of that."""

from __future__ import annotations

import subprocess
import sys

import otel_callbacks.callbacks

BLOCKED = """
import sys

class OnlyTheStandardLibrary:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "otel_callbacks" and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, OnlyTheStandardLibrary())
import otel_callbacks.callbacks as callbacks
for name in callbacks.__all__:
    getattr(callbacks, name)
handler = type("H", (callbacks.BaseCallbackHandler,), {})()
callbacks.CallbackManager.configure([handler]).on_chain_start(None, {}).on_chain_end({})
assert "asyncio" not in sys.modules, "asyncio is for those who have something to wait for"
print("ok")
"""


def test_it_works_with_everything_but_the_standard_library_blocked() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_the_public_names_are_sorted_and_there() -> None:
    names = otel_callbacks.callbacks.__all__
    assert names == sorted(names)
    assert all(hasattr(otel_callbacks.callbacks, name) for name in names)
