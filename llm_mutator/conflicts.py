"""A three-way merge as a draft: what merges by itself is text, what does not is a numbered conflict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from merge3 import Merge3

from genome.genome import Genome


@dataclass(frozen=True)
class Conflict:
    """One hunk that both parents changed, in lines with their ends."""

    base: tuple[str, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]


Piece = str | Conflict


@dataclass(frozen=True)
class Draft:
    """The merge of two genomes, file by file, in pieces."""

    files: Mapping[str, tuple[Piece, ...]]

    @property
    def conflicts(self) -> int:
        return sum(isinstance(piece, Conflict) for pieces in self.files.values() for piece in pieces)

    def shown(self) -> dict[str, str]:
        """Return each file with its conflicts between markers, numbered from 1 over all files."""
        number = 0
        texts = {}
        for path, pieces in self.files.items():
            text = ""
            for piece in pieces:
                if isinstance(piece, Conflict):
                    number += 1
                    text += f"<<<<<<< CONFLICT {number}: parent A\n{''.join(piece.a)}"
                    text += f"||||||| their ancestor\n{''.join(piece.base)}"
                    text += f"======= parent B\n{''.join(piece.b)}>>>>>>> CONFLICT {number}\n"
                else:
                    text += piece
            texts[path] = text
        return texts

    def settled(self, resolutions: Sequence[str]) -> Genome:
        """Return the genome with each conflict replaced by its resolution.

        Raises:
            GenomeError: the result does not parse.
        """
        waiting = iter(resolutions)
        return Genome(
            {
                path: "".join(next(waiting) if isinstance(piece, Conflict) else piece for piece in pieces)
                for path, pieces in self.files.items()
            }
        )


def merge(base: Genome, a: Genome, b: Genome) -> Draft:
    """Return the merge of what two genomes changed since their common ancestor."""
    files: dict[str, tuple[Piece, ...]] = {}
    for path in sorted({*a.files, *b.files}):
        if path in a.files and path in b.files:
            files[path] = tuple(_pieces(*(_lines(genome.files.get(path, "")) for genome in (base, a, b))))
        elif path not in base.files:  # added on one side; a file taken out stays out
            files[path] = (a.files.get(path) or b.files.get(path, ""),)
    return Draft(files)


def _pieces(base: list[str], a: list[str], b: list[str]) -> Iterator[Piece]:
    for group in Merge3(base, a, b).merge_groups():
        if len(group) < 4:
            yield "".join(group[1])
        elif len(group[1]) == len(group[2]) == len(group[3]):
            yield from _line_by_line(*group[1:])
        else:
            yield Conflict(*map(tuple, group[1:]))


def _line_by_line(base: Sequence[str], a: Sequence[str], b: Sequence[str]) -> Iterator[Piece]:
    """Yield a hunk line by line: neighbouring constants, each changed by one parent, are no conflict."""
    for old, ours, theirs in zip(base, a, b, strict=True):
        if old != ours != theirs != old:
            yield Conflict((old,), (ours,), (theirs,))
        else:
            yield theirs if ours == old else ours


def _lines(text: str) -> list[str]:
    """Return the lines with their ends, the last one ended too, so that no two lines can run together."""
    lines = text.splitlines(keepends=True)
    return [*lines[:-1], lines[-1] + "\n"] if lines and not lines[-1].endswith(("\n", "\r")) else lines
