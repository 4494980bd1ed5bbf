"""Foreign values on their way to plain structures: every text redacted, then cut; what a name says is secret, masked.

Rules for this file: as `values` has it, nothing foreign is run. Objects are read by the fields that their class declares
(pydantic's, dataclasses'), never printed.
"""
# The types of what is read here are unknown by nature.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel_callbacks.core import digest, values
from otel_callbacks.core.reading import pairs, sequence
from otel_callbacks.core.redact import MASK, Redactor, bounded, names_a_secret, redact, secrets

_DECLARED: Final = ("__pydantic_fields__", "__dataclass_fields__", "__attrs_attrs__")
_PAIR: Final = 2
_NAMES: Final = frozenset({"name", "key", "header", "field"})
_LONG_NUMBER: Final = 10**11  # the shortest that is a card's, a telephone's, an account's
_KEPT: Final = (bool, type(None))  # is a password set: no secret


class Masking(values.Walk):
    """Reads a value of metadata: no objects, and nothing of what a name says is secret."""

    __slots__ = ()

    def text(self, value: str) -> str:
        """Return a text without secrets, cut."""
        return super().text(secrets(value) if len(value) <= self._left else value)

    def key(self, text: str) -> str:
        """Return a dict's key without secrets."""
        return secrets(text)

    def item(self, key: str, value: Any, depth: int) -> Any:
        """Return the value under *key*, masked where the key says that it is a secret."""
        if names_a_secret(key) and type(value) not in _KEPT:
            return MASK
        return self.plain(value, depth)

    def _list(self, items: Iterable[Any], length: int, depth: int) -> list[Any]:
        """Return a list; in a pair, and in a row of arguments, what stands behind a secret's name is masked."""
        found = super()._list(items, length, depth)
        for at, name in enumerate(found[:-1]):
            if type(name) is str and (length == _PAIR or name[:1] == "-") and names_a_secret(name):
                value = found[at + 1]
                if type(value) not in _KEPT and (
                    name[:1] == "-" or type(value) is not str or not value.isalpha()
                ):
                    found[at + 1] = MASK
        return found

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        """Return a dict; one that is a name and a value is masked as if the value stood under the name."""
        found = super()._dict(value, depth)
        for key in found:
            if key.lower() == "value" and found[key] is not None:
                names = [found[other] for other in found if other.lower() in _NAMES]
                if any(type(name) is str and names_a_secret(name) for name in names):
                    found[key] = MASK
        return found


class Scrub(Masking):
    """Reads the values of one callback, until its budget of characters is spent."""

    __slots__ = ("_digestible_bytes", "_redactors", "_string", "cut")

    def __init__(self, budget: int, string: int, redactors: Sequence[Redactor]) -> None:
        """Begin with *budget* characters in all; one text may have *string* of them."""
        super().__init__(budget)
        self._string = string
        self._redactors = redactors
        self._digestible_bytes = digest.MAX_BYTES
        self.cut = False  # whether anything was left out or shortened

    @property
    def spent(self) -> bool:
        """Tell that nothing more is read."""
        return self._left <= 0

    def may_digest(self, size_bytes: int) -> bool:
        """Tell whether there is time for the digest of so many bytes more, and take it."""
        if not 0 < size_bytes <= self._digestible_bytes:
            return False
        self._digestible_bytes -= size_bytes
        return True

    def say(self, text: str) -> str:
        """Return *text* as it may be said, and count it."""
        found = self.text(text)
        self._left -= len(found)
        return found

    def text(self, value: str) -> str:
        """Return a text redacted and cut, the cut marked."""
        found, left_out = bounded(value, max(0, min(self._string, self._left)), self._redactors)
        if left_out:
            self.cut = True
            found += values.CUT.format(left_out)
        return values.clean(found, len(found))

    def key(self, text: str) -> str:
        """Return a dict's key redacted: data is kept by token or by e-mail address."""
        return redact(secrets(text), self._redactors)

    def name(self, value: object, limit: int) -> str | None:
        """Return a name, an id or another short text that the application made, redacted; None if it is none."""
        text = values.short(value, limit)
        return text and self.key(text)

    def plain(self, value: Any, depth: int) -> Any:
        """Return *value* as what ``json`` writes; a number that a redactor knows, such as a card's, is a text to it."""
        found = super().plain(value, depth)
        if type(found) is int and self._redactors and found >= _LONG_NUMBER:
            text = redact(str(found), self._redactors)
            return found if text == str(found) else text
        return found

    def stranger(self, value: Any, depth: int) -> Any:
        """Return the declared fields of an object; of one that declares none, its class."""
        kind = type(value)
        for declaration in _DECLARED:
            declared = of_class(kind, declaration)
            names: list[Any]
            if issubclass(type(declared), dict):
                names = [
                    name for name, declaring in pairs(declared, values.MAX_ITEMS) if _is_shown(declaring)
                ]
            else:
                names = [getattr(item, "name", None) for item in sequence(declared) if _is_shown(item)]
            if names and depth > 0:
                return self._fields(value, [name for name in names if type(name) is str], depth)
        return values.type_name(value)

    def _fields(self, value: Any, names: list[str], depth: int) -> Any:
        if id(value) in self._inside:
            return "<cycle>"
        self._inside.add(id(value))
        try:
            held = _held(value)
            return {
                self.key(name): self.item(name, held[name], depth - 1)
                for name in names
                if name in held and self._left > 0
            }
        finally:
            self._inside.discard(id(value))

    def parsed(self, text: str) -> Any:
        """Return the object or list that *text* is the JSON of, as it may be said; else the text."""
        if len(text) <= self._string and text[:1] in {"{", "["}:
            try:
                found = json.loads(text)
            except (ValueError, RecursionError):
                return self.say(text)
            return self.plain(found, values.MAX_DEPTH)
        return self.say(text)

    def whole(self, value: Any) -> Any:
        """Return any value as it may be said; JSON text as what it means."""
        text = values.string(value)
        return self.plain(value, values.MAX_DEPTH) if text is None else self.parsed(text)


def _is_shown(declaring: object) -> bool:
    """Tell a field that its class shows: ``repr=False`` and pydantic's ``exclude=True`` say that it is not for others' eyes."""
    return getattr(declaring, "repr", True) is not False and getattr(declaring, "exclude", None) is not True


def of_class(kind: type, name: str) -> Any:
    """Return an attribute of a class, without asking its metaclass."""
    for base in type.__getattribute__(kind, "__mro__"):
        found = type.__getattribute__(base, "__dict__").get(name)
        if found is not None:
            return found
    return None


def _held(value: Any) -> dict[str, Any]:
    """Return what an instance holds in its dict and its slots, without running its code."""
    held: dict[str, Any] = {}
    for base in type.__getattribute__(type(value), "__mro__"):
        for name, member in pairs(dict(type.__getattribute__(base, "__dict__"))):
            if type(member) is _MEMBER:
                slot: Any = member
                try:
                    held[name] = slot.__get__(value)
                except AttributeError:
                    continue
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:  # it has slots alone
        return held
    return {**held, **found} if type(found) is dict else held


class _Slotted:
    __slots__ = ("member",)


_MEMBER: Final[type] = type(vars(_Slotted)["member"])
