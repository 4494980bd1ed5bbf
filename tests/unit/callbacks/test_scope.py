"""The scope algebra: order kept, operands untouched, nothing mutable shared."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.callbacks.roster import Roster
from otel_callbacks.callbacks.scope import Scope

HANDLERS = [object() for _ in range(5)]
RUN = UUID(int=7)

handlers = st.lists(st.sampled_from(HANDLERS), max_size=5)
tags = st.lists(st.sampled_from("abcde"), max_size=5)
metadata = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9), max_size=3)
scopes = st.builds(
    Scope.of,
    handlers,
    handlers,
    tags,
    tags,
    metadata,
    metadata,
    st.sampled_from([None, UUID(int=1), UUID(int=2)]),
)


def once(items: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))


def frozen(scope: Scope) -> tuple[Any, ...]:
    copies: dict[type, Any] = {dict: dict, Roster: tuple}
    fields = (getattr(scope, name) for name in Scope.__slots__)
    return tuple(copies[type(field)](field) if type(field) in copies else field for field in fields)


@given(scopes, scopes, handlers, tags, metadata, st.booleans())
def test_no_operation_changes_its_operand(
    scope: Scope, other: Scope, new: list[Any], labels: list[str], data: dict[str, int], inherit: bool
) -> None:
    before, other_before = frozen(scope), frozen(other)
    scope.add_handlers(new, inherit=inherit).remove_handler(HANDLERS[0]).set_handlers(new, inherit=inherit)
    scope.add_tags(labels, inherit=inherit).remove_tags(labels)
    scope.add_metadata(data, inherit=inherit).remove_metadata(data)
    scope.child(RUN, "t").merge(other).merge(scope)
    scope.configure(new, labels, labels, data, data)
    assert (frozen(scope), frozen(other)) == (before, other_before)


@given(scopes, handlers, st.booleans())
def test_added_handlers_come_last_in_order_and_once(scope: Scope, new: list[Any], inherit: bool) -> None:
    added = scope.add_handlers(new, inherit=inherit)
    assert tuple(added.handlers) == once((*scope.handlers, *new))
    expected = once((*scope.inheritable_handlers, *new)) if inherit else tuple(scope.inheritable_handlers)
    assert tuple(added.inheritable_handlers) == expected


@given(scopes, st.sampled_from(HANDLERS))
def test_a_removed_handler_is_gone_at_both_levels_and_the_rest_keep_their_order(
    scope: Scope, handler: Any
) -> None:
    left = scope.remove_handler(handler)
    assert tuple(left.handlers) == tuple(h for h in scope.handlers if h is not handler)
    assert tuple(left.inheritable_handlers) == tuple(
        h for h in scope.inheritable_handlers if h is not handler
    )


@given(scopes, handlers, st.booleans())
def test_setting_handlers_forgets_those_before(scope: Scope, new: list[Any], inherit: bool) -> None:
    replaced = scope.set_handlers(new, inherit=inherit)
    assert tuple(replaced.handlers) == once(new)
    assert tuple(replaced.inheritable_handlers) == (once(new) if inherit else ())


@given(scopes, scopes)
def test_merge_is_the_ordered_union_ours_first(one: Scope, two: Scope) -> None:
    merged = one.merge(two)
    assert tuple(merged.handlers) == once((*one.handlers, *two.handlers))
    assert tuple(merged.inheritable_handlers) == once((*one.inheritable_handlers, *two.inheritable_handlers))
    assert merged.tags == once(one.tags + two.tags)
    assert merged.inheritable_tags == once(one.inheritable_tags + two.inheritable_tags)
    assert merged.metadata == {**one.metadata, **two.metadata}
    assert merged.inheritable_metadata == {**one.inheritable_metadata, **two.inheritable_metadata}
    assert merged.parent_run_id == (one.parent_run_id or two.parent_run_id)


@given(scopes, scopes, scopes)
def test_merge_is_associative(one: Scope, two: Scope, three: Scope) -> None:
    assert frozen(one.merge(two).merge(three)) == frozen(one.merge(two.merge(three)))


@given(scopes)
def test_a_child_has_what_is_inheritable_and_nothing_else(scope: Scope) -> None:
    child = scope.child(RUN)
    assert child.handlers is child.inheritable_handlers is scope.inheritable_handlers
    assert child.tags == child.inheritable_tags == scope.inheritable_tags
    assert child.metadata == child.inheritable_metadata == scope.inheritable_metadata
    assert child.parent_run_id == RUN


@given(scopes)
def test_a_childs_own_tag_stops_there(scope: Scope) -> None:
    child = scope.child(RUN, "own")
    assert child.tags == (*scope.inheritable_tags, "own")
    assert child.child(RUN).tags == scope.inheritable_tags


@given(scopes, handlers, tags, tags, metadata, metadata)
def test_configuring_is_adding_the_inheritable_and_then_the_local(
    scope: Scope,
    local: list[Any],
    handed_tags: list[str],
    local_tags: list[str],
    handed: dict[str, int],
    own: dict[str, int],
) -> None:
    step_by_step = (
        scope.add_handlers(local, inherit=False)
        .add_tags(handed_tags, inherit=True)
        .add_tags(local_tags, inherit=False)
        .add_metadata(handed, inherit=True)
        .add_metadata(own, inherit=False)
    )
    at_once = scope.configure(local, handed_tags, local_tags, handed, own)
    assert frozen(at_once) == frozen(step_by_step)


def test_a_tag_that_is_added_again_moves_to_the_end_of_both_rows() -> None:
    scope = Scope.of(tags="abc", inheritable_tags="ab").add_tags(["a"], inherit=True)
    assert (scope.tags, scope.inheritable_tags) == (("b", "c", "a"), ("b", "a"))


def test_a_tag_that_is_added_locally_is_not_handed_on_any_more() -> None:
    scope = Scope.of(tags="ab", inheritable_tags="ab").add_tags(["a"], inherit=False)
    assert (scope.tags, scope.inheritable_tags) == (("b", "a"), ("b",))


def test_removing_a_tag_that_is_there_twice_removes_one() -> None:
    assert Scope.of(tags=["a", "b", "a"]).remove_tags(["a", "z"]).tags == ("b", "a")


def test_versions_of_langchains_packages_are_merged_one_level_deeper() -> None:
    first = {"lc_versions": {"core": "1"}, "k": {"old": 1}}
    scope = Scope.of(metadata=first).add_metadata(
        {"lc_versions": {"openai": "2"}, "k": {"new": 2}}, inherit=True
    )
    assert scope.metadata == {"lc_versions": {"core": "1", "openai": "2"}, "k": {"new": 2}}
    assert scope.inheritable_metadata == {"lc_versions": {"openai": "2"}, "k": {"new": 2}}
    assert first == {"lc_versions": {"core": "1"}, "k": {"old": 1}}


def test_a_scope_is_made_of_copies() -> None:
    given_handlers, given_tags, given_metadata = [HANDLERS[0]], ["a"], {"k": 1}
    scope = Scope.of(given_handlers, given_handlers, given_tags, given_tags, given_metadata, given_metadata)
    given_handlers.clear()
    given_tags.clear()
    given_metadata.clear()
    assert tuple(scope.handlers) == tuple(scope.inheritable_handlers) == (HANDLERS[0],)
    assert scope.tags == scope.inheritable_tags == ("a",)
    assert scope.metadata == scope.inheritable_metadata == {"k": 1}


def test_a_childs_own_tag_that_is_inherited_already_is_its_own_from_there() -> None:
    child = Scope.of(inheritable_tags=["a", "t"]).child(RUN, "t")
    assert (child.tags, child.inheritable_tags) == (("a", "t"), ("a",))


@pytest.mark.parametrize("operation", ["adding", "without"])
def test_a_roster_that_does_not_change_stays_itself_and_keeps_what_it_remembers(operation: str) -> None:
    roster = Roster(HANDLERS[:2])
    same = roster.adding(HANDLERS[:1]) if operation == "adding" else roster.without(HANDLERS[4])
    assert same is roster
