"""Where things are sent: endpoints and proxies, from the text of a setting to host, port and path.

Rules for this file: pure. What is wrong raises a ConfigurationError, whose message never holds the address: it may hold a key.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote

from otel_callbacks.errors import ConfigurationError
from otel_callbacks.parsing import split_url

if TYPE_CHECKING:
    from otel_callbacks.settings import Settings, Signal

_DEFAULT_ENDPOINTS: Final = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
_DEFAULT_PORTS: Final = {True: 443, False: 80}
# Characters of a path or a query that stay as they are: RFC 3986, section 2.2, and "%", so that nothing is quoted twice.
_AS_THEY_ARE: Final = "%/:=&?~+!$,;'@()*[]"
_SHORTEST_SECRET: Final = 4  # characters; masking shorter ones would blank out whole lines and hide nothing


def endpoint_of(settings: Settings, signal: Signal = "traces") -> str:
    """Return the address that a signal is sent to, by the specification's rules for the two variables."""
    general = settings.endpoint or _DEFAULT_ENDPOINTS[settings.protocol]
    if settings.protocol == "grpc":
        return settings.own_endpoint or general
    address = settings.own_endpoint or _with_path(general, f"/v1/{signal}")
    return address if "://" in address else f"http://{address}"


def _with_path(endpoint: str, path: str) -> str:
    # The query stays behind the path: some backends take their key there.
    base, mark, query = endpoint.partition("#")[0].partition("?")
    base = base.rstrip("/")
    return (base if base.endswith(path) else base + path) + mark + query


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts."""

    scheme: str
    """Empty if there was none."""
    host: str
    """In ASCII, without brackets."""
    port: int | None
    """None if there was none."""
    target: str = field(repr=False)
    """Path and query, as HTTP asks for them."""
    userinfo: str | None = field(repr=False)
    """``user:password``, decoded; None if there was none."""

    @property
    def is_loopback(self) -> bool:
        """Return whether it is this machine itself."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    @property
    def netloc(self) -> str:
        """Return host and port, with brackets round an IPv6 address; the port only if there was one."""
        return self.bracketed if self.port is None else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """Return the host, an IPv6 address in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def port_for(self, *, secure: bool) -> int:
        """Return the port, or the scheme's own."""
        return self.port or _DEFAULT_PORTS[secure]

    @property
    def basic(self) -> str | None:
        """Return the value of an Authorization header for the userinfo."""
        if self.userinfo is None:
            return None
        return f"Basic {b64encode(self.userinfo.encode()).decode()}"


def address_of(text: str, name: str) -> Address:
    """Return the parts of an address. Raises: ConfigurationError: the setting *name* cannot be used."""
    try:
        url = split_url(text)
        host = _ascii(url.hostname or "")
        port = url.port
    except ValueError:
        raise ConfigurationError(f"The host or the port in {name} is not allowed.") from None
    userinfo, at, _ = url.netloc.rpartition("@")
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    user, colon, password = userinfo.partition(":")
    return Address(
        scheme=url.scheme,
        host=host,
        port=port,
        target=quote(target, safe=_AS_THEY_ARE),
        userinfo=f"{unquote(user)}{colon or ':'}{unquote(password)}" if at else None,
    )


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")


def secrets_of(address: Address) -> set[str]:
    """Return what of an address must not be shown, in every form in which it may come back."""
    user, _, password = (address.userinfo or ":").partition(":")
    query = address.target.partition("?")[2]
    found = {user, password, address.userinfo or "", (address.basic or "").removeprefix("Basic "), query}
    found |= {value for _, value in parse_qsl(query)}
    return in_every_form(found)


def in_every_form(secrets: Iterable[str]) -> set[str]:
    """Return *secrets* as they are and percent-encoded, but for those too short to be masked."""
    found = {form for text in secrets for form in (text, quote(text, safe=""))}
    return {text for text in found if len(text) >= _SHORTEST_SECRET}
