"""What a person sees while a search runs: a live display on a terminal, one line per result elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archive import Archive, Entry
from evolve.budget import Budget, Spent
from genome import Evaluation, Individual

RECENT = 6  # results that stay on the live display
FRONT_ROWS = 8
REFRESH_S = 0.5


class Observer(Protocol):
    """Told what happens. All calls come from the coordinator's thread but `progressed`, which comes from a slot's."""

    def started(self, slot: int, individual: Individual, purpose: str) -> None: ...

    def progressed(self, slot: int, share: float) -> None: ...

    def finished(self, slot: int, individual: Individual, evaluation: Evaluation, entry: Entry) -> None: ...

    def note(self, text: str) -> None: ...

    def tick(self, spent: Spent) -> None: ...


class Silent:
    """An observer that shows nothing."""

    def started(self, slot: int, individual: Individual, purpose: str) -> None:
        pass

    def progressed(self, slot: int, share: float) -> None:
        pass

    def finished(self, slot: int, individual: Individual, evaluation: Evaluation, entry: Entry) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def tick(self, spent: Spent) -> None:
        pass


class Lines(Silent):
    """One plain line per result, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def finished(self, slot: int, individual: Individual, evaluation: Evaluation, entry: Entry) -> None:
        self._console.print(result_line(individual, evaluation, entry), soft_wrap=True)

    def note(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class Live(Silent):
    """A display that is redrawn in place: budget, slots, front, generations and the last results."""

    def __init__(self, console: Console, archive: Archive, budget: Budget, slots: int) -> None:
        self._archive = archive
        self._budget = budget
        self._shares = [0.0] * slots
        self._jobs: dict[int, tuple[Individual, str]] = {}
        self._recent: deque[Text] = deque(maxlen=RECENT)
        self._live = RichLive(console=console, auto_refresh=False, transient=True)
        self._started_at = time.monotonic()
        self._share_at_start: float | None = None
        self._drawn_at = 0.0

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, slot: int, individual: Individual, purpose: str) -> None:
        self._shares[slot] = 0.0
        self._jobs[slot] = (individual, purpose)

    def progressed(self, slot: int, share: float) -> None:
        self._shares[slot] = share

    def finished(self, slot: int, individual: Individual, evaluation: Evaluation, entry: Entry) -> None:
        self._jobs.pop(slot, None)
        line = result_line(individual, evaluation, entry)
        line.no_wrap, line.overflow = True, "ellipsis"
        self._recent.append(line)

    def note(self, text: str) -> None:
        self._recent.append(Text(text, style="yellow"))

    def tick(self, spent: Spent) -> None:
        now = time.monotonic()
        if now - self._drawn_at < REFRESH_S:
            return
        self._drawn_at = now
        self._live.update(self.render(spent), refresh=True)

    def render(self, spent: Spent) -> Group:
        """Return the whole display."""
        parts: list[RenderableType] = [self._headline(spent), self._slots_table()]
        parts += [front_table(self._archive, FRONT_ROWS), self._generations(), *self._recent]
        return Group(*parts)

    def _headline(self, spent: Spent) -> Text:
        best = self._archive.champion()
        best_text = f"{best.score:.4f} by #{best.id}" if best is not None and best.score is not None else "none yet"
        bounds = []
        if self._budget.evaluations is not None:
            bounds.append(f"{spent.evaluations}/{self._budget.evaluations} evaluations")
        if self._budget.hours is not None:
            bounds.append(f"{spent.hours * 60:.1f}/{self._budget.hours * 60:.0f} min")
        if self._budget.usd is not None:
            bounds.append(f"${spent.usd:.2f}/{self._budget.usd:.2f}")
        bounds.append(f"about {self._minutes_left(spent)} left")
        return Text(f"best {self._archive.task.objective.name} {best_text}   {' · '.join(bounds)}", style="bold")

    def _minutes_left(self, spent: Spent) -> str:
        share = self._budget.share(spent)
        if self._share_at_start is None:
            self._share_at_start = share
        done = share - self._share_at_start
        if done <= 0.01:
            return "? min"
        return f"{(time.monotonic() - self._started_at) * (1 - share) / done / 60:.0f} min"

    def _slots_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for slot, share in enumerate(self._shares):
            job = self._jobs.get(slot)
            what = "free" if job is None else f"#{job[0].id} {job[0].operator} ({job[1]}): {job[0].idea}"
            bar = ProgressBar(total=1.0, completed=0.0 if job is None else min(1.0, share), width=20)
            table.add_row(f"slot {slot}", bar, Text(what, overflow="ellipsis", no_wrap=True))
        return table

    def _generations(self) -> Text:
        per_generation = self._archive.counts().generations
        newest = sorted(per_generation.items())[-10:]
        return Text("individuals per generation: " + "  ".join(f"{number}: {count}" for number, count in newest))


def result_line(individual: Individual, evaluation: Evaluation, entry: Entry) -> Text:
    """Return one result as one line; ideas and details are untrusted and stay plain text."""
    line = Text()
    line.append(f"#{individual.id:<4} gen {individual.generation:<3} {individual.operator:<8} ")
    if evaluation.failure is not None:
        line.append(f"{evaluation.failure.kind}: {evaluation.failure.detail}", style="red")
    else:
        mark = "" if evaluation.verified else " unverified"
        line.append(f"{evaluation.score:.4f}{mark}  {individual.genome.size} nodes  ", style="bold")
        line.append(entry.words or "", style={"better": "green", "simpler": "cyan"}.get(entry.verdict or "", "dim"))
    line.append(f"  | {individual.idea}", style="dim")
    return Text(" ").join(line.split("\n"))


def front_table(archive: Archive, limit: int) -> Table:
    """Return the front, best score first."""
    front: Sequence[Individual] = archive.front()[::-1]
    table = Table(title=f"front: {len(front)} non-dominated by score and size", title_justify="left", expand=True)
    for column in ("id", archive.task.objective.name, "n", "nodes", "lines", "operator"):
        table.add_column(column, justify="left" if column == "operator" else "right", no_wrap=True)
    table.add_column("idea", overflow="ellipsis", no_wrap=True, ratio=1)
    for one in front[:limit]:
        cells = (
            f"#{one.id}",
            f"{one.score:.4f}",
            str(one.n),
            str(one.genome.size),
            str(one.genome.lines),
            one.operator,
        )
        table.add_row(*cells, Text(one.idea))
    return table
