"""What a person reads when a search has ended: seed, champion, simplest within noise, and where to look further."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from archive import Archive
from genome import Individual
from genome.patch import diff

DIFF_LINES = 60  # a longer champion's diff is cut; `archive diff` shows it whole


def show(console: Console, archive: Archive, run: str, reason: str) -> None:
    """Print the end of a search."""
    console.print(Text(f"\nThe search ended: {reason}.", style="bold"))
    champion = archive.champion()
    if champion is None:
        console.print(Text(f"Nothing has a score; see why: archive failures --run {run}"))
        return
    console.print(Group(*_tables(archive, champion)))
    console.print(
        Text(
            f"\nLook further:\n  archive front --run {run}\n  archive show {champion.id} --run {run}\n"
            f"Pedigree: git -C {archive.folder}/lineage.git log --graph --oneline --all"
        )
    )


def _tables(archive: Archive, champion: Individual) -> list[RenderableType]:
    seed = archive.seed()
    simplest = archive.individual(archive.simple()[0])
    table = Table(title=f"{archive.task.objective.name} ({archive.task.objective.direction})", title_justify="left")
    for column in ("", "id", "score", "sd", "n", "nodes", "lines"):
        table.add_column(column, justify="left" if not column else "right")
    for name, one in (("seed", seed), ("champion", champion), ("simplest within noise", simplest)):
        sd = "–" if one.sd is None else f"{one.sd:.4f}"
        mark = "" if one.verified else " unverified"
        row = (f"#{one.id}", f"{one.score:.4f}{mark}", sd, str(one.n), str(one.genome.size), str(one.genome.lines))
        table.add_row(name, *row)
    parts: list[RenderableType] = [table]
    if champion.id != seed.id:
        lines = diff(seed.genome, champion.genome).splitlines()
        cut = f"\n… {len(lines) - DIFF_LINES} more lines: archive diff {champion.id}" if len(lines) > DIFF_LINES else ""
        parts.append(Text(f"\nChampion against seed: {champion.idea}"))
        parts.append(Syntax("\n".join(lines[:DIFF_LINES]) + cut, "diff", background_color="default"))
    return parts
