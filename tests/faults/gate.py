"""The collector that fails when it is told to: it stands before the real one and passes on what it does not refuse.

Rules for this file: what it says has arrived is at the real one. A fault is a function from a request to the reply, so that a
new one is three lines; none means that all is well.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collectors import OK, SERVICES, GrpcCollector, HttpCollector, Received, Reply, items_in
from tests.faults.marks import GRPC, HTTP

GUILTY_NAME: Final = "guilty"
_NEVER: Final = threading.Event()

Fault = Callable[[Received], Reply]


def status(code: int, retry_after_s: float | None = None, **headers: str) -> Fault:
    """Answer *code*."""
    reply = Reply(status=code, retry_after_s=retry_after_s, headers=headers)
    return lambda _: reply


def slow(seconds: float) -> Fault:
    """Take everything, *seconds* later."""

    def answer(_: Received) -> Reply:
        time.sleep(seconds)
        return OK

    return answer


def hold(event: threading.Event) -> Fault:
    """Say nothing before *event*, then take it."""
    return lambda _: Reply(hold=event)


def hang(_: Received) -> Reply:
    """Say nothing, ever; when the fault is over, hang up."""
    return Reply(hold=_NEVER)


def refuse_guilty(received: Received) -> Reply:
    """Answer 400 to what holds a guilty span."""
    return Reply(status=400, message="guilty") if guilty(received) else OK


def keep_partially(received: Received) -> Reply:
    """Take all but the guilty spans, and say so."""
    found = guilty(received)
    return Reply(rejected=len(found), message="guilty") if found else OK


def refuse_over(max_bytes: int) -> Fault:
    """Answer 413 to a body over *max_bytes*."""
    return lambda received: Reply(status=413) if len(received.body) > max_bytes else OK


def lose_answer(_: Received) -> Reply:
    """Take it, and hang up before the answer."""
    return Reply(close=True, keeps=True)


def guilty(received: Received) -> set[int]:
    return {_span_id(span) for span in received.items if span.name == GUILTY_NAME}


class Gate:
    """What stands before the real Collector, whose port for OTLP over HTTP is *behind* (None: the gate is all there is).

    It keeps no request, but what has become of each span.
    """

    ending: threading.Event

    def __init__(self, behind: int | None = None) -> None:
        self.fault: Fault | None = None
        self.arrivals: defaultdict[int, list[float]] = defaultdict(list)
        """When (monotonic seconds) each span, by its id, was taken."""
        self.refused: set[int] = set()
        """Guilty spans that were refused alone, or by a partial success."""
        self.errors: dict[int, Span] = {}
        """What arrived with the status of an error."""
        self.answers: Counter[str] = Counter()
        """How often each answer was given: its status, or ``hung up``."""
        self.identities: defaultdict[str, set[frozenset[int]]] = defaultdict(set)
        """Which spans were taken under each identity of a batch."""
        self.faults_met = 0
        self.in_flight = 0
        self._behind = behind
        self._counting = threading.Lock()
        super().__init__()

    def answer(
        self, signal: str, path: str, headers: Mapping[str, str], body: bytes, client: object
    ) -> Reply:
        """Decide about a request, and do what is decided."""
        if "content-encoding" not in headers and len(body) < int(headers.get("content-length", 0)):
            raise ConnectionAbortedError("who sent it is gone")
        request = SERVICES[signal].request.FromString(body)
        received = Received(signal, path, headers, body, request, items_in(signal, request), client)
        with self._counting:
            self.in_flight += 1
            fault = self.fault
            self.faults_met += fault is not None
        try:
            return self._answer(received, fault)
        finally:
            with self._counting:
                self.in_flight -= 1

    def _answer(self, received: Received, fault: Fault | None) -> Reply:
        reply = OK if fault is None else fault(received)
        while reply.hold and not reply.hold.wait(0.01):
            if self.ending.is_set() or self.fault is not fault:
                return Reply(close=True)
        refused = guilty(received) if reply.rejected else set[int]()
        if reply.accepts:
            self._pass_on(received, refused)
        elif reply.status == 400 and len(received.items) == 1:
            refused = guilty(received)
        with self._counting:
            self.refused |= refused
            self.answers["hung up" if reply.close else str(reply.status)] += 1
        return reply

    def _pass_on(self, received: Received, refused: set[int]) -> None:
        if self._behind is not None:
            body = _without(received.request, refused) if refused else received.body
            with closing(HTTPConnection("127.0.0.1", self._behind, timeout=60)) as connection:
                connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                said = answer.read()
            assert answer.status == 200, (answer.status, said)
        now_s = time.monotonic()
        kept = {span_id: span for span in received.items if (span_id := _span_id(span)) not in refused}
        with self._counting:
            for span_id, span in kept.items():
                self.arrivals[span_id].append(now_s)
                if span.status.code == 2:
                    self.errors[span_id] = span
            if received.identity:
                self.identities[received.identity].add(frozenset(kept))


class HttpGate(Gate, HttpCollector):
    """For OTLP over HTTP."""


class GrpcGate(Gate, GrpcCollector):
    """For OTLP over gRPC."""

    def hang_up(self) -> None:
        """End every connection; gRPC's server can do so by going away only."""
        self.stop()
        self.start()


GATES: Final[dict[str, type[HttpGate | GrpcGate]]] = {HTTP: HttpGate, GRPC: GrpcGate}


def _span_id(span: Any) -> int:
    return int.from_bytes(span.span_id)


def _without(request: Any, refused: set[int]) -> bytes:
    kept = type(request)()
    kept.CopyFrom(request)
    for group in kept.resource_spans:
        for scoped in group.scope_spans:
            spans = [span for span in scoped.spans if _span_id(span) not in refused]
            del scoped.spans[:]
            scoped.spans.extend(spans)
    return kept.SerializeToString()  # type: ignore[no-any-return]
