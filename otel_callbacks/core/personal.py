"""Redactors of what tells of a person: e-mail addresses, card numbers, telephone numbers, bank accounts.

Rules for this file: as `redact` has it, linear time. A number is only taken for a card's or an account's if its check digits
say so.
"""

from __future__ import annotations

import re
from typing import Final

# Anchored at the sign; the local part is looked for backwards, at most the 64 characters that RFC 5321 allows.
_DOMAIN: Final = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])")
_LOCAL: Final = re.compile(r"[A-Za-z0-9._%+'-]{1,64}\Z")
_LOCAL_LENGTH: Final = 64
# 13 to 19 digits (ISO/IEC 7812) with single blanks or dashes between.
_CARD: Final = re.compile(r"(?<![0-9A-Za-z])(?<![0-9][ -])[2-6][0-9](?:[ -]?[0-9]){11,17}(?![0-9A-Za-z])")
# International, with its plus sign; or North American, in groups.
_PHONE: Final = re.compile(
    r"(?<![0-9A-Za-z+])(?:\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}|\(?[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4})(?![0-9A-Za-z])"
)
_IBAN: Final = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11,30}(?![0-9A-Za-z])")


def emails(text: str) -> str:
    """Replace e-mail addresses by ``[email]``."""
    if "@" not in text:
        return text
    pieces: list[str] = []
    done = 0
    for domain in _DOMAIN.finditer(text):
        begin = max(done, domain.start() - _LOCAL_LENGTH)
        local = _LOCAL.search(text, begin, domain.start())
        if local is not None:
            pieces += (text[done : local.start()], "[email]")
            done = domain.end()
    return "".join((*pieces, text[done:])) if pieces else text


def credit_cards(text: str) -> str:
    """Replace numbers of payment cards, whose check digit is right, by ``[credit card]``."""
    return _CARD.sub(lambda match: "[credit card]" if _luhn(match[0]) else match[0], text)


def phone_numbers(text: str) -> str:
    """Replace telephone numbers by ``[phone number]``: international ones with a plus sign, and grouped North American ones."""
    return _PHONE.sub("[phone number]", text)


def ibans(text: str) -> str:
    """Replace international bank account numbers, whose check digits are right, by ``[iban]``."""
    return _IBAN.sub(lambda match: "[iban]" if _mod_97(match[0]) else match[0], text)


def _luhn(text: str) -> bool:
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    # ISO/IEC 7812-1, annex B: every second digit doubled, its own digits added.
    return sum(sum(divmod(digit * 2, 10)) if odd % 2 else digit for odd, digit in enumerate(digits)) % 10 == 0


def _mod_97(text: str) -> bool:
    compact = text.replace(" ", "")
    # ISO 13616: the first four to the end, letters as 10 to 35; a prime's remainder.
    return int("".join(str(int(sign, 36)) for sign in compact[4:] + compact[:4])) % 97 == 1
