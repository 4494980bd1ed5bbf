"""Two stores in one folder under any order of events, on a disk that fails anywhere: nothing is lost that is not counted."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from otel_callbacks.export.items import Entry
from otel_callbacks.export.spool.directory import CORRUPT, DEAD
from otel_callbacks.export.spool.store import SpoolStore
from otel_callbacks.export.spool.survey import resend, survey
from tests.spools import ORIGIN, OTHER, Clock, FaultyFiles, balanced, die, spool

PLACES = st.integers(0, 1)
CODES = st.sampled_from([errno.ENOSPC, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENOENT, errno.EMFILE])
CALLS = ["create", "open", "write", "unlink", "rename", "sync", "names", "read"]


class SpoolMachine(RuleBasedStateMachine):
    """What was put in, against what came out and what is said to be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.put_in: set[int] = set()
        self.came_out: Counter[int] = Counter()
        self.buried: set[int] = set()
        self.lost = 0
        """Items that are said to be lost, by stores that are gone."""
        self.unsure: set[int] = set()
        """Settled, but it could not be written down, or perhaps not."""
        self.may_repeat: set[int] = set()
        self.fault_seen = self.any_fault = False
        self.stores: list[SpoolStore] = []
        self.flying: list[list[Entry]] = [[], []]

    @initialize(max_bytes=st.sampled_from([600_000, 64 << 20]))
    def open_both(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.stores = [self.opened() for _ in range(2)]

    def opened(self) -> SpoolStore:
        return spool(self.path, max_bytes=self.max_bytes, clock=self.clock, files=FaultyFiles())

    def files(self, place: int) -> FaultyFiles:
        files = self.stores[place]._files
        assert isinstance(files, FaultyFiles)
        return files

    @rule(
        place=PLACES,
        sizes=st.lists(st.sampled_from([20, 3000, 40_000]), min_size=1, max_size=4),
        other=st.booleans(),
    )
    def put(self, place: int, sizes: list[int], other: bool) -> None:
        items: list[bytes] = []
        for size in sizes:
            number = len(self.put_in)
            self.put_in.add(number)
            items.append(b"%d " % number + b"." * size)
        self.stores[place].put(OTHER if other else ORIGIN, items)

    @rule(place=PLACES, count=st.integers(1, 6), size=st.sampled_from([1, 10_000, 1 << 20]))
    def take(self, place: int, count: int, size: int) -> None:
        taken = self.stores[place].take(count, size)
        assert len(taken) <= count
        assert len(taken) <= 1 or sum(len(entry.item) for entry in taken) <= size
        assert self.stores[place].identity(taken)
        self.flying[place] += taken

    @rule(place=PLACES, data=st.data())
    def give_back(self, place: int, data: Any) -> None:
        self.stores[place].give_back(self.some(place, data))

    @rule(place=PLACES, data=st.data())
    def settle(self, place: int, data: Any) -> None:
        entries = self.some(place, data)
        self.fault_seen = False
        self.stores[place].settle(entries)
        numbers = {number_of(entry) for entry in entries}
        self.came_out.update(numbers)
        if self.fault_seen:
            self.unsure |= numbers

    @rule(place=PLACES, data=st.data())
    def bury(self, place: int, data: Any) -> None:
        chosen = self.some(place, data)
        self.flying[place] += chosen[1:]
        for entry in chosen[:1]:
            self.fault_seen = False
            dead = self.stores[place].counts().dead
            self.stores[place].bury(entry, "it is wrong")
            if self.stores[place].counts().dead > dead:
                self.buried.add(number_of(entry))
            if self.fault_seen:
                self.unsure.add(number_of(entry))

    def some(self, place: int, data: Any) -> list[Entry]:
        flying = self.flying[place]
        chosen = data.draw(st.sets(st.integers(0, len(flying) - 1))) if flying else set()
        entries = [flying[index] for index in sorted(chosen)]
        self.flying[place] = [entry for index, entry in enumerate(flying) if index not in chosen]
        return entries

    @rule(place=PLACES, seconds=st.sampled_from([0.0, 1.0, 6.0]))
    def tend(self, place: int, seconds: float) -> None:
        self.clock.s += seconds
        self.stores[place].tend()

    @rule(place=PLACES)
    def crash(self, place: int) -> None:
        store = self.stores[place]
        counts = store.counts()
        self.lost += sum(counts.dropped.values()) + counts.in_memory
        self.may_repeat |= self.unsure
        die(store)
        self.flying[place] = []
        self.stores[place] = self.opened()

    @rule(place=PLACES)
    def close_and_open(self, place: int) -> None:
        store = self.stores[place]
        self.fault_seen = False
        store.close()
        if self.fault_seen:
            self.may_repeat |= self.unsure
        counts = store.counts()
        assert balanced(store)
        self.lost += sum(counts.dropped.values()) + counts.in_memory
        store.put(ORIGIN, [b"late"])
        assert store.counts().dropped["closed"] >= 1
        assert not store.take(1, 1)
        self.flying[place] = []
        self.stores[place] = self.opened()

    @rule(place=PLACES)
    def fork(self, place: int) -> None:
        """The child begins anew; the parent, of which the test has no process, is as if it had died."""
        store = self.stores[place]
        counts = store.counts()
        self.lost += sum(counts.dropped.values()) + counts.in_memory
        self.may_repeat |= self.unsure
        store.after_fork()
        assert (store.waiting, store.counts().accepted) == (0, 0)
        self.flying[place] = []

    @rule(
        place=PLACES,
        code=CODES,
        calls=st.sets(st.sampled_from(CALLS), min_size=1),
        number=st.integers(0, 6),
        lasting=st.booleans(),
        short=st.booleans(),
    )
    def break_disk(
        self, place: int, code: int, calls: set[str], number: int, lasting: bool, short: bool
    ) -> None:
        left = [number]

        def wrong(call: str) -> int | None:
            if call not in calls:
                return None
            left[0] -= 1
            if left[0] == -1 or (lasting and left[0] < 0):
                self.fault_seen = self.any_fault = True
                return code
            return None

        self.files(place).wrong = wrong
        self.files(place).short = short

    @rule(place=PLACES)
    def mend_disk(self, place: int) -> None:
        self.files(place).wrong = lambda _call: None
        self.files(place).short = False

    @rule()
    def send_dead_letters_again(self) -> None:
        before = sum(group.items for group in survey(self.path / "spool").dead)
        again = resend(self.path / "spool")
        after = sum(group.items for group in survey(self.path / "spool").dead)
        assert before == again + after

    @invariant()
    def the_books_are_balanced(self) -> None:
        for store in self.stores:
            assert balanced(store), store.counts()
            counts = store.counts()
            assert "fault" not in counts.dropped
            assert counts.on_disk >= 0 <= counts.in_memory
            assert store.waiting <= counts.on_disk + counts.in_memory

    def teardown(self) -> None:
        if self.stores:
            self.come_to_rest()
        shutil.rmtree(self.path)

    def come_to_rest(self) -> None:
        for place, store in enumerate(self.stores):
            self.mend_disk(place)
            store.give_back(self.flying[place])
        for _ in range(60):
            for store in self.stores:
                self.clock.s += 6
                store.tend()
                while entries := store.take(1000, 1 << 24):
                    self.came_out.update(number_of(entry) for entry in entries)
                    store.settle(entries)
        for store in self.stores:
            counts = store.counts()
            assert (counts.on_disk, counts.in_memory, store.waiting) == (0, 0, 0)
            self.lost += sum(counts.dropped.values())
            store.close()
        missing = self.put_in - set(self.came_out) - self.buried
        assert len(missing) <= self.lost
        assert self.any_fault or len(missing) == self.lost
        twice = {number for number, times in self.came_out.items() if times > 1}
        assert twice <= self.may_repeat | self.buried
        assert set(self.came_out) <= self.put_in
        left = {path.name for path in (self.path / "spool").iterdir()}
        assert left <= {DEAD, CORRUPT}, "nothing is left behind"


def number_of(entry: Entry) -> int:
    return int(entry.item.partition(b" ")[0])


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(
    max_examples=40, stateful_step_count=50, suppress_health_check=list(HealthCheck), deadline=None
)
