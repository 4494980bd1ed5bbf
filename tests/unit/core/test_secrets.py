"""Secrets are known by their shapes and by their names, in linear time, and nothing else is taken for one."""

from __future__ import annotations

import re
from base64 import b64encode
from re import _constants as ops  # type: ignore[attr-defined] # the review of a pattern needs its parse
from re import _parser as parser  # type: ignore[attr-defined] # as above
from typing import Any

import pytest

from otel_callbacks.core import redact
from otel_callbacks.core.redact import (
    LONGEST,
    MASK,
    MAX_KNOWN,
    WITHHELD,
    bounded,
    names_a_secret,
    secrets,
    without_secrets,
)
from otel_callbacks.core.secret_shapes import NAMED, SECRET_NAME, SHAPES, Shape, compiled
from tests.planted import HARMLESS, PLANTED, Planted, in_clear

ids = [planted.name for planted in PLANTED]


def test_there_are_two_hundred_shapes() -> None:
    assert len({planted.text for planted in PLANTED}) >= 200
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("planted", PLANTED, ids=ids)
def test_a_planted_secret_is_masked(planted: Planted) -> None:
    for text in (planted.text, f"before\n{planted.text}\nafter", f"«{planted.text}»"):
        said = secrets(text)
        assert MASK in said
        assert not in_clear(said, planted), said
    if planted.name in {"putty", "pem without an end"}:  # nothing says where these end
        return
    assert "after" in secrets(f"before\n{planted.text}\nafter and much more that is no secret, to the end")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert secrets(text) == text
    assert secrets(f"Look: {text} (that)") == f"Look: {text} (that)"


def test_what_is_masked_is_masked_once() -> None:
    for planted in PLANTED:
        said = secrets(planted.text)
        assert secrets(said).count(MASK) >= said.count(MASK)
        assert not in_clear(secrets(said), planted)


def test_json_stays_json_and_a_url_stays_one() -> None:
    assert secrets('{"password": "a\\"b c", "n": 1}') == f'{{"password": "{MASK}", "n": 1}}'
    assert secrets("https://u:p@host/x?sig=abcdef&y=1") == f"https://{MASK}@host/x?sig={MASK}&y=1"


def test_texts_in_base64_are_looked_into_once_and_other_data_stays() -> None:
    coded = b64encode(b64encode(b"password=hunter2aB3dE5fG7hJ9kL2mN4").decode().encode()).decode()
    assert secrets(coded) == coded
    assert secrets(f"x {b64encode(b'password=hunter2aB3dE5fG7hJ9').decode()} y") == f"x {MASK} y"
    assert secrets("u " + "-_" * 20 + " " + "A" * 41) == "u " + "-_" * 20 + " " + "A" * 41


def test_letters_that_become_two_in_lower_case_move_nothing() -> None:
    assert secrets("İİİ sk-abcdefghijkl İ PASSWORD=hunter2") == f"İİİ {MASK} İ PASSWORD={MASK}"


def test_two_shapes_that_overlap_are_one_mask() -> None:
    assert secrets("password=sk-abcdefghijkl") == f"password={MASK}"


def test_texts_that_are_known_to_be_clean_are_few_and_short() -> None:
    redact._clean.clear()
    for number in range(MAX_KNOWN + 10):
        secrets(f"text {number}")
    secrets("x" * 10_000)
    assert len(redact._clean) <= MAX_KNOWN
    assert all(len(str(known)) <= 256 for known in redact._clean)
    assert secrets("sk-abcdefghijkl") == MASK
    assert "sk-abcdefghijkl" not in redact._clean


def test_of_long_texts_that_are_known_to_be_clean_a_digest_is_kept_and_of_few() -> None:
    redact._clean_long.clear()
    for number in range(MAX_KNOWN + 10):
        secrets(f"text {number} " + "la " * 100)
    assert 10 <= len(redact._clean_long) <= MAX_KNOWN
    assert {len(known) for known in redact._clean_long} == {16}


def test_a_long_text_that_is_known_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "nothing to hide " * 100 + "\ud800"
    assert secrets(text) is text
    monkeypatch.setattr(redact, "_spans", None)
    assert secrets(text) is text
    with pytest.raises(TypeError):
        secrets(text + "!")


FRAME = '  File "/srv/app/agents/chains.py", line {}, in Runner.invoke.<locals>.step'


@pytest.mark.parametrize("planted", PLANTED, ids=ids)
def test_lines_that_were_clean_each_alone_hide_no_secret_that_goes_over_several(planted: Planted) -> None:
    stack = [FRAME.format(number) for number in range(8)]
    lines = [*stack, *planted.text.split("\n"), *stack]
    whole = "\n".join(lines)
    redact._clean.clear()
    redact._clean_long.clear()
    fresh = secrets(whole)
    for count in (1, 2, len(stack), len(lines) - 1):
        for begin in range(len(lines) - count + 1):
            secrets("\n".join(lines[begin : begin + count]))
    assert secrets(whole) == fresh
    assert not in_clear(fresh, planted)


def test_an_attributes_value_keeps_its_type_and_is_the_same_object_where_nothing_is_hidden() -> None:
    clean = ("a tag", 5, "another")
    assert without_secrets(clean) is clean
    assert without_secrets(("a", "sk-abcdefghijkl")) == ("a", MASK)
    assert without_secrets("sk-abcdefghijkl") == MASK
    assert without_secrets(5) == 5
    redact.remember([clean, "x" * 300, 5, object])
    assert redact.are_clean([clean, 5])
    assert not redact.are_clean(["x" * 300])
    assert without_secrets(clean) is clean


@pytest.mark.parametrize(
    "name",
    ["password", "Password", "db_password", "userPassword", "PASSWD", "pwd", "api_key", "apiKey", "x-api-key", "API-KEY", "client_secret",
     "secret", "token", "access_token", "authToken", "aws_secret_access_key", "private_key", "credentials", "connection_string", "otp", "pin"],
)  # fmt: skip
def test_a_name_says_that_its_value_is_a_secret(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "name",
    ["user", "tokens", "max_tokens", "token_count", "key", "keys", "monkey", "primary_key", "keyboard", "passenger", "compass", "secretary",
     "spin", "opinion", "session_id", "thread_id", "eos_token", "next_token", "signal", "author", "query"],
)  # fmt: skip
def test_a_name_says_nothing(name: str) -> None:
    assert not names_a_secret(name)


# -- before the cut ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 20, 40, 60, 100])
@pytest.mark.parametrize("length", [200, LONGEST - 50, LONGEST + 200, 3 * LONGEST])
def test_a_secret_that_the_cut_would_halve_is_masked_whole(limit: int, length: int) -> None:
    planted = next(planted for planted in PLANTED if planted.name == "anthropic")
    for at in (0, limit // 2, max(0, limit - 8), limit + LONGEST - 50):
        text = "a " * (at // 2) + planted.text + " b" * (length // 2)
        said, left_out = bounded(text, limit, ())
        assert len(said) <= limit
        assert not in_clear(said, planted)
        assert left_out >= 0


@pytest.mark.parametrize("beyond", [1, 2, 3])
@pytest.mark.parametrize(
    "planted", [planted for planted in PLANTED if len(planted.secret) >= 15], ids=lambda planted: planted.name
)
def test_a_secret_is_masked_though_its_end_is_beyond_the_limit(planted: Planted, beyond: int) -> None:
    end = planted.text.index(planted.secret) + len(planted.secret)
    text = "a " * 200 + planted.text
    said, _ = bounded(text, 400 + end - beyond, ())
    assert not in_clear(said, planted)


def test_however_much_is_masked_the_end_of_what_was_looked_at_is_given_up() -> None:
    # A text that shrinks to its mask, so that all that was looked at would fit: its end may be half of a secret.
    text = "password='" + "x" * 4_000 + "' " + "password='" + "y" * 4_000 + "' " + "sk" + "-" + "z" * LONGEST
    said, _ = bounded(text, 500, ())
    assert "zz" not in said


def test_a_text_that_fits_is_the_same_object() -> None:
    text = "nothing to hide " * 4
    assert bounded(text, 100, ())[0] is text


# -- redactors -----------------------------------------------------------------------------------------------------------


def test_a_redactor_that_comes_back_to_itself_is_not_asked_again() -> None:
    def again(text: str) -> str:
        return redact.redact(text, [again]) + "!"

    assert redact.redact("x", [again]) == WITHHELD + "!"
    assert redact.redact("x", [str.upper]) == "X"


@pytest.mark.parametrize("redactor", [lambda text: text[99], lambda _: None, lambda _: 5])
def test_a_redactor_that_fails_costs_the_text(redactor: Any) -> None:
    assert redact.redact("text", [redactor, str.upper]) == WITHHELD
    assert redact.redact("text", [str.upper]) == "TEXT"


# -- linear time ---------------------------------------------------------------------------------------------------------


class Counting:
    """A pattern that counts how often it is tried, and how much it takes."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.tried = self.taken = 0

    def match(self, text: str, begin: int) -> re.Match[str] | None:
        self.tried += 1
        found = self.pattern.match(text, begin)
        self.taken += found.end() - begin if found is not None else 0
        return found


ADVERSARIAL = [
    "a", "a@", "1 ", "eyJ-", "eyJa.", "sk-", "password=", "token:", "key=", "://", "://a:", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "'\"\\",
    '"password": "', "\\", "Bearer ", "Basic a", "postgres://a:", "x-a-", "<secret ", "cookie: ", "M" * 30 + ".", "SG." + "a" * 16, "pass is ", "\\n", "%25", "[0", "LS0tLS1CRUdJTi", "A" * 24 + " ", "%3a%2f%2f", "$2b$", "password: >\n ",
]  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_the_work_grows_with_the_text_and_no_faster(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = {shape: Counting(compiled(shape)) for shape in (*SHAPES, *NAMED.values())}
    monkeypatch.setattr(redact, "compiled", counting.__getitem__)
    worked = []
    for length in (20_000, 40_000):
        for count in counting.values():
            count.tried = count.taken = 0
        secrets(piece * (length // len(piece)))
        worked.append((sum(c.tried for c in counting.values()), sum(c.taken for c in counting.values())))
    (tried, taken), (tried_twice, taken_twice) = worked
    assert tried_twice <= 2 * tried + 64
    assert taken_twice <= 2 * taken + 2 * LONGEST
    assert tried_twice <= 3 * 40_000


def longest_read(parsed: Any) -> int:
    """Return the most characters that a pattern can read; fail if a repetition has another one inside that varies."""
    total = 0
    for op, argument in parsed:
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            low, high, inner = argument
            assert high is not ops.MAXREPEAT, "unbounded"
            assert low == high or high <= 8 or fixed(inner), "a repetition that varies inside of one"
            total += high * longest_read(inner)
        elif op is ops.SUBPATTERN:
            total += longest_read(argument[3])
        elif op is ops.BRANCH:
            total += max(longest_read(branch) for branch in argument[1])
        elif op in (ops.ASSERT, ops.ASSERT_NOT):
            total += longest_read(argument[1])
        elif op is not ops.AT:
            total += 1
    return total


def fixed(parsed: Any) -> bool:
    """Tell an expression whose repetitions, if it has any, are of one length."""
    return bool(parsed.getwidth()[1] <= 2)


@pytest.mark.parametrize("shape", [*SHAPES, *NAMED.values()], ids=lambda shape: shape.anchors[0])
def test_a_pattern_reads_no_more_than_its_numbers_say(shape: Shape) -> None:
    assert longest_read(parser.parse(shape.pattern, re.VERBOSE)) <= 6 * LONGEST
    # It begins with an anchor, so that it is tried nowhere else; the literals of the table are in lower case.
    assert all(anchor == anchor.lower() and anchor for anchor in shape.anchors)


def test_a_fields_name_is_read_to_a_bounded_length() -> None:
    assert longest_read(parser.parse(SECRET_NAME.pattern, SECRET_NAME.flags)) < 500
    assert names_a_secret("x" * 100_000 + "_password")
