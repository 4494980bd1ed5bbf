"""A batch is as many traces, or as many siblings under its caller: never runs nested into one another."""

from __future__ import annotations

import pytest

from tests.fakes import Chat, async_lambda, sync_lambda
from tests.scene import CALLER, Scene, ids_of

MANY = 20


def _check_many(scene: Scene, parent: str | None) -> None:
    roots = scene.all_named("invoke_workflow")
    assert [scene.parent_of(root) for root in roots] == [parent] * MANY
    for step in ("one", "two"):
        assert [scene.parent_of(span) for span in scene.all_named(step)] == ["invoke_workflow"] * MANY
        assert [scene.parent_of(span) for span in scene.all_named(f"in {step}")] == [step] * MANY
    assert len({ids_of(root)[0] for root in roots}) == (MANY if parent is None else 1)


@pytest.mark.parametrize("parent", [None, CALLER])
def test_a_batch_is_as_many_traces_or_siblings_under_its_caller(scene: Scene, parent: str | None) -> None:
    chain = sync_lambda(scene.mark, "one") | sync_lambda(scene.mark, "two")
    with scene.caller() if parent else scene.alone():
        chain.batch([str(number) for number in range(MANY)], scene.config)
    _check_many(scene, parent)


@pytest.mark.parametrize("parent", [None, CALLER])
async def test_an_abatch_is_as_many_traces_or_siblings_under_its_caller(
    scene: Scene, parent: str | None
) -> None:
    chain = async_lambda(scene.mark, "one") | async_lambda(scene.mark, "two")
    with scene.caller() if parent else scene.alone():
        await chain.abatch([str(number) for number in range(MANY)], scene.config)
    _check_many(scene, parent)


@pytest.mark.parametrize("way", ["batch", "batch_as_completed"])
def test_a_batch_of_a_chat_model_is_as_many_traces(scene: Scene, way: str) -> None:
    model = Chat(mark=scene.mark)
    with scene.alone():
        list(getattr(model, way)(["x"] * MANY, scene.config))
    assert [scene.parent_of(span) for span in scene.all_named("chat")] == [None] * MANY
    assert [scene.parent_of(span) for span in scene.all_named("in model")] == ["chat"] * MANY
