"""Arguments and parameters: taking one out of a call, or out of a function and all its calls."""

from __future__ import annotations

import ast

from genome.deletion import PROTECTED, Deletion
from genome.scopes import parameters
from genome.soundness import Facts
from genome.source import FUNCTIONS, Edit, Source, call_items, drop_item


def drop_argument(plan: Deletion, node: ast.AST) -> bool:
    """Plan to take a positional or keyword argument out of its call."""
    call = plan.src.parent[node]
    if not isinstance(call, ast.Call) or plan.src.in_text(call):
        return False
    items = call_items(plan.src, call)
    return plan.edit(drop_item(plan.src, items[node], list(items.values())))


def drop_parameter(plan: Deletion, facts: Facts, arg: ast.arg) -> bool:
    """Plan to delete a parameter and what calls pass for it; its default stands in where the body reads it."""
    src = plan.src
    arguments = src.parent[arg]
    func = src.parent[arguments]
    if not isinstance(arguments, ast.arguments) or not isinstance(func, FUNCTIONS):
        return False
    method = isinstance(src.parent[func], ast.ClassDef)
    positional = [*arguments.posonlyargs, *arguments.args]
    if arg in (arguments.vararg, arguments.kwarg) or (method and positional[:1] == [arg]):
        return False
    calls = _calls(facts, func, method=method)
    if calls is None or not _inline(plan, facts, func, arg):
        return False
    at = positional.index(arg) - method if arg in positional else None
    for call in calls:
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            return False
        passed: list[ast.AST] = [k for k in call.keywords if k.arg == arg.arg]
        if at is not None and at < len(call.args):
            passed.append(call.args[at])
        if not all(drop_argument(plan, node) for node in passed):
            return False
    return plan.edit(_parameter_edit(src, arguments, arg))


def _calls(facts: Facts, func: ast.AST, *, method: bool) -> list[ast.Call] | None:
    """Return all calls of a function of this file, or None where it is also used in ways that cannot be followed."""
    assert isinstance(func, FUNCTIONS)
    src, name = facts.src, func.name
    if name in PROTECTED or (name.startswith("__") and name != "__init__") or func.decorator_list:
        return None
    same = [n for n in src.nodes if isinstance(n, FUNCTIONS) and n.name == name]
    if method and name == "__init__":
        owner = src.parent[func]
        assert isinstance(owner, ast.ClassDef)
        name = owner.name
        bases = {ast.unparse(base) for cls in facts.classes.values() for base in cls.bases}
        if name in bases:
            return None
    elif len(same) != 1 or name in facts.words:
        return None
    found = []
    for node in src.nodes:
        named = isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        if named or (isinstance(node, ast.Attribute) and node.attr == name):
            call = src.parent[node]
            if not isinstance(call, ast.Call) or call.func is not node:
                return None
            found.append(call)
    return found


def _inline(plan: Deletion, facts: Facts, func: ast.AST, arg: ast.arg) -> bool:
    src = plan.src
    scope = next(s for s in facts.names.scopes if s.node is func)
    reads = [ref.node for ref in facts.names.references if ref.owner is scope and ref.name == arg.arg]
    if not reads:
        return len(scope.bindings[arg.arg]) == 1
    default = default_of(src, arg)
    simple = isinstance(default, ast.Constant | ast.Name | ast.Attribute)
    if default is None or not simple or len(scope.bindings[arg.arg]) != 1 or any(src.in_text(n) for n in reads):
        return False
    return all(plan.edit(Edit(*src.span(node), src.code(default))) for node in reads)


def default_of(src: Source, arg: ast.arg) -> ast.expr | None:
    """Return a parameter's default."""
    a = src.parent[arg]
    assert isinstance(a, ast.arguments)
    positional = [*a.posonlyargs, *a.args][::-1]
    pairs = [*zip(positional, a.defaults[::-1], strict=False), *zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return next((value for other, value in pairs if other is arg), None)


def _parameter_edit(src: Source, arguments: ast.arguments, arg: ast.arg) -> Edit:
    spans = []
    for other in parameters(arguments):
        start, end = src.span(other)
        default = default_of(src, other)
        while src.text[start - 1] == "*":
            start -= 1
        spans.append((start, src.span(default)[1] if default is not None else end))
    return drop_item(src, spans[parameters(arguments).index(arg)], spans)
