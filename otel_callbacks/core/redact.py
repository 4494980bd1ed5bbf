"""Redactors: what must not leave the process, taken out of every string on its way to a span.

Rules for this file: linear time only; a redactor that raises or returns something else than a string costs the text, never
lets it pass. Redaction comes before any cut: half of a secret is not recognised as one.
"""
# The types of attributes' values are unknown here.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any, Final, TypeAlias

from otel_callbacks.core.secret_shapes import NAMED, SECRET_NAME, SHAPES, Shape, compiled

Redactor: TypeAlias = Callable[[str], str]
"""Takes one string, returns it without what must not leave the process."""

WITHHELD: Final = "[withheld: redactor failed]"
MASK: Final = "[redacted]"
LONGEST: Final = 8_192
"""Characters of the longest secret: so many more than a text's limit are looked at, and given up, before a text is cut."""
MAX_KNOWN: Final = 4_096
_SHORT: Final = 256  # characters of a text that is remembered as clean
_NAME_LENGTH: Final = 64
_FEW: Final = 16
_NUMBERS: Final = frozenset({bool, int, float})

_clean: set[object] = set()  # short texts in which no secret was found; at most MAX_KNOWN
# Of longer ones, a digest, so that nothing that was said is kept: stacks, instructions and the history of a conversation come
# again and again. The text as a whole, not its lines: a key in PEM goes over many, each of which is harmless.
_clean_long: set[bytes] = set()
_inside: ContextVar[bool] = ContextVar("otel_callbacks_redacting", default=False)
_UPPER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def secrets(text: str) -> str:
    """Replace well-known shapes of keys, tokens and passwords by ``[redacted]``."""
    known: bytes | None = None
    if len(text) > _SHORT:
        known = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if known in _clean_long:
            return text
    elif text in _clean:
        return text
    spans = sorted(_spans(text))
    if not spans:
        if known is None:
            remember((text,))
        else:
            _remember_long(known)
        return text
    pieces: list[str] = []
    done = 0
    for begin, end in spans:
        if begin >= done:
            pieces += (text[done:begin], MASK)
        done = max(done, end)
    return "".join((*pieces, text[done:]))


def _spans(text: str, *, inner: bool = False) -> Iterator[tuple[int, int]]:
    """Return where secrets are; some may overlap. *inner*: the text was in base64 itself, and is searched no deeper."""
    low = "\n" + text.lower()
    if len(low) != len(text) + 1:  # a few letters become two
        low = "\n" + text.translate(_UPPER)
    words, escaped, by_word = _words()
    done = 0
    for found in chain(words.finditer(low), escaped.finditer(low)):
        begin = found.end() - 1  # of what the text has there: *low* has one more before it
        if begin < done and found.re is words:
            continue
        word = found[1]
        match = _first(by_word[word], text, begin) if word is not None else None
        if match is not None:
            done = match.end()
            yield match.span(match.lastindex or 0)
        elif not inner and _LONG.match(text, begin) is not None:
            coded = _CODED.match(text, begin)
            if coded is not None and _hides(coded[0]):
                done = coded.end()
                yield coded.span()
    for literal, shapes in _literals():
        begin = low.find(literal) - 1
        while begin >= 0:
            match = _first(shapes, text, begin)
            if match is not None:
                yield match.span(match.lastindex or 0)
            begin = low.find(literal, begin + 2 if match is None else max(match.end(), begin + 1) + 1) - 1


def _first(shapes: Iterable[Shape], text: str, begin: int) -> re.Match[str] | None:
    for shape in shapes:
        match = compiled(shape).match(text, begin)
        if match is not None:
            return match
    return None


def _hides(coded: str) -> bool:
    """Tell a text in base64 in which there is a secret."""
    try:
        raw = b64decode(coded[: len(coded) // 4 * 4], b"-_" if "-" in coded or "_" in coded else None)
        plain = raw.decode("ascii")
    except ValueError:
        return False
    return next(_spans(plain, inner=True), None) is not None


# After these, a letter or a digit is the end of an escape (JSON's, a URL's, a terminal's), and a word may begin.
_ESCAPES: Final = r"[\\%\[](?:(?<=\\)(?:[nrtbfv]|u[0-9a-f]{4}|x[0-9a-f]{2})|(?<=%)(?:25){0,3}[0-9a-f]{2}|(?<=\[)[0-9;]{1,12}m)"
_CODED: Final = re.compile(r"[A-Za-z0-9+/_-]{24,8192}={0,2}")
_LONG: Final = re.compile(r"[A-Za-z0-9+/_-]{24}")


@cache
def _words() -> tuple[re.Pattern[str], re.Pattern[str], dict[str, list[Shape]]]:
    """Return what finds the beginnings of words that are anchors, and those behind an escape; and the shapes by anchor.

    They begin with a set of characters: past what is not in it the expressions' engine goes many times as fast.
    """
    by_word: dict[str, list[Shape]] = {}
    for anchor, shape in _anchored():
        if _begins_a_word(anchor, shape):
            by_word.setdefault(anchor, []).append(shape)
    # The longest first; where it leads to nothing, the shapes of the shorter ones that it begins with are tried as well.
    for anchor, shapes in by_word.items():
        shapes += [
            shape
            for shorter in sorted(by_word, key=len, reverse=True)
            if anchor.startswith(shorter) and shorter != anchor
            for shape in by_word[shorter]
            if shape not in shapes
        ]
    word = f"({_trie(sorted(by_word, reverse=True))})"
    return (
        re.compile(f"[^a-z0-9](?=[a-z0-9])(?={word}|[a-z0-9+/_-]{{24}})"),
        re.compile(f"{_ESCAPES}(?={word})"),
        by_word,
    )


@cache
def _literals() -> tuple[tuple[str, tuple[Shape, ...]], ...]:
    """Return the anchors that may stand anywhere, also inside of a word, each with its shapes."""
    found: dict[str, tuple[Shape, ...]] = {}
    for anchor, shape in _anchored():
        if not _begins_a_word(anchor, shape):
            found[anchor] = (*found.get(anchor, ()), shape)
    return tuple(found.items())


def _anchored() -> Iterator[tuple[str, Shape]]:
    """Return each anchor with a shape, those of names after the others."""
    return ((anchor, shape) for shape in (*SHAPES, *NAMED.values()) for anchor in shape.anchors)


def _begins_a_word(anchor: str, shape: Shape) -> bool:
    return anchor[0].isalnum() and not shape.anywhere


def _trie(words: Sequence[str]) -> str:
    """Return an expression for *words*, in descending order, which compares each first letter once."""
    by_letter: dict[str, list[str]] = {}
    for word in words:
        by_letter.setdefault(word[:1], []).append(word[1:])
    branches = [
        re.escape(letter) + (_trie(rest) if len(rest) > 1 else re.escape(rest[0])) if letter else ""
        for letter, rest in by_letter.items()
    ]
    return f"(?:{'|'.join(branches)})" if len(branches) > 1 else branches[0]


def without_secrets(value: Any) -> Any:
    """Return an attribute's value without secrets; *value* itself if there are none."""
    if type(value) is str:
        return secrets(value)
    if type(value) is tuple and value not in _clean:
        found = tuple([secrets(item) if type(item) is str else item for item in value])
        return found if found != value else value
    return in_bytes(secrets, value) if type(value) is bytes else value


def in_bytes(change: Callable[[str], str], value: bytes) -> bytes:
    """Return *value* with what *change* makes of its text; *value* itself if that is nothing new."""
    try:
        coding, text = "utf-8", value.decode()
    except UnicodeDecodeError:
        coding, text = "latin-1", value.decode("latin-1")
    found = change(text)
    return value if found == text else found.encode(coding, "replace")


def remember(values: Iterable[object]) -> None:
    """Keep the short ones of *values*, in which there is no secret, in mind."""
    if len(_clean) >= MAX_KNOWN:
        _clean.clear()
    _clean.update(
        value
        for value in values
        if type(value) in _NUMBERS
        or (type(value) is str and len(value) <= _SHORT)
        or (type(value) is tuple and len(value) <= _FEW and len(str(value)) <= _SHORT)
    )


def _remember_long(known: bytes) -> None:
    if len(_clean_long) >= MAX_KNOWN:
        _clean_long.clear()
    _clean_long.add(known)


def are_clean(values: Iterable[object]) -> bool:
    """Tell in one step that all *values*, which are hashable, were found to hold no secret before."""
    return _clean.issuperset(values)


@lru_cache(maxsize=1_024)
def names_a_secret(name: str) -> bool:
    """Tell a field's name, such as ``db_password`` or ``apiKey``, whose value is a secret whatever it looks like."""
    return SECRET_NAME.search(name[-_NAME_LENGTH:]) is not None


def redact(text: str, redactors: Sequence[Redactor]) -> str:
    """Return *text* after every redactor, in order; ``WITHHELD`` if one of them fails.

    A redactor that runs a chain which is traced as well is not asked again for that chain's texts, without end: they are
    withheld.
    """
    if not redactors:
        return text
    if _inside.get():
        return WITHHELD
    token = _inside.set(True)
    try:
        for redactor in redactors:
            text = redactor(text)
            if type(text) is not str:
                return WITHHELD
    except Exception:  # noqa: BLE001 - fail closed: the text is dropped, the run goes on
        return WITHHELD
    finally:
        _inside.reset(token)
    return text


def bounded(text: str, limit: int, redactors: Sequence[Redactor]) -> tuple[str, int]:
    """Return at most *limit* characters of *text*, redacted before it was cut; and how many were left out, about.

    However long the text is, only so much of it is looked at. The end of that is given up as well: it may be the first half
    of a secret, which no pattern knows it by.
    """
    length = len(text)
    whole = length <= limit + LONGEST
    found = redact(secrets(text if whole else text[: limit + LONGEST]), redactors)
    keep = limit if whole else max(0, min(limit, len(found) - LONGEST))
    if len(found) <= keep:
        return found, 0
    return found[:keep], max(length, len(found)) - keep
