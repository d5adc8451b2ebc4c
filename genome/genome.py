"""What an individual is made of: its files, their size, and the digest that tells two genomes apart."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType

FREE_NUMBER_CHARS = 4  # 1024, 3e-4 and 0.95 cost one node; digits beyond that are paid for
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
        return ast.parse(text)
    except SyntaxError as error:
        raise GenomeError(f"{path} does not parse: {error.msg} (line {error.lineno})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise GenomeError(f"{path} does not parse: {type(error).__name__}: {error}") from None


def code_size(text: str, path: str) -> int:
    """Return the code size of one file.

    Python: the syntax nodes of the tree without docstrings. A text literal costs its bytes on top, a number its
    characters beyond four, so that code hidden in a literal is larger than the code. Names, comments and layout are
    free. Other text: words and punctuation marks, a long word counting once for each 16 characters.
    """
    if not path.endswith(".py"):
        return sum(-(-len(token) // FREE_WORD_CHARS) for token in re.findall(r"\w+|[^\w\s]", text))
    return sum(node_cost(node) for node in walk(parse(text, path)))


def canonical(text: str, path: str) -> str:
    """Return the text that counts: for Python the tree without docstrings, elsewhere the text itself.

    Written out here rather than with `ast.dump`, whose output changes between Python versions.
    """
    if not path.endswith(".py"):
        return text
    return " ".join(_canonical_tokens(parse(text, path)))


def count_lines(text: str) -> int:
    """Return the number of lines that are neither blank nor only a `#` comment."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every syntax node that counts: no docstrings, and no load/store marks."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.expr_context):
            continue
        yield node
        docstring = _docstring(node)
        waiting.extend(child for child in ast.iter_child_nodes(node) if child is not docstring)


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
        raise GenomeError(f"{path!r} is not a plain relative path inside the workspace, such as train.py")


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return None
    first = node.body[0]
    if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
        return None
    return first if isinstance(first.value.value, str) else None


def node_cost(node: ast.AST) -> int:
    """Return what one syntax node counts, without the nodes below it."""
    if not isinstance(node, ast.Constant):
        return 1
    value = node.value
    if isinstance(value, str):
        return 1 + len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return 1 + len(value)
    if isinstance(value, int | float | complex) and not isinstance(value, bool):
        return 1 + max(0, len(_number_text(value)) - FREE_NUMBER_CHARS)
    return 1


def _number_text(value: complex) -> str:
    # str() of a huge int is refused by Python beyond 4,300 digits; hexadecimal never is
    return f"{value:x}" if isinstance(value, int) and abs(value) >= 10**18 else repr(value).replace("e-0", "e-")


def _canonical_tokens(tree: ast.AST) -> Iterator[str]:
    waiting: list[object] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, ast.AST):
            fields = [(name, value) for name, value in ast.iter_fields(item) if name not in _MARKS]
            docstring = _docstring(item)
            yield f"({type(item).__name__}"
            waiting.append(_CLOSE)
            for name, value in reversed(fields):
                if (value is None and not isinstance(item, ast.Constant)) or value == []:
                    continue
                kept = [entry for entry in value if entry is not docstring] if isinstance(value, list) else value
                waiting.extend((kept, _Field(name)))
        elif isinstance(item, list):
            yield f"[{len(item)}"
            waiting.extend(reversed(item))
        elif isinstance(item, _Field):
            yield item
        elif item is _CLOSE:
            yield ")"
        else:
            yield repr(item) if not isinstance(item, int) or abs(item) < 10**18 else hex(item)


class _Field(str):
    """A field's name in the canonical form, told apart from a string that the program holds."""


_CLOSE = object()
_MARKS = ("ctx", "kind", "type_comment")  # fields that say nothing about what the program does
