"""Which names a Python file defines and uses, scope by scope, and whether each is bound when it is read."""

from __future__ import annotations

import ast
from collections import deque

from genome.scopes import (
    BUILTINS,
    COMPREHENSIONS,
    DEFINITIONS,
    Kind,
    Reference,
    Scope,
    State,
    bind,
    children,
    owner,
    parameters,
)


class Names:
    """All scopes and references of one file.

    Attributes:
        sure: names that are certainly bound when the module has run.
        falls_through: functions that return a value on one way and reach their end on another.
        star: the file has `from x import *`, so that any name may come from there.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree, "module", "", None)
        self.scopes = [self.module]
        self.references: list[Reference] = []
        self.falls_through: list[Scope] = []
        self._later: deque[tuple[Scope, list[ast.stmt] | ast.expr]] = deque()
        self._breaks: list[list[set[str]]] = []
        bind(tree.body, self.module, self.module)
        self.star = self.module.bindings.pop("*", None) is not None
        end = self._block(tree.body, self.module, set())
        self.sure = frozenset(end or ())
        while self._later:
            scope, body = self._later.popleft()
            if isinstance(body, ast.expr):
                self._read(body, scope, set(scope.bindings))
            else:
                given = {name for name, at in scope.bindings.items() if isinstance(at[0], ast.arg)}
                if self._block(body, scope, given) is not None and _returns_a_value(body):
                    self.falls_through.append(scope)

    def unused(self) -> list[tuple[Scope, str]]:
        """Return the names that nothing reads, in the order of their scopes and bindings."""
        read = {(ref.owner, ref.name) for ref in self.references if ref.counts}
        if any(ref.name in ("globals", "locals", "vars", "exec", "eval") for ref in self.references):
            return []
        return [(scope, name) for scope in self.scopes for name in scope.bindings if (scope, name) not in read]

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
            for child in children(node):
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
                if isinstance(part, ast.MatchMapping) and part.rest:
                    inside.add(part.rest)
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
            bind(node.body, inner, self.module)
            self._block(node.body, inner, set())
        else:
            inner = self._open(node, "function", path, scope)
            self._parameters(node.args, inner, scope, bound)
            self._read(node.returns, scope, bound)
            bind(node.body, inner, self.module)
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
            for child in children(node):
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
            found: Scope | None = here
            state = "bound" if here.kind == "comprehension" or name in bound else "unsure"
            if here.kind == "class" and state == "unsure":
                found, state = self._outer(name, here.outer)
        else:
            found, state = self._outer(name, here.outer if here is not self.module else here)
        self.references.append(Reference(node, name, scope, found, state, counts))

    def _outer(self, name: str, scope: Scope | None) -> tuple[Scope | None, State]:
        found = owner(name, scope)
        if found is not None:
            return found, "bound"
        return None, "builtin" if name in BUILTINS or self.star else "undefined"


def _returns_a_value(body: list[ast.stmt]) -> bool:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            return True
        if not isinstance(node, (*DEFINITIONS, ast.expr)):
            waiting.extend(children(node))
    return False


def _meet(a: set[str] | None, b: set[str] | None) -> set[str] | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b
