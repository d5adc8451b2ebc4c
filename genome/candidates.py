"""What may be deleted from a Python file: each part with its name in words, what it saves, and how it goes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from genome.arguments import default_of, drop_parameter
from genome.deletion import PROTECTED, Deletion, cut_else, keep_body, keep_else
from genome.genome import docstring
from genome.repair import (
    drop_condition,
    drop_decorator,
    drop_definition,
    drop_use,
    is_wrapper,
    unused,
    unwrap_call,
)
from genome.scopes import parameters
from genome.soundness import Facts
from genome.source import FUNCTIONS, Edit, Source, keep_operand, replace_by_child

LARGEST = 0.2  # share of a file that one deletion may name; more is another program
SMALL = 40  # nodes that may always go, for programs of a few lines
WORDS = 48  # characters of code quoted in an idea
WEIGHTS = {
    "unused": 8.0,
    "definition": 1.5,
    "branch": 1.2,
    "statement": 1.0,
    "wrapper": 1.0,
    "loop": 0.8,
    "parameter": 0.6,
    "argument": 0.6,
    "term": 0.6,
    "decorator": 0.4,
}
NEEDED_DECORATORS = ("dataclass", "property", "staticmethod", "classmethod", "setter", "overload", "autograd_function")
# f(x) → x would put a size, a file or an iterator where a tensor or a list was, or the reverse
# fmt: off
NO_WRAPPERS = frozenset((
    "Path", "all", "any", "append", "arange", "bytes", "cat", "chr", "dict", "empty", "enumerate", "extend", "format",
    "from_numpy", "full", "get", "getattr", "hasattr", "id", "index", "int", "isinstance", "iter", "join", "len",
    "list", "manual_seed", "map", "next", "ones", "open", "ord", "print", "rand", "randint", "randn", "range",
    "repr", "set", "sorted", "split", "stack", "str", "sum", "super", "tensor", "tuple", "type", "update",
    "zeros", "zip",
))
PLAIN_METHODS = frozenset((
    "abs", "bfloat16", "clone", "contiguous", "copy", "cpu", "detach", "double", "exp", "float", "half", "log", "lower",
    "relu", "sigmoid", "sqrt", "square", "strip", "tanh",
))
# fmt: on


@dataclass(frozen=True)
class Candidate:
    """One part that may go.

    Attributes:
        what: the part in words, such as "the function estimate_flops".
        line: where it stands.
        saved: syntax nodes that go at least.
        plan: puts the first round of its deletion into a plan; False where it cannot go.
    """

    kind: str
    what: str
    line: int
    saved: int
    plan: Callable[[Deletion], bool]

    @property
    def weight(self) -> float:
        """Chance of being tried, relative to the others."""
        return WEIGHTS[self.kind] * float(self.saved) ** 0.5


def candidates(facts: Facts) -> list[Candidate]:
    """Return what may be deleted from a file, in reading order; unused definitions first."""
    src = facts.src
    limit = max(SMALL, LARGEST * src.cost[src.tree])
    skipped = _fixed(src)
    found = [*_unused(facts)]
    for node in src.nodes:
        if node in skipped:
            continue
        if isinstance(node, ast.stmt):
            found.extend(_statements(facts, node))
        elif isinstance(node, ast.expr | ast.keyword):
            found.extend(_expressions(src, node))
        elif isinstance(node, ast.arg):
            found.extend(_parameters(facts, node))
    return [c for c in found if 0 < c.saved <= limit]


def _fixed(src: Source) -> set[ast.AST]:
    """Return the nodes that are not touched: docstrings, the insides of f-strings and annotations, the entry point."""
    fixed: set[ast.AST] = {src.tree.body[-1]} if src.tree.body else set()
    for node in src.nodes:
        inside = node in src.parent and src.parent[node] in fixed and not isinstance(src.parent[node], ast.stmt)
        annotation = isinstance(src.parent.get(node), ast.AnnAssign | ast.arg) and isinstance(node, ast.expr)
        annotation = annotation and getattr(src.parent[node], "annotation", None) is node
        if inside or annotation or isinstance(node, ast.JoinedStr):
            fixed.add(node)
        described = docstring(node)
        if described is not None:
            fixed.add(described)
    return fixed


def _unused(facts: Facts) -> Iterator[Candidate]:
    for (kind, scope, name), nodes in unused(facts).items():
        where = f"{scope}.{name}" if scope else name
        saved = 0
        for node in nodes:
            statement = facts.src.statement(node)
            whole = statement is not None and not isinstance(node, ast.arg | ast.alias)
            saved += facts.src.cost[statement] if whole and statement is not None else facts.src.cost[node]

        def plan(deletion: Deletion, nodes: list[ast.AST] = nodes) -> bool:
            return all(drop_definition(deletion, facts, node) for node in nodes)

        line = getattr(nodes[0], "lineno", 1)
        yield Candidate("unused", f"unused {_noun(facts.src, nodes[0], kind)} {where}", line, saved, plan)


def _noun(src: Source, node: ast.AST, kind: str) -> str:
    if isinstance(node, ast.ClassDef):
        return "class"
    if isinstance(node, ast.alias):
        return "import"
    if isinstance(node, ast.arg):
        return "parameter"
    if isinstance(node, FUNCTIONS):
        return "method" if isinstance(src.parent[node], ast.ClassDef) else "function"
    if kind == "attribute":
        return "attribute"
    return "constant" if isinstance(src.parent.get(src.statement(node) or node), ast.Module) else "variable"


def _statements(facts: Facts, node: ast.stmt) -> Iterator[Candidate]:
    src = facts.src
    if not isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.Global | ast.Nonlocal | ast.Return):
        kind, what = _name(src, node)
        needed = isinstance(node, FUNCTIONS) and (node.name in PROTECTED or node.name.startswith("__"))
        if not needed and not what.startswith("`super().__init__"):
            yield _candidate(src, kind, what, node, src.cost[node], lambda deletion: deletion.statement(node))
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        for decorator in node.decorator_list:
            code = src.code(decorator)
            if not any(needed in code for needed in NEEDED_DECORATORS):
                yield _candidate(
                    src, "decorator", f"the decorator @{_quote(code)} of {node.name}", decorator, src.cost[decorator],
                    _edit(partial(drop_decorator, src, decorator)),
                )  # fmt: skip
    elif isinstance(node, ast.If):
        yield from _branches(src, node)
    elif isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try):
        head = src.cost[node] - sum(src.cost[s] for s in node.body)
        what = f"`{_head(src, node)}`, keeping its body"
        yield _candidate(src, "loop", what, node, head, _edit(partial(keep_body, src, node)))


def _branches(src: Source, node: ast.If) -> Iterator[Candidate]:
    head, total = _head(src, node), src.cost[node]
    body, other = sum(src.cost[s] for s in node.body), sum(src.cost[s] for s in node.orelse)
    yield _candidate(
        src, "branch", f"the test of `{head}`, keeping what it guards", node, total - body,
        _edit(partial(keep_body, src, node)),
    )  # fmt: skip
    if node.orelse:
        yield _candidate(
            src, "branch", f"the arm of `{head}`, keeping the else", node, total - other,
            _edit(partial(keep_else, src, node)),
        )  # fmt: skip
        yield _candidate(src, "branch", f"the else of `{head}`", node, other, _edit(partial(cut_else, src, node)))


def _expressions(src: Source, node: ast.expr | ast.keyword) -> Iterator[Candidate]:
    if isinstance(node, ast.keyword):
        call = src.parent[node]
        if node.arg and isinstance(call, ast.Call):
            what = f"the argument {_quote(src.code(node))} of {_quote(src.code(call.func))}"
            yield _candidate(src, "argument", what, node, src.cost[node], lambda deletion: drop_use(deletion, node))
    elif isinstance(node, ast.Call):
        inner = _wrapped(src, node)
        if inner is not None:
            what = f"`{_quote(src.code(node.func))}` around `{_quote(src.code(inner))}`"
            saved = src.cost[node] - src.cost[inner]
            yield _candidate(src, "wrapper", what, node, saved, partial(_unwrap, call=node, kept=inner))
    elif isinstance(node, ast.IfExp):
        for kept in (node.body, node.orelse):
            what = f"the choice `{_quote(src.code(node))}`, keeping `{_quote(src.code(kept))}`"
            yield _keep(src, "branch", what, node, kept)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            what = f"the condition `{_quote(src.code(value))}`"
            yield _candidate(
                src, "term", what, value, src.cost[value],
                _edit(partial(drop_condition, src, node, value)),
            )  # fmt: skip
    elif isinstance(node, ast.BinOp):
        yield from _terms(src, node)


def _terms(src: Source, node: ast.BinOp) -> Iterator[Candidate]:
    text = any(
        isinstance(side, ast.Constant | ast.JoinedStr) and not _is_number(side) for side in (node.left, node.right)
    )
    if text or not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
        return
    for left in (True, False):
        if not left and isinstance(node.op, ast.Sub | ast.Div):
            continue
        gone = node.right if left else node.left
        what = f"`{_quote(src.code(gone))}` from `{_quote(src.code(node))}`"
        yield _candidate(
            src, "term", what, node, src.cost[gone] + 2,
            _edit(partial(keep_operand, src, node, left=left)),
        )  # fmt: skip


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _wrapped(src: Source, call: ast.Call) -> ast.expr | None:
    """Return x where `f(x)` or `x.f()` may become x."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if isinstance(src.parent[call], ast.Expr):
        return None
    if not call.args and not call.keywords and isinstance(call.func, ast.Attribute) and name in PLAIN_METHODS:
        return call.func.value
    one = len(call.args) == 1 or "drop" in name.lower() or name.startswith(("clamp", "clip"))
    if not one or name in NO_WRAPPERS or name[:1].isupper() or name.endswith("_") or not is_wrapper(src, call):
        return None
    return call.args[0]


def _parameters(facts: Facts, node: ast.arg) -> Iterator[Candidate]:
    src = facts.src
    arguments = src.parent[node]
    if not isinstance(arguments, ast.arguments) or node not in parameters(arguments):
        return
    func = src.parent[arguments]
    default = default_of(src, node) if isinstance(func, FUNCTIONS) else None
    if default is not None and isinstance(func, FUNCTIONS):
        what = f"the parameter {node.arg}={_quote(src.code(default))} of {func.name}"
        saved = src.cost[node] + src.cost[default]
        yield _candidate(src, "parameter", what, node, saved, lambda deletion: drop_parameter(deletion, facts, node))


def _candidate(
    src: Source, kind: str, what: str, node: ast.AST, saved: int, plan: Callable[[Deletion], bool]
) -> Candidate:
    return Candidate(kind, what, getattr(node, "lineno", 1), saved, plan)


def _edit(make: Callable[[], Edit | None]) -> Callable[[Deletion], bool]:
    return lambda deletion: deletion.edit(make())


def _unwrap(deletion: Deletion, call: ast.Call, kept: ast.expr) -> bool:
    return unwrap_call(deletion, call, kept)


def _keep(src: Source, kind: str, what: str, node: ast.expr, kept: ast.expr) -> Candidate:
    saved = src.cost[node] - src.cost[kept]
    return _candidate(src, kind, what, node, saved, _edit(partial(replace_by_child, src, node, kept)))


def _name(src: Source, node: ast.stmt) -> tuple[str, str]:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        scope = src.scope(node)
        return "definition", f"the {_noun(src, node, 'name')} {scope + '.' if scope else ''}{node.name}"
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name | ast.Attribute):
        top = isinstance(src.parent[node], ast.Module | ast.ClassDef)
        named = isinstance(target, ast.Attribute) or top
        return ("definition" if named else "statement"), f"`{_quote(src.code(node))}`"
    return "statement", f"`{_head(src, node)}`" if hasattr(node, "body") else f"`{_quote(src.code(node))}`"


def _head(src: Source, node: ast.AST) -> str:
    return _quote(src.code(node).split("\n", 1)[0].rstrip(": "))


def _quote(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= WORDS else line[: WORDS - 1].rstrip() + "…"
