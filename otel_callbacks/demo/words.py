"""Words of a text, as the simulated model sees them."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+|[^\w\s]")
_ENDING = re.compile(r"(?<=\w{3})e?s$")
_COMMON = frozenset(
    _WORD.findall(
        "a an and are as at be by do does for from get give how i in is it me of on or the to use what which"
    )
)


def count_tokens(text: str) -> int:
    """Count words and punctuation marks: near enough to a tokenizer, and anyone can check it by hand."""
    return len(_WORD.findall(text))


def content_words(text: str) -> list[str]:
    """Return the words that say what *text* is about, lower-case, singular where that is easy to see."""
    words = (word for word in _WORD.findall(text.lower()) if word[0].isalnum() and word not in _COMMON)
    return [_ENDING.sub("", word) for word in words]
