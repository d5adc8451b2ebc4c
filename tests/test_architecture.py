"""The picture of docs/architecture.md, held against the imports of the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "genome": {"genome"},
    "llm_mutator": {"llm_mutator", "genome"},
    "fitness": {"fitness", "genome"},
    "archive": {"archive", "genome"},
    "evolve": {"evolve", "llm_mutator", "fitness", "archive", "genome"},
}
ONLY_IN = {
    "hydra": ("evolve/__main__.py",),
    "omegaconf": ("evolve/__main__.py",),
    "deap": ("evolve/selection.py",),
    "openai": ("llm_mutator/",),
    "sqlite_utils": ("archive/",),
    "git": ("archive/",),
    "torch": ("fitness/", "genome/seeds/"),
}


def sources() -> list[Path]:
    return sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_only(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert {name for name in imports(path) if name in MAY_IMPORT} <= MAY_IMPORT[package]


@pytest.mark.parametrize("library", ONLY_IN)
def test_each_library_is_known_in_one_place(library: str) -> None:
    users = [str(path.relative_to(ROOT)) for path in sources() if library in imports(path)]
    assert users
    assert not [user for user in users if not user.startswith(ONLY_IN[library])]


def test_the_engine_process_never_imports_torch() -> None:
    code = "import sys, evolve.__main__, fitness.training, archive.cli, fitness.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_every_configured_key_is_read_somewhere() -> None:
    """A key is read when the code names it, or a constructor that `_target_` names takes it."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*sources(), *(ROOT / "conf").rglob("*.yaml")])
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        for key in _keys(yaml.safe_load(path.read_text(encoding="utf-8"))):
            uses = text.count(key)
            assert uses > 1, f"{path.relative_to(ROOT)}: nothing reads {key}"


def _keys(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("hydra", "mix", "models", "prices", "defaults"):
                continue
            yield str(key)
            yield from _keys(value)
