"""Connections whose every step ends in time: names, connecting, a proxy's tunnel, TLS, sending and receiving share a deadline.

Rules for this file: no step waits but by what is left. Nothing of the environment is consulted. What fails leaves no open socket.
"""

from __future__ import annotations

import io
import ipaddress
import select
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.client import HTTPResponse
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_ANSWER_BYTES: Final = 131_072
"""Of one answer, its head and its body; what is longer is not read."""
_SUCCESS: Final = range(200, 300)


class Deadline:
    """A time that a whole exchange must be over by."""

    def __init__(self, timeout_s: float) -> None:
        self._end_s = monotonic() + timeout_s

    def left_s(self) -> float:
        """Return how much is left, above 0. Raises: TimeoutError: nothing is."""
        left_s = self._end_s - monotonic()
        # Not "left_s <= 0": a timeout that is no number is over too.
        if not left_s > 0:
            raise TimeoutError
        return left_s


class TooLongError(Exception):
    """An answer goes on and on."""


class ProxyError(Exception):
    """A proxy has refused the way to the collector."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where to go first."""

    host: str
    port: int
    authorization: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a collector."""

    host: str
    port: int
    netloc: str
    context: Callable[[], ssl.SSLContext] | None
    """For TLS; asked at each connection."""
    proxy: Proxy | None


class Line:
    """A connection. Everything that it does obeys `deadline`, which `begin` sets."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self.begin(deadline)

    def begin(self, deadline: Deadline) -> None:
        """Set out for a new exchange."""
        self._deadline = deadline
        self._left_bytes = _MAX_ANSWER_BYTES

    @property
    def heard(self) -> bool:
        """Whether anything has come since the exchange began."""
        return self._left_bytes < _MAX_ANSWER_BYTES

    def send_all(self, data: bytes) -> None:
        """Send *data*. Raises: OSError."""
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._deadline.left_s())
            view = view[self._socket.send(view) :]

    def receive_into(self, buffer: memoryview) -> int:
        """Receive something; 0 at the end. Raises: OSError, TooLongError."""
        if not self._left_bytes:
            raise TooLongError
        self._socket.settimeout(self._deadline.left_s())
        count = self._socket.recv_into(buffer[: self._left_bytes])
        self._left_bytes -= count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a reader of one answer, as HTTPResponse asks for it. To close it leaves the connection open."""
        return io.BufferedReader(_Reader(self))

    def response(self, method: str) -> HTTPResponse:
        """Read the head of an answer. Raises: OSError, HTTPException, TooLongError."""
        response = HTTPResponse(cast("Any", self), method=method)
        response.begin()
        return response

    @property
    def is_stale(self) -> bool:
        """Whether the other side has closed: between two exchanges, that is all that can be heard from it."""
        try:
            return _readable(self._socket)
        except (OSError, ValueError):
            return True

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on in TLS. Raises: OSError."""
        secured = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = secured
        secured.settimeout(self._deadline.left_s())
        secured.do_handshake()

    def close(self) -> None:
        """Close our end. A process that shares the connection keeps its own."""
        self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.receive_into(memoryview(buffer))


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):  # select() knows no descriptor above 1023
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def connect(route: Route, deadline: Deadline) -> Line:
    """Return a connection to a collector, behind its proxy and in TLS if the route says so.

    Raises: OSError, HTTPException, TooLongError, ProxyError.
    """
    proxy = route.proxy
    first = (proxy.host, proxy.port) if proxy else (route.host, route.port)
    line = Line(_dial(*first, deadline), deadline)
    try:
        if route.context:
            if proxy:
                _tunnel(line, route, proxy)
            line.secure(route.context(), route.host)
    except BaseException:
        line.close()
        raise
    return line


def _tunnel(line: Line, route: Route, proxy: Proxy) -> None:
    lines = [f"CONNECT {route.netloc} HTTP/1.1", f"Host: {route.netloc}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    line.send_all("\r\n".join([*lines, "\r\n"]).encode("ascii"))
    # What would be read too far is nothing: in TLS, the client speaks first.
    response = line.response("CONNECT")
    response.close()
    if response.status not in _SUCCESS:
        raise ProxyError(response.status)


def _dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; each of several has its share of the time."""
    failure: OSError | None = None
    addresses = _resolve(host, port, deadline)
    for index, (family, kind, protocol, _, where) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left_s() / (len(addresses) - index))
            sock.connect(where)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure or OSError


def _resolve(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Look up a name, on a thread of its own: a resolver obeys nobody's deadline."""

    def look_up() -> list[Any]:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    def work() -> None:
        try:
            found.put(look_up())
        except Exception as error:  # noqa: BLE001  (raised where it is waited for)
            found.put(error)

    if _needs_no_resolver(host):
        return look_up()
    found: SimpleQueue[list[Any] | Exception] = SimpleQueue()
    try:
        threading.Thread(target=work, name="otel-callbacks-resolver", daemon=True).start()
    except RuntimeError:  # the interpreter is ending: no thread can be started any more
        return look_up()
    try:
        result = found.get(timeout=deadline.left_s())
    except Empty:
        raise TimeoutError from None
    if isinstance(result, Exception):
        raise result
    return result


def _needs_no_resolver(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    return True
