"""Redactors: what must not leave the process, taken out of every string on its way to a span.

Rules for this file: linear time only (no nested or unbounded quantifiers before a literal); a redactor that raises or
returns something else than a string costs the text, never lets it pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

Redactor: TypeAlias = Callable[[str], str]
"""Takes one string, returns it without what must not leave the process."""

WITHHELD: Final = "[withheld: redactor failed]"
MASK: Final = "[redacted]"

# Shapes that are secrets wherever they stand. Error messages of model clients quote keys, headers and URLs.
_SECRETS: Final = re.compile(
    r"""
      \b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,200}          # OpenAI, Anthropic and look-alikes
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                # AWS access keys
    | \bgh[pousr]_[A-Za-z0-9]{20,255}              # GitHub
    | \bxox[abprs]-[A-Za-z0-9-]{10,200}            # Slack
    | \bAIza[A-Za-z0-9_-]{30,60}                   # Google
    | \bhf_[A-Za-z0-9]{20,100}                     # Hugging Face
    | \beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{0,2000}  # JSON web tokens
    | (?i:\bbearer\s{1,4})[A-Za-z0-9._~+/=-]{8,4000}
    | (?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)  # user:password in a URL
    """,
    re.VERBOSE,
)
# Substrings without which no pattern above can match: most strings cost nine C searches and no regular expression.
_HINTS: Final = ("k-", "AKIA", "ASIA", "gh", "xox", "AIza", "hf_", "eyJ", "earer", "EARER", "://")


def secrets(text: str) -> str:
    """Replace well-known shapes of keys and tokens by ``[redacted]``."""
    for hint in _HINTS:
        if hint in text:
            return _SECRETS.sub(MASK, text)
    return text


def redact(text: str, redactors: Sequence[Redactor]) -> str:
    """Return *text* after every redactor, in order; ``WITHHELD`` if one of them fails."""
    for redactor in redactors:
        try:
            text = redactor(text)
        except Exception:  # noqa: BLE001 - fail closed: the text is dropped, the run goes on
            return WITHHELD
        if type(text) is not str:
            return WITHHELD
    return text
