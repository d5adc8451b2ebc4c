"""Scopes of a Python file and the nodes that bind names in them."""

from __future__ import annotations

import ast
import builtins
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


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right below a node, without marks and operators; as ast.iter_child_nodes, in half the time."""
    found: list[ast.AST] = []
    for field_name in node._fields:
        value = getattr(node, field_name, None)
        if value.__class__ is list:
            found.extend([entry for entry in value if isinstance(entry, ast.AST)])
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context | ast.operator):
            found.append(value)
    return found


def bind(nodes: list[ast.stmt], scope: Scope, module: Scope) -> None:
    """Note in a scope, and for global and nonlocal names in an outer one, all that these statements bind."""
    waiting: list[ast.AST] = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global | ast.Nonlocal):
            scope.outside.update(node.names)
        name = _bound_name(node)
        if name is not None:
            outer = None if name not in scope.outside else owner(name, scope.outer) or module
            (outer or scope).bindings.setdefault(name, []).append(node)
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, DEFINITIONS):
            waiting.extend(node.decorator_list)
        elif isinstance(node, COMPREHENSIONS):
            waiting.extend(inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
        else:
            waiting.extend(reversed(children(node)))


def _bound_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, (*DEFINITIONS, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return node.name
    if isinstance(node, ast.alias):
        return node.asname or node.name.split(".")[0]
    return node.rest if isinstance(node, ast.MatchMapping) else None


def owner(name: str, scope: Scope | None) -> Scope | None:
    """Return the innermost scope, from this one outwards, that binds a name; class bodies are passed over."""
    while scope is not None:
        if scope.kind != "class" and name in scope.bindings and name not in scope.outside:
            return scope
        scope = scope.outer
    return None


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters of a function in the order in which they are written."""
    star = [arguments.vararg] if arguments.vararg else []
    double = [arguments.kwarg] if arguments.kwarg else []
    return [*arguments.posonlyargs, *arguments.args, *star, *arguments.kwonlyargs, *double]
