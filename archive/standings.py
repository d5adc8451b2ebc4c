"""Where every individual stands: the order by priced score, cells, front, lineage and σ, held in memory.

Nothing here is stored: it is rebuilt from the rows when an archive is opened, and kept in step by the results that
arrive, so that choosing parents costs the same at ten individuals and at ten thousand.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from archive.cells import cell_of
from archive.rule import Evidence
from genome.individual import Failure
from genome.task import Objective

Key = tuple[float, int, int]  # value (lower is better), size, id: ties go to the smaller, then to the older


@dataclass(slots=True)
class Standing:
    """What is known of one individual so far."""

    id: int
    size: int
    parents: tuple[int, ...]
    scores: list[float] = field(default_factory=list)
    failure: Failure | None = None
    verified: bool = True

    @property
    def judged(self) -> bool:
        """Whether an evaluation of it has finished."""
        return bool(self.scores) or self.failure is not None

    @property
    def mean(self) -> float | None:
        """Mean score, None for an individual that failed or has no result."""
        return statistics.fmean(self.scores) if self.scores and self.failure is None else None

    @property
    def sd(self) -> float | None:
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None

    def evidence(self) -> Evidence | None:
        """Return what the rule needs, None for an individual without a score."""
        mean = self.mean
        return None if mean is None else Evidence(self.id, self.size, mean, len(self.scores))


class Standings:
    """All individuals of a run by standing; failed ones are known but never stand in an order."""

    def __init__(self, objective: Objective, price: float, cell_percent: float) -> None:
        self._objective = objective
        self._price = price
        self._cell_percent = cell_percent
        self._standing: dict[int, Standing] = {}
        self._order: list[Key] = []
        self._cells: dict[int, list[Key]] = {}
        self._stairs: list[tuple[int, float, int]] = []  # the front as size, signed score, id; scores fall strictly
        self._peaks: dict[int, int | None] = {}
        self._noise = Noise()
        self.failed = 0

    def __getitem__(self, id: int) -> Standing:
        return self._standing[id]

    def __contains__(self, id: int) -> bool:
        return id in self._standing

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standing.values())

    def __len__(self) -> int:
        return len(self._standing)

    @property
    def seed_size(self) -> int:
        """Size of the first individual, against which cells are measured."""
        return next(iter(self._standing.values())).size

    def priced(self, standing: Standing) -> float | None:
        """Return the score with its size paid for; lower is better in either direction of the objective."""
        mean = standing.mean
        return None if mean is None else self._objective.sign * mean + self._price * standing.size

    def enter(self, id: int, size: int, parents: tuple[int, ...]) -> None:
        """Note an individual that was born."""
        self._standing[id] = Standing(id, size, parents)

    def result(self, id: int, score: float | None, failure: Failure | None, *, verified: bool, device: str) -> None:
        """Note the result of an evaluation: scores pool into a mean, any failure fails the individual."""
        standing = self._standing[id]
        self._leave(standing)
        if score is None:
            self.failed += standing.failure is None
            standing.failure = standing.failure or failure
        else:
            standing.scores.append(score)
            self._noise.add(id, device, score)
        standing.verified = standing.verified and verified
        if id in self._peaks:
            self._peaks.clear()
        self._stand(standing)

    @property
    def valid(self) -> int:
        """How many have a score."""
        return len(self._order)

    def order(self) -> list[int]:
        """Return valid individuals, best priced score first."""
        return [id for _, _, id in self._order]

    def best(self, limit: int) -> list[int]:
        return [id for _, _, id in self._order[:limit]]

    def cells(self) -> dict[int, list[int]]:
        """Return the valid individuals of each cell, best priced score first: the first is the cell's elite."""
        return {cell: [id for _, _, id in self._cells[cell]] for cell in sorted(self._cells)}

    def elites(self) -> list[int]:
        """Return the best of each cell, smallest cell first."""
        return [self._cells[cell][0][2] for cell in sorted(self._cells)]

    def cell(self, standing: Standing) -> int:
        return cell_of(standing.size, self.seed_size, self._cell_percent)

    def front(self) -> list[int]:
        """Return those that no other beats in both score and size, smallest first; of equals the oldest."""
        return [id for _, _, id in self._stairs]

    def simple(self, within: float) -> list[int]:
        """Return those whose score is at most `within` worse than the best score, smallest first."""
        if not self._stairs:
            return []
        limit = self._stairs[-1][1] + within
        near = [(size, self._signed(self._standing[id]), id) for _, size, id in self._order]
        return [id for size, signed, id in sorted(near) if signed <= limit]

    def peak(self, id: int) -> Evidence | None:
        """Return the best mean score among an individual and its ancestors, None where none has a score."""
        waiting = [id]
        while waiting:
            current = waiting[-1]
            if current in self._peaks:
                waiting.pop()
                continue
            standing = self._standing[current]
            unknown = [parent for parent in standing.parents if parent not in self._peaks]
            if unknown:
                waiting.extend(unknown)
                continue
            line = [self._standing[peak] for peak in map(self._peaks.get, standing.parents) if peak is not None]
            held = [entry for entry in (standing, *line) if entry.mean is not None]
            self._peaks[current] = min(held, key=lambda entry: (self._signed(entry), entry.id)).id if held else None
        peak = self._peaks[id]
        return None if peak is None else self._standing[peak].evidence()

    def ancestors(self, id: int) -> set[int]:
        """Return all ancestors, without the individual itself."""
        found: set[int] = set()
        waiting = list(self._standing[id].parents)
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                waiting.extend(self._standing[current].parents)
        return found

    def sigma(self, device: str | None = None) -> float | None:
        """Return the spread of one evaluation on a device, by default the one that gave the last score."""
        return self._noise.sigma(device)

    def _signed(self, standing: Standing) -> float:
        return math.inf if standing.mean is None else self._objective.sign * standing.mean

    def _stand(self, standing: Standing) -> None:
        priced = self.priced(standing)
        if priced is None:
            return
        key = (priced, standing.size, standing.id)
        insort(self._order, key)
        insort(self._cells.setdefault(self.cell(standing), []), key)
        self._climb((standing.size, self._signed(standing), standing.id))

    def _leave(self, standing: Standing) -> None:
        priced = self.priced(standing)
        if priced is None:
            return
        key = (priced, standing.size, standing.id)
        cell = self.cell(standing)
        for keys in (self._order, self._cells[cell]):
            del keys[bisect_left(keys, key)]
        if not self._cells[cell]:
            del self._cells[cell]
        step = bisect_left(self._stairs, (standing.size, -math.inf, 0))
        if step < len(self._stairs) and self._stairs[step][2] == standing.id:
            self._stairs = []
            for _, size, id in self._order:
                self._climb((size, self._signed(self._standing[id]), id))

    def _climb(self, step: tuple[int, float, int]) -> None:
        """Put an individual on the front where nothing there is as small and as good, and take off what it beats."""
        size, signed, id = step
        above = bisect_right(self._stairs, (size, math.inf, 0))
        if above:
            _, held, holder = self._stairs[above - 1]
            if held < signed or (held == signed and (self._stairs[above - 1][0] < size or holder < id)):
                return
        first = bisect_left(self._stairs, (size, -math.inf, 0))
        last = first
        while last < len(self._stairs) and self._stairs[last][1] >= signed:
            last += 1
        self._stairs[first:last] = [step]


class Noise:
    """σ of one evaluation for each device: the spread within individuals, pooled over all that ran more than once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], tuple[int, float]] = {}  # individual and device: runs, mean
        self._squares: defaultdict[str, float] = defaultdict(float)
        self._freedom: defaultdict[str, int] = defaultdict(int)
        self._last: str | None = None

    def add(self, individual: int, device: str, score: float) -> None:
        count, mean = self._seen.get((individual, device), (0, 0.0))
        moved = mean + (score - mean) / (count + 1)
        self._seen[individual, device] = (count + 1, moved)
        self._squares[device] += (score - mean) * (score - moved) if count else 0.0
        self._freedom[device] += 1 if count else 0
        self._last = device

    def sigma(self, device: str | None = None) -> float | None:
        device = self._last if device is None else device
        if device is None or not self._freedom.get(device):
            return None
        return math.sqrt(self._squares[device] / self._freedom[device])
