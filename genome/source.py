"""Python text with its syntax tree: where each node stands, and edits that keep every other byte."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from genome.genome import node_cost, parse
from genome.scopes import children

Block = tuple[ast.AST, str, list[ast.stmt]]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)
NEEDS_PARENTHESES = (
    ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda, ast.UnaryOp, ast.Await, ast.NamedExpr, ast.Yield
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """Replace the characters from start to end by a text."""

    start: int
    end: int
    text: str = ""


class Source:
    """One Python file: text, syntax tree, and for each node its parent, its place and its code size."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parse(text)
        self.parent: dict[ast.AST, ast.AST] = {}
        self.cost: dict[ast.AST, int] = {}
        self.nodes: list[ast.AST] = []  # in reading order, outer before inner
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
        self._ascii = text.isascii()
        self._index()

    def _index(self) -> None:
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            node = waiting.pop()
            self.nodes.append(node)
            self.cost[node] = node_cost(node)
            below = children(node)
            for child in below:
                self.parent[child] = node
            waiting.extend(reversed(below))
        aliases = [node for node in self.nodes if isinstance(node, ast.alias)]
        self.imported = frozenset(alias.asname or alias.name.split(".")[0] for alias in aliases)
        for node in reversed(self.nodes[1:]):
            self.cost[self.parent[node]] += self.cost[node]

    def line_start(self, line: int) -> int:
        """Return the offset of a line's first character; lines count from 1."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the offsets of a node's first character and of the one after its last; decorators included."""
        first: ast.AST = node
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            first = node.decorator_list[0]
            return self.text.rindex("@", 0, self._offset(first, end=False)), self._offset(node, end=True)
        return self._offset(first, end=False), self._offset(node, end=True)

    def _offset(self, node: ast.AST, *, end: bool) -> int:
        line: int = getattr(node, "end_lineno" if end else "lineno")
        column: int = getattr(node, "end_col_offset" if end else "col_offset")
        start = self._starts[line - 1]
        if self._ascii:
            return start + column
        text = self.text[start : self.line_start(line + 1)]
        return start + len(text.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "surrogatepass"))

    def code(self, node: ast.AST) -> str:
        """Return a node's own text."""
        start, end = self.span(node)
        return self.text[start:end]

    def ancestors(self, node: ast.AST) -> Iterable[ast.AST]:
        """Yield the nodes around this one, innermost first."""
        while node in self.parent:
            node = self.parent[node]
            yield node

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """Return the innermost statement that holds the node, or the node where it is one."""
        while not isinstance(node, ast.stmt):
            if node not in self.parent:
                return None
            node = self.parent[node]
        return node

    def block(self, statement: ast.stmt) -> Block:
        """Return the owner, the field and the list of the block that a statement stands in."""
        owner = self.parent[statement]
        for name, value in ast.iter_fields(owner):
            if isinstance(value, list) and any(entry is statement for entry in value):
                return owner, name, value
        raise ValueError(f"{type(statement).__name__} stands in no block")

    def in_text(self, node: ast.AST) -> bool:
        """Whether the node stands inside an f-string, where its place is not known before Python 3.12."""
        return any(isinstance(outer, ast.JoinedStr) for outer in self.ancestors(node))

    def scope(self, node: ast.AST) -> str:
        """Return the dotted name of the functions and classes around a node; empty at the top."""
        names = [outer.name for outer in self.ancestors(node) if isinstance(outer, (*FUNCTIONS, ast.ClassDef))]
        return ".".join(reversed(names))


@lru_cache(maxsize=32)
def source(text: str) -> Source:
    """Return the Source of a text, kept for the next birth from the same parent."""
    return Source(text)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return the text after the edits; of two that overlap only the longer one is done."""
    done: list[Edit] = []
    for edit in sorted(edits, key=lambda e: (e.start - e.end, e.start, e.text)):
        if all(edit.end <= other.start or edit.start >= other.end for other in done):
            done.append(edit)
    for edit in sorted(done, key=lambda e: (e.start, e.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def replace_by_child(src: Source, node: ast.AST, child: ast.AST) -> Edit:
    """Return the edit that puts a part of an expression in the place of the whole."""
    start, end = src.span(node)
    text = src.code(child)
    outer = src.parent[node]
    tight = isinstance(outer, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare | ast.Await | ast.Starred | ast.IfExp)
    tight = tight or (isinstance(outer, ast.Attribute | ast.Subscript) and outer.value is node)
    tight = tight or (isinstance(outer, ast.Call) and outer.func is node)
    bare = isinstance(child, NEEDS_PARENTHESES) or (isinstance(child, ast.Tuple) and not text.startswith("("))
    number = isinstance(child, ast.Constant) and isinstance(outer, ast.Attribute)
    if isinstance(child, ATOMS) and not number and "\n" not in text:
        return Edit(*_with_parentheses(src, node), text)
    wrap = (tight and bare) or number or (bare and "\n" in text)
    return Edit(start, end, f"({text})" if wrap else text)


def _with_parentheses(src: Source, node: ast.AST) -> tuple[int, int]:
    """Return a node's place, with the parentheses that only group it."""
    text, (start, end) = src.text, src.span(node)
    outer = src.parent[node]
    while text[start - 1 : start] == "(" and text[end : end + 1] == ")":
        before = text[: start - 1][-1:]
        spaced = text[max(0, start - 80) : start - 1].rstrip()[-1:]
        if re.match(r"[\w\])\"']", spaced if isinstance(outer, ast.Call | ast.ClassDef) else before):
            break  # the parentheses of a call, or a keyword that needs them as a space
        start, end = start - 1, end + 1
    return start, end


def keep_operand(src: Source, node: ast.BinOp, *, left: bool) -> Edit | None:
    """Return the edit that cuts one operand and the operator away, or None where a comment stands between."""
    start, end = src.span(node)
    kept = node.left if left else node.right
    if isinstance(kept, ATOMS) and "\n" not in src.code(kept):
        return Edit(*_with_parentheses(src, node), src.code(kept))
    left_end, right_start = src.span(node.left)[1], src.span(node.right)[0]
    gap = re.fullmatch(r"([\s)\\]*)([^\s()#\\]+)([\s(\\]*)", src.text[left_end:right_start])
    if gap is None:
        return None
    if left:
        return Edit(left_end + gap.group(1).rfind(")") + 1, end)
    opened = gap.group(3).find("(")
    return Edit(start, right_start if opened < 0 else right_start - len(gap.group(3)) + opened)


def drop_item(src: Source, item: tuple[int, int], items: Sequence[tuple[int, int]]) -> Edit:
    """Return the edit that takes one entry out of a comma-separated list.

    Args:
        item: offsets of the entry.
        items: offsets of all entries, in order.
    """
    text, (start, end) = src.text, item
    line_start = text.rfind("\n", 0, start) + 1
    tail = re.compile(r"[ \t]*,[ \t]*(#[^\n]*)?\r?\n").match(text, end)
    if tail and not text[line_start:start].strip():
        return Edit(line_start, tail.end())
    at = items.index(item)
    if at + 1 < len(items):
        return Edit(start, items[at + 1][0])
    if at > 0:
        return Edit(items[at - 1][1], end)
    comma = re.compile(r"\s*,").match(text, end)
    return Edit(start, comma.end() if comma else end)


def call_items(src: Source, call: ast.Call) -> dict[ast.AST, tuple[int, int]]:
    """Return where each argument of a call stands, its own parentheses included, in order of place."""
    low = src.text.index("(", src.span(call.func)[1])
    return _items(src, [*call.args, *call.keywords], low, src.span(call)[1] - 1)


def display_items(src: Source, node: ast.List | ast.Tuple | ast.Set) -> dict[ast.AST, tuple[int, int]]:
    """Return where each element of a list, tuple or set stands."""
    start, end = src.span(node)
    bracketed = src.text[start] in "([{" and src.text[end - 1] in ")]}"
    return _items(src, node.elts, start if bracketed else start - 1, end - 1 if bracketed else end)


def _items(src: Source, nodes: Sequence[ast.AST], low: int, high: int) -> dict[ast.AST, tuple[int, int]]:
    found = {}
    for node in sorted(nodes, key=src.span):
        start, end = src.span(node)
        while True:
            before = len(src.text[:start].rstrip()) - 1
            after = re.compile(r"\s*\)").match(src.text, end)
            if before <= low or src.text[before] != "(" or after is None or after.end() > high:
                break
            start, end = before, after.end()
        found[node] = (start, end)
    return found
