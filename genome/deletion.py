"""Deleting statements, branches and blocks from a Python text, so that what is left still parses."""

from __future__ import annotations

import ast
import re

from genome.genome import docstring
from genome.source import FUNCTIONS, Edit, Source, apply

BLANK_OR_COMMENT = re.compile(r"[ \t]*(#[^\n]*)?\r?\n")
COLON = re.compile(r"[\s)\\]*:")
PROTECTED = ("forward", "backward", "step", "closure", "extra_repr", "reset_parameters", "setup")


class Deletion:
    """What one round of a deletion takes out of a file: whole statements, and edits inside others."""

    def __init__(self, src: Source) -> None:
        self.src = src
        self.edits: list[Edit] = []
        self._doomed: dict[ast.stmt, None] = {}
        self._handled: set[tuple[ast.AST, str]] = set()

    def statement(self, node: ast.stmt) -> bool:
        """Delete a statement; True, so that a plan can be written as a chain of conditions."""
        self._doomed[node] = None
        return True

    def edit(self, edit: Edit | None) -> bool:
        """Add an edit; False where there is none."""
        if edit is None:
            return False
        self.edits.append(edit)
        return True

    def result(self) -> str | None:
        """Return the text after this round, or None where a block would be left empty or nothing was planned."""
        if not self._escalate():
            return None
        edits = list(self.edits)
        for node in self._doomed:
            if not any(outer in self._doomed for outer in self.src.ancestors(node)):
                edits.append(_statement_edit(self.src, node))
        return apply(self.src.text, edits) if edits else None

    def _escalate(self) -> bool:
        """A block whose every statement goes takes its owner along; False where it cannot."""
        changed = True
        while changed:
            changed = False
            for node in list(self._doomed):
                owner, name, block = self.src.block(node)
                left = [s for s in block if s not in self._doomed and s is not docstring(owner)]
                if left or (owner, name) in self._handled:
                    continue
                if not self._empty(owner, name, block):
                    return False
                self._handled.add((owner, name))
                changed = True
        return True

    def _empty(self, owner: ast.AST, name: str, block: list[ast.stmt]) -> bool:
        if isinstance(owner, ast.If | ast.For | ast.AsyncFor | ast.While) and name == "orelse":
            for statement in block:
                del self._doomed[statement]
            return self.edit(cut_else(self.src, owner))
        if isinstance(owner, ast.If) and owner.orelse:
            for statement in block:
                del self._doomed[statement]
            return self.edit(keep_else(self.src, owner))
        keeps_shape = isinstance(owner, ast.ExceptHandler | ast.match_case) or name in ("finalbody", "orelse")
        if keeps_shape or (isinstance(owner, ast.ClassDef) and owner.bases):
            for statement in block:
                self._doomed.pop(statement, None)
            kept = [s for s in block if s is not docstring(owner)]
            return self.edit(Edit(self.src.span(kept[0])[0], self.src.span(kept[-1])[1], "pass"))
        if isinstance(owner, FUNCTIONS) and (owner.name in PROTECTED or owner.name.startswith("__")):
            return False
        return isinstance(owner, ast.stmt) and self.statement(owner)


def _statement_edit(src: Source, node: ast.stmt) -> Edit:
    """Return the edit that takes a statement out, with its comment and the blank lines it leaves behind."""
    text = src.text
    start, end = src.span(node)
    line_start = text.rfind("\n", 0, start) + 1
    rest = re.compile(r"[ \t]*;?[ \t]*(#[^\n]*)?(\r?\n|$)").match(text, end)
    if rest and not text[line_start:start].strip():
        return _lines_edit(text, line_start, rest.end(), is_definition=hasattr(node, "body"))
    _, _, block = src.block(node)
    at = next(i for i, other in enumerate(block) if other is node)
    if at + 1 < len(block) and "\n" not in text[end : src.span(block[at + 1])[0]]:
        return Edit(start, src.span(block[at + 1])[0])
    if at > 0:
        return Edit(src.span(block[at - 1])[1], end)
    return Edit(start, end, "pass")


def _lines_edit(text: str, start: int, end: int, *, is_definition: bool) -> Edit:
    after_is_blank = end >= len(text) or not text[end : (text.find("\n", end) + 1) or len(text)].strip()
    first = start
    while first > 0:  # comment lines right above
        above = text.rfind("\n", 0, first - 1) + 1
        line = text[above:first]
        if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) != _indent(text, start):
            break
        first = above
    blank_above = first == 0 or not text[text.rfind("\n", 0, first - 1) + 1 : first].strip()
    if not (is_definition or (blank_above and after_is_blank)):
        first = start  # the comment may speak of the lines that follow, too
    opens_block = first > 0 and text[:first].rstrip(" \t\r\n").endswith(":")
    if blank_above or opens_block:
        while end < len(text) and not text[end : (text.find("\n", end) + 1) or len(text)].strip():
            end = (text.find("\n", end) + 1) or len(text)
    return Edit(first, end)


def _indent(text: str, line_start: int) -> int:
    return len(text) - line_start - len(text[line_start:].lstrip(" \t"))


def cut_else(src: Source, owner: ast.If | ast.For | ast.AsyncFor | ast.While) -> Edit:
    """Return the edit that takes the else (or elif) of a statement away."""
    return Edit(src.line_start((owner.body[-1].end_lineno or 0) + 1), src.line_start((owner.end_lineno or 0) + 1))


def is_elif(src: Source, node: ast.AST) -> bool:
    """Whether an If is written as `elif`."""
    return isinstance(node, ast.If) and src.text.startswith("elif", src.span(node)[0])


def keep_else(src: Source, owner: ast.If) -> Edit | None:
    """Return the edit that takes the test and its arm away and keeps what stands under else or elif."""
    start = src.span(owner)[0]
    first = owner.orelse[0]
    if is_elif(src, first):
        return Edit(start, src.span(first)[0] + len("elif"), "elif" if is_elif(src, owner) else "if")
    gap = src.text[src.span(owner.body[-1])[1] : src.span(first)[0]]
    found = re.search(r"^[ \t]*(else)[ \t]*:", gap, re.MULTILINE)
    if found is None:
        return None
    if is_elif(src, owner):
        return Edit(start, src.span(owner.body[-1])[1] + found.start(1))
    return _unwrap(src, owner, owner.orelse, src.span(owner.body[-1])[1] + found.end())


def keep_body(src: Source, owner: ast.stmt) -> Edit | None:
    """Return the edit that takes the head of an if, loop, with or try away and keeps its body once."""
    body: list[ast.stmt] = owner.body  # type: ignore[attr-defined]
    head = src.span(body[0])[0]
    colon = src.text.rfind(":", src.span(owner)[0], head)
    between = src.text[colon + 1 : head]
    if "#" in between:
        found = re.compile(r":[ \t]*(#[^\n]*)?\n").search(src.text, src.span(_head_end(owner))[1], head)
        if found is None:
            return None
        colon = found.start()
    if is_elif(src, owner):
        start, end = src.span(owner)
        return Edit(start, end, "else" + src.text[colon : src.span(body[-1])[1]])
    return _unwrap(src, owner, body, colon + 1)


def _head_end(owner: ast.stmt) -> ast.AST:
    if isinstance(owner, ast.If | ast.While):
        return owner.test
    if isinstance(owner, ast.For | ast.AsyncFor):
        return owner.iter
    if isinstance(owner, ast.With | ast.AsyncWith):
        return owner.items[-1].optional_vars or owner.items[-1].context_expr
    return owner


def _unwrap(src: Source, owner: ast.stmt, body: list[ast.stmt], after_colon: int) -> Edit | None:
    """Return the edit that puts a block in its owner's place, moved left, comments inside it included."""
    text = src.text
    start, end = src.span(owner)
    first, last = src.span(body[0])[0], src.span(body[-1])[1]
    line_end = text.find("\n", after_colon)
    if line_end < 0 or line_end > first:
        return Edit(start, end, text[first:last])
    outer = text[text.rfind("\n", 0, start) + 1 : start]
    inner = text[text.rfind("\n", 0, first) + 1 : first]
    if outer.strip() or inner.strip() or not inner.startswith(outer):
        return None
    fixed = _inside_text(src, owner)
    lines = text[line_end + 1 : last].split("\n")
    number = text.count("\n", 0, line_end + 1) + 1
    moved = [
        line if number + i in fixed or not line.startswith(inner) else outer + line[len(inner) :]
        for i, line in enumerate(lines)
    ]
    return Edit(start, end, "\n".join(moved)[len(outer) :] if moved[0].startswith(outer) else "\n".join(moved).lstrip())


def _inside_text(src: Source, owner: ast.AST) -> set[int]:
    """Return the lines that begin inside a text literal and so may not be moved."""
    found: set[int] = set()
    for node in ast.walk(owner):
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            found.update(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    return found
