"""Which names a Python file defines and uses, scope by scope, and whether each is bound when it is read."""

from __future__ import annotations

import ast
import builtins
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["module", "class", "function", "comprehension"]
State = Literal["bound", "unsure", "builtin", "undefined"]
BUILTINS = frozenset(dir(builtins)) | {
    "__file__",
    "__path__",
    "__annotations__",
    "__class__",
    "__qualname__",
    "__module__",
}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Scope:
    """A module, class, function or comprehension with the nodes that bind each of its names."""

    node: ast.AST
    kind: Kind
    path: str
    outer: Scope | None
    bindings: dict[str, list[ast.AST]] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)  # declared global or nonlocal


@dataclass(frozen=True)
class Reference:
    """One reading of a name.

    Attributes:
        owner: the scope that binds it, or None for a builtin or an undefined name.
        state: unsure when some way to this place binds it and another does not.
        counts: False for `x += 1`, which reads x but does not make it useful.
    """

    node: ast.AST
    name: str
    scope: Scope
    owner: Scope | None
    state: State
    counts: bool = True


class Names:
    """All scopes and references of one file.

    Attributes:
        sure: names that are certainly bound when the module has run.
        star: the file has `from x import *`, so that any name may come from there.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree, "module", "", None)
        self.scopes = [self.module]
        self.references: list[Reference] = []
        self.star = False
        self._later: deque[tuple[Scope, list[ast.stmt] | ast.expr]] = deque()
        self._breaks: list[list[set[str]]] = []
        self._bind(tree.body, self.module)
        end = self._block(tree.body, self.module, set())
        self.sure = frozenset(end or ())
        while self._later:
            scope, body = self._later.popleft()
            if isinstance(body, ast.expr):
                self._read(body, scope, set(scope.bindings))
            else:
                self._block(body, scope, {name for name, at in scope.bindings.items() if isinstance(at[0], ast.arg)})

    def unused(self) -> list[tuple[Scope, str]]:
        """Return the names that nothing reads, in the order of their scopes and bindings."""
        read = {(ref.owner, ref.name) for ref in self.references if ref.counts}
        if any(ref.name in ("globals", "locals", "vars", "exec", "eval") for ref in self.references):
            return []
        return [(scope, name) for scope in self.scopes for name in scope.bindings if (scope, name) not in read]

    # -- which names a scope binds

    def _bind(self, nodes: list[ast.stmt], scope: Scope) -> None:
        waiting: list[ast.AST] = list(reversed(nodes))
        while waiting:
            node = waiting.pop()
            for name in self._bound_by(node, scope):
                scope.bindings.setdefault(name, []).append(node)
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, DEFINITIONS):
                waiting.extend(node.decorator_list)
            elif isinstance(node, COMPREHENSIONS):
                waiting.extend(inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
            else:
                waiting.extend(reversed(list(ast.iter_child_nodes(node))))

    def _bound_by(self, node: ast.AST, scope: Scope) -> list[str]:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            return self._own(node.id, node, scope)
        if isinstance(node, DEFINITIONS):
            return self._own(node.name, node, scope)
        if isinstance(node, ast.alias):
            self.star = self.star or node.name == "*"
            return self._own(node.asname or node.name.split(".")[0], node, scope)
        if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            return self._own(node.name, node, scope)
        if isinstance(node, ast.MatchMapping) and node.rest:
            return self._own(node.rest, node, scope)
        if isinstance(node, ast.Global | ast.Nonlocal):
            scope.outside.update(node.names)
        return []

    def _own(self, name: str, node: ast.AST, scope: Scope) -> list[str]:
        if name not in scope.outside:
            return [name]
        owner = self._owner(name, scope.outer) or self.module
        owner.bindings.setdefault(name, []).append(node)
        return []

    def _owner(self, name: str, scope: Scope | None) -> Scope | None:
        while scope is not None:
            if scope.kind != "class" and name in scope.bindings and name not in scope.outside:
                return scope
            scope = scope.outer
        return None

    # -- what is read, in the order of execution; a set of names is what is bound by then

    def _block(self, body: list[ast.stmt], scope: Scope, bound: set[str]) -> set[str] | None:
        flow: set[str] | None = bound
        for statement in body:
            if flow is None:  # unreachable: read it as if everything were bound
                self._statement(statement, scope, set(scope.bindings))
            else:
                flow = self._statement(statement, scope, flow)
        return flow

    def _statement(self, node: ast.stmt, scope: Scope, bound: set[str]) -> set[str] | None:
        if isinstance(node, ast.If):
            self._read(node.test, scope, bound)
            return _meet(self._block(node.body, scope, set(bound)), self._block(node.orelse, scope, set(bound)))
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            return self._loop(node, scope, bound)
        if isinstance(node, ast.Try | getattr(ast, "TryStar", ast.Try)):
            return self._try(node, scope, bound)
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                self._read(item.context_expr, scope, bound)
                self._write(item.optional_vars, scope, bound)
            return self._block(node.body, scope, bound)
        if isinstance(node, ast.Match):
            return self._match(node, scope, bound)
        if isinstance(node, DEFINITIONS):
            self._define(node, scope, bound)
        else:
            return self._simple(node, scope, bound)
        return bound

    def _simple(self, node: ast.stmt, scope: Scope, bound: set[str]) -> set[str] | None:
        if isinstance(node, ast.Assign):
            self._read(node.value, scope, bound)
            for target in node.targets:
                self._write(target, scope, bound)
        elif isinstance(node, ast.AugAssign):
            self._read(node.value, scope, bound)
            if isinstance(node.target, ast.Name):
                self._refer(node.target, node.target.id, scope, bound, counts=False)
            self._write(node.target, scope, bound)
        elif isinstance(node, ast.AnnAssign):
            self._read(node.annotation, scope, bound)
            if node.value is not None:
                self._read(node.value, scope, bound)
                self._write(node.target, scope, bound)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                self._read(target, scope, bound)
                bound.difference_update({target.id} if isinstance(target, ast.Name) else ())
        else:
            for child in ast.iter_child_nodes(node):
                self._read(child, scope, bound)
        if isinstance(node, ast.Break) and self._breaks:
            self._breaks[-1].append(set(bound))
        return None if isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue) else bound

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, scope: Scope, bound: set[str]) -> set[str] | None:
        """A loop is taken to run at least once; `while True` ends only by its breaks."""
        endless = isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and bool(node.test.value)
        self._read(node.test if isinstance(node, ast.While) else node.iter, scope, bound)
        inside = set(bound)
        if not isinstance(node, ast.While):
            self._write(node.target, scope, inside)
        self._breaks.append([])
        after = self._block(node.body, scope, inside)
        breaks = self._breaks.pop()
        if endless:
            return set.intersection(*breaks) if breaks else None
        return self._block(node.orelse, scope, set(bound) if after is None else after)

    def _try(self, node: ast.Try, scope: Scope, bound: set[str]) -> set[str] | None:
        flow = self._block(node.body, scope, set(bound))
        flow = self._block(node.orelse, scope, set(scope.bindings) if flow is None else flow) if node.orelse else flow
        for handler in node.handlers:
            inside = set(bound)
            self._read(handler.type, scope, inside)
            inside.update([handler.name] if handler.name else [])
            flow = _meet(flow, self._block(handler.body, scope, inside))
        self._block(node.finalbody, scope, set(bound) if flow is None else flow)
        return flow

    def _match(self, node: ast.Match, scope: Scope, bound: set[str]) -> set[str] | None:
        self._read(node.subject, scope, bound)
        flow: set[str] | None = set(bound)
        for case in node.cases:
            inside = set(bound)
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                    inside.add(part.name)
                if isinstance(part, ast.expr):
                    self._read(part, scope, inside)
            self._read(case.guard, scope, inside)
            flow = _meet(flow, self._block(case.body, scope, inside))
        return flow

    def _define(self, node: ast.stmt, scope: Scope, bound: set[str]) -> None:
        assert isinstance(node, DEFINITIONS)
        for decorator in node.decorator_list:
            self._read(decorator, scope, bound)
        path = f"{scope.path}.{node.name}".lstrip(".")
        if isinstance(node, ast.ClassDef):
            for base in (*node.bases, *node.keywords):
                self._read(base, scope, bound)
            inner = self._open(node, "class", path, scope)
            self._bind(node.body, inner)
            self._block(node.body, inner, set())
        else:
            inner = self._open(node, "function", path, scope)
            self._parameters(node.args, inner, scope, bound)
            self._read(node.returns, scope, bound)
            self._bind(node.body, inner)
            self._later.append((inner, node.body))
        bound.add(node.name)

    def _open(self, node: ast.AST, kind: Kind, path: str, outer: Scope) -> Scope:
        scope = Scope(node, kind, path, outer)
        self.scopes.append(scope)
        return scope

    def _parameters(self, arguments: ast.arguments, inner: Scope, scope: Scope, bound: set[str]) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            self._read(default, scope, bound)
        for arg in parameters(arguments):
            self._read(arg.annotation, scope, bound)
            inner.bindings[arg.arg] = [arg]

    def _write(self, node: ast.AST | None, scope: Scope, bound: set[str]) -> None:
        if isinstance(node, ast.Name):
            bound.add(node.id)
        elif isinstance(node, ast.Tuple | ast.List):
            for part in node.elts:
                self._write(part, scope, bound)
        elif isinstance(node, ast.Starred):
            self._write(node.value, scope, bound)
        else:
            self._read(node, scope, bound)

    def _read(self, node: ast.AST | None, scope: Scope, bound: set[str]) -> None:
        if node is None:
            return
        if isinstance(node, ast.Name):
            self._refer(node, node.id, scope, bound)
        elif isinstance(node, ast.Lambda):
            inner = self._open(node, "function", f"{scope.path}.<lambda>".lstrip("."), scope)
            self._parameters(node.args, inner, scope, bound)
            self._later.append((inner, node.body))
        elif isinstance(node, COMPREHENSIONS):
            self._comprehension(node, scope, bound)
        elif isinstance(node, ast.NamedExpr):
            self._read(node.value, scope, bound)
            bound.add(node.target.id)
        else:
            for child in ast.iter_child_nodes(node):
                self._read(child, scope, bound)

    def _comprehension(self, node: ast.AST, scope: Scope, bound: set[str]) -> None:
        assert isinstance(node, COMPREHENSIONS)
        inner = self._open(node, "comprehension", scope.path, scope)
        for part in node.generators:
            for target in ast.walk(part.target):
                if isinstance(target, ast.Name):
                    inner.bindings.setdefault(target.id, []).append(target)
        for part in node.generators:
            self._read(part.iter, inner, bound)
            for test in part.ifs:
                self._read(test, inner, bound)
        results = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        for result in results:
            self._read(result, inner, bound)

    def _refer(self, node: ast.AST, name: str, scope: Scope, bound: set[str], *, counts: bool = True) -> None:
        here: Scope | None = scope
        while here is not None and here.kind == "comprehension" and name not in here.bindings:
            here = here.outer
        assert here is not None
        state: State
        if name in here.bindings and name not in here.outside:
            owner: Scope | None = here
            state = "bound" if here.kind == "comprehension" or name in bound else "unsure"
            if here.kind == "class" and state == "unsure":
                owner, state = self._outer(name, here.outer)
        else:
            owner, state = self._outer(name, here.outer if here is not self.module else here)
        self.references.append(Reference(node, name, scope, owner, state, counts))

    def _outer(self, name: str, scope: Scope | None) -> tuple[Scope | None, State]:
        owner = self._owner(name, scope)
        if owner is not None:
            return owner, "bound"
        return None, "builtin" if name in BUILTINS or self.star else "undefined"


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function in the order in which they are written."""
    star = [arguments.vararg] if arguments.vararg else []
    double = [arguments.kwarg] if arguments.kwarg else []
    return [*arguments.posonlyargs, *arguments.args, *star, *arguments.kwonlyargs, *double]


def _meet(a: set[str] | None, b: set[str] | None) -> set[str] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b
