"""What an individual is made of: its files, their size, and the digest that tells two genomes apart."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType

FREE_NUMBER_CHARS = 4  # 1024, 3e-4 and 0.95 cost one node; digits beyond that are paid for
FREE_NAME_CHARS = 32  # names are free; beyond this length one is paid for as the text it could hold
FREE_WORD_CHARS = 16  # a longer "word" is paid for by length, so that text cannot hide in one


class GenomeError(ValueError):
    """A genome that cannot exist: no files, an unsafe path, or Python that does not parse."""


@dataclass(frozen=True)
class Genome:
    """The files that are evolved, by their path inside the workspace.

    Raises:
        GenomeError: there is no file, a path leaves the workspace, or a `.py` file does not parse.
    """

    files: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.files:
            raise GenomeError("a genome has at least one file; got none")
        for path, text in self.files.items():
            _check_path(path)
            if path.endswith(".py"):
                parse(text, path)
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))

    @cached_property
    def size(self) -> int:
        """Code size in syntax nodes (Python) or words and punctuation (other text); see `code_size`."""
        return sum(code_size(text, path) for path, text in self.files.items())

    @cached_property
    def lines(self) -> int:
        """Lines that hold code: neither blank nor only a comment."""
        return sum(count_lines(text) for text in self.files.values())

    @cached_property
    def digest(self) -> str:
        """Hexadecimal sha256 of the canonical form: equal when only layout, comments or docstrings differ."""
        hasher = hashlib.sha256()
        for path, text in self.files.items():
            hasher.update(f"{path}\0{canonical(text, path)}\0".encode("utf-8", "surrogatepass"))
        return hasher.hexdigest()

    def replaced(self, path: str, text: str) -> Genome:
        """Return this genome with one of its files replaced."""
        if path not in self.files:
            raise GenomeError(f"{path} is not a file of this genome; it has {', '.join(self.files)}")
        return Genome({**self.files, path: text})

    def __hash__(self) -> int:
        return hash(tuple(self.files.items()))


def parse(text: str, path: str = "<genome>") -> ast.Module:
    """Return the syntax tree; every way in which Python can refuse the text becomes one GenomeError."""
    try:
        return _tree(text)
    except SyntaxError as error:
        raise GenomeError(f"{path} does not parse: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise GenomeError(f"{path} does not parse: {type(error).__name__}: {error}") from None


@lru_cache(maxsize=16)  # to check a genome, to measure and to edit it take one parse; nobody changes the tree
def _tree(text: str) -> ast.Module:
    return ast.parse(text)


def code_size(text: str, path: str) -> int:
    """Return the code size of one file.

    Python: the syntax nodes of the tree without docstrings. A text literal costs its bytes on top, a number its
    characters beyond four, so that code hidden in a literal is larger than the code. Names, comments and layout are
    free, but a name counts as a text beyond 32 bytes and in `dict(name=...)`. Other text: words and punctuation
    marks, a long word counting once for each 16 characters.
    """
    return _measure(text, path)[0]


def canonical(text: str, path: str) -> str:
    """Return the text that counts: for Python the tree without docstrings, elsewhere the text itself.

    Written out here rather than with `ast.dump`, whose output changes between Python versions.
    """
    return _measure(text, path)[1]


def count_lines(text: str) -> int:
    """Return the number of lines that are neither blank nor only a `#` comment."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
        raise GenomeError(f"{path!r} is not a plain relative path inside the workspace, such as train.py")


def docstring(node: ast.AST) -> ast.Expr | None:
    """Return the docstring of a module, class or function, if the node is one and has one."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return None
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    return first if isinstance(first.value.value, str) else None


def node_cost(node: ast.AST) -> int:
    """Return what one syntax node counts, without the nodes below it."""
    if not isinstance(node, ast.Constant):
        named = _NAMED.get(node.__class__)
        return 1 if named is None else 1 + _name_cost(node, named)
    value = node.value
    if isinstance(value, str):
        return 1 + len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return 1 + len(value)
    if isinstance(value, int | float | complex) and not isinstance(value, bool):
        return 1 + max(0, len(_number_text(value)) - FREE_NUMBER_CHARS)
    return 1


def _name_cost(node: ast.AST, field: str) -> int:
    """Return the surcharge of a name that is long enough to be a text, and of `dict(a=0)`, which is `{"a": 0}`."""
    if isinstance(node, ast.Call):
        records = isinstance(node.func, ast.Name) and node.func.id == "dict"
        return sum(len((keyword.arg or "").encode()) for keyword in node.keywords) if records else 0
    name = getattr(node, field) or ""
    return 0 if len(name) <= FREE_NAME_CHARS // 4 else max(0, len(name.encode()) - FREE_NAME_CHARS)


def _number_text(value: complex) -> str:
    # str() of a huge int is refused by Python beyond 4,300 digits; hexadecimal never is
    return f"{value:x}" if isinstance(value, int) and abs(value) >= 10**18 else repr(value).replace("e-0", "e-")


@lru_cache(maxsize=8)  # a genome just born is asked for its size, then for its digest
def _measure(text: str, path: str) -> tuple[int, str]:
    """Return size and canonical form of one file, in one pass over its tree: this runs for every birth.

    The form lists the nodes from the root down. Each gives its class and what its fields hold: a value as it is, a
    list by its length; empty fields are left out. Child nodes follow in a fixed order, so that no two trees share it.
    """
    if not path.endswith(".py"):
        return sum(-(-len(token) // FREE_WORD_CHARS) for token in re.findall(r"\w+|[^\w\s]", text)), text
    size = 0
    form: list[str] = []
    waiting: list[object] = [parse(text, path)]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.AST):
            form.append(_value_text(node))
            continue
        kind = node.__class__
        size += node_cost(node) if kind in _PRICED else 1
        form.append(kind.__name__)
        hidden = docstring(node) if kind in _DOCUMENTED else None
        for field in node._fields:
            value = getattr(node, field, None)
            if value.__class__ is list:
                kept = value[1:] if hidden is not None and field == "body" else value
                if kept:
                    form.append(f"{field}[{len(kept)}]")
                    waiting.extend(kept)
            elif isinstance(value, ast.AST):
                if field != "ctx":
                    form.append(field)
                    waiting.append(value)
            elif field not in _MARKS and (value is not None or kind is ast.Constant):
                form.append(f"{field}={_value_text(value)}")
    return size, " ".join(form)


def _value_text(value: object) -> str:
    return hex(value) if type(value) is int and abs(value) >= 10**18 else repr(value)


_DOCUMENTED = frozenset((ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
_NAMED: dict[type[ast.AST], str] = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.arg: "arg",
    ast.keyword: "arg",
    ast.alias: "name",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.Call: "func",
}
_PRICED = frozenset((ast.Constant, *_NAMED))
_MARKS = frozenset(("ctx", "kind", "type_comment"))  # fields that say nothing about what the program does
