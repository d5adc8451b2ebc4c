"""What a model answered, read with distrust: an idea, and edits, whole files, settled conflicts or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from genome.patch import SearchReplace
from llm_mutator.text import one_line

IDEA_CHARS = 2_000
_IDEA = re.compile(r"^[\s>*_#-]*idea[\s*_]*:[\s*_]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_SEARCH = re.compile(r"^\s*<{5,}\s*SEARCH\b.*$")
_MIDDLE = re.compile(r"^\s*={5,}\s*$")
_REPLACE = re.compile(r"^\s*>{5,}\s*REPLACE\b.*$")
_SETTLED = re.compile(r"^\s*<{5,}\s*RESOLUTION\s+(\d+)\b.*$", re.IGNORECASE)
_SETTLED_END = re.compile(r"^\s*>{5,}\s*RESOLUTION\b.*$", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([\w.+/-]*)\s*$")
_THINKING = re.compile(r"^\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL)
_FILE_ENDS = (".py", ".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".sh", ".c", ".cpp", ".h", ".rs")
CUT = "was the answer cut off?"


class Refused(ValueError):
    """A reply that gives no offspring; the message tells its model exactly why."""


def idea(text: str) -> str:
    """Return the stated idea as one line; without one, the first line of prose before any block; else an admission."""
    text = normal(text)
    stated = _IDEA.search(text)
    if stated:
        return one_line(stated.group(1).strip("*_ "), IDEA_CHARS)
    before = re.split(r"^\s*(?:<{5,}|`{3,}|~{3,})", text, maxsplit=1, flags=re.MULTILINE)[0]
    prose = (line for line in before.splitlines() if len(line.split()) > 3)
    return one_line(next(prose, "no idea was stated"), IDEA_CHARS)


def edits(text: str, paths: Sequence[str]) -> list[SearchReplace]:
    """Return the search/replace blocks of a reply, in order.

    Args:
        paths: the genome's files; a block of a genome with several stands under the path that it edits.

    Raises:
        Refused: no block, a block that is not whole, or is for another file.
    """
    found: list[SearchReplace] = []
    path = paths[0] if len(paths) == 1 else None
    lines = iter(normal(text).split("\n"))
    for line in lines:
        if _SEARCH.match(line):
            number = len(found) + 1
            target = _known(path, paths, f"block {number}")
            search = _until(lines, _MIDDLE, f"block {number} has no ======= line; {CUT}")
            new = _until(lines, _REPLACE, f"block {number} does not end with >>>>>>> REPLACE; {CUT}")
            found.append(SearchReplace(target, *_unfenced(search, new)))
        else:
            path = _path_in(line, paths) or path
    if not found:
        raise Refused("it has no block of the form <<<<<<< SEARCH … ======= … >>>>>>> REPLACE")
    return found


def whole_files(text: str, paths: Sequence[str]) -> dict[str, str]:
    """Return the files that a reply gives whole, each from a fenced block; the longest block of a file counts.

    Raises:
        Refused: no block, a block that never closes, or one for another file.
    """
    found: dict[str, str] = {}
    path = paths[0] if len(paths) == 1 else None
    lines = iter(normal(text).split("\n"))
    for line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            path = _path_in(line, paths) or path
            continue
        mark = opening.group(1)
        closing = re.compile(rf"^\s*{mark[0]}{{{len(mark)},}}\s*$")
        body = "\n".join(_until(lines, closing, f"a fenced block never closes; {CUT}")) + "\n"
        target = _known(path, paths, f"fenced block {len(found) + 1}")
        found[target] = max(found.get(target, ""), body, key=len)
    if not found:
        raise Refused("it has no fenced block with a whole file")
    return found


def resolutions(text: str, count: int) -> list[str]:
    """Return the text that settles each of the numbered conflicts.

    Raises:
        Refused: one is missing, given twice, or not whole.
    """
    found: dict[int, str] = {}
    lines = iter(normal(text).split("\n"))
    for line in lines:
        opening = _SETTLED.match(line)
        if opening is None:
            continue
        number = int(opening.group(1))
        body, _ = _unfenced(
            _until(lines, _SETTLED_END, f"resolution {number} does not end with >>>>>>> RESOLUTION; {CUT}"), []
        )
        if number in found or not 1 <= number <= count:
            raise Refused(f"resolution {number} is given twice, or there is no such conflict; there are {count}")
        found[number] = body
    missing = [str(number) for number in range(1, count + 1) if number not in found]
    if missing:
        raise Refused(f"there is no block <<<<<<< RESOLUTION N … >>>>>>> RESOLUTION N for N = {', '.join(missing)}")
    return [found[number] for number in range(1, count + 1)]


def json_object(text: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return the first JSON object in a reply that has all of these keys.

    Raises:
        Refused: there is none.
    """
    text = normal(text)
    decoder = json.JSONDecoder()
    for start in list(re.finditer(r"\{", text))[:50]:
        try:
            value, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and all(key in value for key in keys):
            return value
    raise Refused(f"it has no JSON object with {', '.join(keys)}")


def normal(text: str) -> str:
    """Return a reply with plain line ends and without the thinking that some models put before it."""
    return _THINKING.sub("", text.replace("\r\n", "\n").replace("\r", "\n"), count=1)


def _until(lines: Any, end: re.Pattern[str], otherwise: str) -> list[str]:
    taken: list[str] = []
    for line in lines:
        if end.match(line):
            return taken
        taken.append(line)
    raise Refused(otherwise)


def _unfenced(*blocks: list[str]) -> tuple[str, ...]:
    """Return the blocks as texts, without fences that a model put inside all of them that have any text."""
    filled = [block for block in blocks if any(line.strip() for line in block)]
    if filled and all(len(block) > 1 and _FENCE.match(block[0]) and _FENCE.match(block[-1]) for block in filled):
        blocks = tuple(block[1:-1] if block in filled else block for block in blocks)
    return tuple("".join(line + "\n" for line in block) for block in blocks)


def _path_in(line: str, paths: Sequence[str]) -> str | None:
    """Return the path that a line of its own names, a foreign one only where it has the look of a file."""
    named = re.match(r"^[\s#*_>`]*(?:file(?:name)?\s*:)?[\s*_`]*([\w./-]+\.\w+)[\s*_`:]*$", line, re.IGNORECASE)
    path = named.group(1).removeprefix("./") if named else ""
    return path if path in paths or path.endswith(_FILE_ENDS) else None


def _known(path: str | None, paths: Sequence[str], block: str) -> str:
    if path is None:
        raise Refused(f"{block} does not say which file it is for; put one of {', '.join(paths)} on the line before it")
    if path not in paths:
        raise Refused(f"{block} is for {path}, which is not a file of this program; only {', '.join(paths)} can change")
    return path
