"""Configuration errors as one line that names the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NOISE = ("To append", "full_key", "object_type", "reference_type", "See ", "Available options", "Error in call")


def in_words(error: Exception, conf: Path) -> str:
    """Return what is wrong, the value, and the nearest key or choice that exists under `conf`."""
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    choice = re.search(r"Could not find '([^']+)'", str(error))
    if unknown:
        key = _full_key(unknown.group(1), str(error))
        text = f"there is no key {key!r}{_nearest(key, _keys(conf))}"
    elif choice:
        group, _, name = choice.group(1).rpartition("/")
        names = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        text = f"there is no {group}={name}; there are {', '.join(names)}"
    else:
        text = _first_line(_cause(error))
    return f"{text} (evolve --help lists what can be set)"


def _full_key(overridden: str, message: str) -> str:
    """Return the key that does not exist, which may lie inside the value that was given."""
    inner = re.search(r"Key '([^']+)' is not in struct", message)
    if inner is None or inner.group(1) in overridden.split("."):
        return overridden
    return f"{overridden}.{inner.group(1)}"


def _cause(error: BaseException) -> BaseException:
    """Return what a constructor said, which Hydra wraps in an error of its own."""
    while isinstance(error.__cause__, ValueError | TypeError | OSError):
        error = error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line and not line.startswith(NOISE)), type(error).__name__)


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys(conf: Path) -> list[str]:
    groups = [(path.parent.name, path) for path in sorted(conf.glob("*/*.yaml"))]
    return [key for group, path in [("", conf / "config.yaml"), *groups] for key in _walk(_load(path), group)]


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _walk(node: Any, prefix: str) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from _walk(value, key)
