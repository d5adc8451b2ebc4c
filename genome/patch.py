"""Search/replace edits and diffs of genomes, as pure functions."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from genome.genome import Genome, GenomeError, docstring

NEAR = 0.9  # likeness from which one window stands for the search text, if no other comes near
MARGIN = 0.05  # by which it must beat every other window
SHOWN = 12  # lines of a text shown in a message


class PatchError(ValueError):
    """Edits that cannot be applied; the message tells a model what was wrong and shows the lines that come closest."""


@dataclass(frozen=True)
class SearchReplace:
    """Replace one text, which occurs once, by another in a file."""

    path: str
    search: str
    replace: str


class Patched(NamedTuple):
    """A genome after edits, and a note on each edit whose search text was not met letter by letter."""

    genome: Genome
    notes: tuple[str, ...]


class _Window(NamedTuple):
    start: int
    end: int
    likeness: float


def apply_edits(genome: Genome, edits: Sequence[SearchReplace]) -> Patched:
    """Return the genome after the edits, one after the other.

    A search text must be met once: exactly; else with other white space; else by the one window of lines that is
    nearly equal, whose difference is then noted.

    Raises:
        PatchError: no edit, another file, no match or several, nothing changed, or the result does not parse.
    """
    if not edits:
        raise PatchError("the reply holds no edit; give at least one search/replace block")
    files, notes = dict(genome.files), []
    for number, edit in enumerate(edits, 1):
        label = f"edit {number} of {len(edits)}"
        if edit.path not in files:
            raise PatchError(f"{label}: {edit.path!r} is not a file of this program; it has {', '.join(files)}")
        text, note = _replaced(files[edit.path], edit, label)
        files[edit.path] = text
        notes.extend([f"{label}: {note}"] if note else [])
    try:
        result = Genome(files)
    except GenomeError as error:
        raise PatchError(f"after the edits {error}{_around(files, str(error))}") from None
    if result.digest == genome.digest:
        raise PatchError("the edits change nothing but layout, comments or docstrings; change what the program does")
    return Patched(result, tuple(notes))


def _replaced(text: str, edit: SearchReplace, label: str) -> tuple[str, str]:
    search = edit.search.replace("\r\n", "\n")
    if not search.strip():
        raise PatchError(f"{label}: the search text is empty; quote the lines of {edit.path} that are to be replaced")
    if search == edit.replace:
        raise PatchError(f"{label}: search and replacement are the same text")
    count = text.count(search)
    if count > 1:
        places = f"{count} times in {edit.path} (lines {_lines_of(text, search)})"
        raise PatchError(f"{label}: the search text occurs {places}; add neighbouring lines until it occurs once")
    if count == 1:
        return text.replace(search, edit.replace, 1), ""
    window, note = _find(text, search, edit.path, label)
    found = text[window.start : window.end]
    replacement = _reindented(edit.replace, search, found)
    if replacement and found.endswith("\n") and not replacement.endswith("\n"):
        replacement += "\n"
    return text[: window.start] + replacement + text[window.end :], note


def _find(text: str, search: str, path: str, label: str) -> tuple[_Window, str]:
    windows = _windows(text, search)
    same = [w for w in windows if w.likeness == 1.0]
    if len(same) > 1:
        lines = ", ".join(str(text.count("\n", 0, w.start) + 1) for w in same)
        raise PatchError(f"{label}: but for white space, the search text occurs {len(same)} times in {path} "
                         f"(lines {lines}); add neighbouring lines until it occurs once")  # fmt: skip
    if same:
        return same[0], ""
    ranked = sorted(windows, key=lambda w: (-w.likeness, w.start))
    if not ranked:
        raise PatchError(f"{label}: {path} has fewer lines than the search text")
    best = ranked[0]
    rivals = [w.likeness for w in ranked[1:] if w.end <= best.start or w.start >= best.end]
    difference = _difference(search, text[best.start : best.end])
    line = text.count("\n", 0, best.start) + 1
    if best.likeness >= NEAR and best.likeness - max(rivals, default=0.0) >= MARGIN:
        return best, f"the search text was taken to mean line {line} of {path}, which differs:\n{difference}"
    raise PatchError(f"{label}: the search text does not occur in {path}. The lines that come closest begin at line "
                     f"{line} ({best.likeness:.0%} alike; - is your text, + is the file):\n{difference}")  # fmt: skip


def _windows(text: str, search: str) -> list[_Window]:
    """Return runs of lines as long as the search text, blank lines aside, with their likeness to it."""
    lines: list[tuple[int, int, str]] = []  # start, end, text without white space
    at = 0
    for line in text.splitlines(keepends=True):
        bare = "".join(line.split())
        if bare:
            lines.append((at, at + len(line), bare))
        at += len(line)
    wanted = [bare for line in search.splitlines() if (bare := "".join(line.split()))]
    goal, windows, best = "\n".join(wanted), [], 0.0
    matcher = difflib.SequenceMatcher(None, "", goal, autojunk=False)
    for i in range(len(lines) - len(wanted) + 1):
        run = lines[i : i + len(wanted)]
        joined = "\n".join(bare for _, _, bare in run)
        if joined == goal:
            likeness = 1.0
        else:
            matcher.set_seq1(joined)
            floor = max(0.0, best - 2 * MARGIN)  # what is far behind the best so far needs no exact figure
            hopeless = matcher.real_quick_ratio() < floor or matcher.quick_ratio() < floor
            likeness = 0.0 if hopeless else min(matcher.ratio(), 0.999)
        best = max(best, likeness)
        windows.append(_Window(run[0][0], run[-1][1], likeness))
    return windows


def _reindented(replace: str, search: str, found: str) -> str:
    """Return the replacement moved right or left by as much as the search text was off."""
    if not replace.strip():
        return ""
    given, real = _first_indent(search), _first_indent(found)
    if given == real:
        return replace
    moved = []
    for line in replace.splitlines(keepends=True):
        if real.startswith(given):
            moved.append(real[len(given) :] + line if line.strip() else line)
        else:
            surplus = given[len(real) :]
            moved.append(line.removeprefix(surplus))
    return "".join(moved)


def _first_indent(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line[: len(line) - len(line.lstrip())]


def _lines_of(text: str, search: str) -> str:
    found: list[str] = []
    at = text.find(search)
    while at >= 0 and len(found) < 5:
        found.append(str(text.count("\n", 0, at) + 1))
        at = text.find(search, at + 1)
    return ", ".join(found)


def _difference(search: str, found: str) -> str:
    ours, theirs = search.rstrip("\n").splitlines(), found.rstrip("\n").splitlines()
    lines = [line for line in difflib.ndiff(ours, theirs) if not line.startswith("?")]
    more = [f"… {len(lines) - SHOWN} more lines"] if len(lines) > SHOWN else []
    return "\n".join([*lines[:SHOWN], *more])


def _around(files: dict[str, str], message: str) -> str:
    """Return the lines around the place that a message names, for a model that cannot see the file."""
    path = next((path for path in files if message.startswith(path)), None)
    place = message.rsplit("(line ", 1)[-1].rstrip(")")
    if path is None or not place.isdigit():
        return ""
    lines = files[path].splitlines()
    at = int(place)
    shown = range(max(1, at - 2), min(len(lines), at + 2) + 1)
    return ":\n" + "\n".join(f"{n}: {lines[n - 1]}" for n in shown)


def diff(old: Genome, new: Genome, context: int = 3) -> str:
    """Return the unified diff of two genomes in git's form; empty where they are equal."""
    parts = []
    for path in sorted({*old.files, *new.files}):
        before, after = old.files.get(path), new.files.get(path)
        if before == after:
            continue
        parts.append(f"diff --git a/{path} b/{path}\n")
        parts.extend(["new file mode 100644\n"] if before is None else [])
        parts.extend(["deleted file mode 100644\n"] if after is None else [])
        names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
        for line in difflib.unified_diff(_lines(before), _lines(after), *names, n=context):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _lines(text: str | None) -> list[str]:
    # git ends lines at \n only
    return [] if not text else [line for line in text.replace("\n", "\n\0").split("\0") if line]


def edit_set(genome: Genome, seed: Genome) -> frozenset[str]:
    """Return the edits that lead from the seed here, freed of layout and comments: what near-duplicates share."""
    found: set[str] = set()
    for path in sorted({*genome.files, *seed.files}):
        before, after = _plain(seed.files.get(path, ""), path), _plain(genome.files.get(path, ""), path)
        found.update(f"{path}:{line}" for line in _changed(before, after))
    return frozenset(found)


def _changed(before: Sequence[str], after: Sequence[str]) -> list[str]:
    changed = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            changed += [f"-{line.strip()}" for line in before[a:b]] + [f"+{line.strip()}" for line in after[c:d]]
    return changed


@lru_cache(maxsize=64)
def _plain(text: str, path: str) -> tuple[str, ...]:
    if not path.endswith(".py"):
        return tuple(" ".join(line.split()) for line in text.splitlines() if line.strip())
    tree = ast.parse(text)
    for node in ast.walk(tree):
        described = docstring(node)
        if described is not None:
            node.body[:1] = []  # type: ignore[attr-defined]
    return tuple(ast.unparse(tree).splitlines())
