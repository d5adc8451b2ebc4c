"""What must follow a deletion: uses of what is gone go too, and so does what nothing uses any more."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from genome.arguments import drop_argument, drop_parameter
from genome.deletion import PROTECTED, Deletion, keep_body, keep_else
from genome.soundness import Facts, Problem
from genome.source import (
    FUNCTIONS,
    Edit,
    Source,
    display_items,
    drop_item,
    keep_operand,
    replace_by_child,
)

NO_ARGUMENT = (ast.Starred, ast.GeneratorExp, ast.Constant, ast.Lambda, ast.UnaryOp)  # of a call that wraps it
Unused = tuple[str, str, str]  # name or attribute; scope or class; its name
# fmt: off
PURE = frozenset((
    "abs", "bool", "clone", "copy", "detach", "dict", "dim", "enumerate", "flatten", "float", "get", "int",
    "isinstance", "item", "items", "keys", "len", "list", "map", "max", "min", "named_parameters", "norm", "numel",
    "parameters", "perf_counter", "pow", "range", "reshape", "reversed", "round", "set", "size", "sorted", "sqrt",
    "state_dict", "str", "sum", "time", "to", "transpose", "tuple", "type", "values", "view", "zip",
))
# fmt: on
PURE_MODULES = frozenset(("torch", "nn", "np", "numpy", "math", "F", "functional"))


def repair(facts: Facts, broken: Iterable[Problem]) -> str | None:
    """Return the text without the uses of what is missing, or None where one use cannot be taken out."""
    plan = Deletion(facts.src)
    for problem in broken:
        nodes = facts.problems[problem]
        if problem[0] in ("arity", "export") or not all(drop_use(plan, node) for node in nodes):
            return None
    return plan.result()


def drop_use(plan: Deletion, node: ast.AST) -> bool:
    """Plan to take away the smallest thing around a node without which the rest still makes sense."""
    src = plan.src
    if isinstance(node, ast.keyword):
        return drop_argument(plan, node)
    direct, current = True, node
    while src.in_text(current):
        current, direct = src.parent[current], False
    while True:
        outer = src.parent[current]
        if isinstance(outer, ast.stmt):
            return _drop_in_statement(plan, outer, current)
        done = _drop_in_expression(plan, outer, current, direct=direct)
        if done is not None:
            return done
        current, direct = outer, False


def _drop_in_statement(plan: Deletion, outer: ast.stmt, node: ast.AST) -> bool:
    src = plan.src
    if isinstance(outer, ast.If) and outer.orelse:
        return plan.edit(keep_else(src, outer))
    if isinstance(outer, (*FUNCTIONS, ast.ClassDef)):
        if node not in outer.decorator_list:
            return False
        return plan.edit(drop_decorator(src, node))
    if isinstance(outer, ast.Return) or (isinstance(outer, ast.AnnAssign) and node is outer.annotation):
        return False
    return plan.statement(outer)


def _drop_in_expression(plan: Deletion, outer: ast.AST, node: ast.AST, *, direct: bool) -> bool | None:
    """Return whether the use was taken out here, or None to look further out."""
    src = plan.src
    if isinstance(outer, ast.keyword):
        return drop_argument(plan, outer)
    if isinstance(outer, ast.Call):
        if node is outer.func:
            wraps = direct and is_wrapper(src, outer)
            return unwrap_call(plan, outer, outer.args[0]) if wraps else None
        if isinstance(outer.func, ast.Name) and outer.func.id == "print" and len(outer.args) > 1:
            return drop_argument(plan, node)
        return None
    if isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Add | ast.Mult | ast.Sub | ast.Div):
        if node is outer.left and isinstance(outer.op, ast.Sub | ast.Div):
            return None
        return plan.edit(keep_operand(src, outer, left=node is outer.right))
    if isinstance(outer, ast.BoolOp):
        return plan.edit(drop_condition(src, outer, node))
    if isinstance(outer, ast.IfExp):
        return plan.edit(replace_by_child(src, outer, outer.body if node is outer.orelse else outer.orelse))
    least = 1 if isinstance(outer, ast.List) else 2
    if isinstance(outer, ast.List | ast.Set | ast.Tuple) and len(outer.elts) > least and _is_read(outer):
        items = display_items(src, outer)
        return plan.edit(drop_item(src, items[node], list(items.values())))
    listed = isinstance(src.parent.get(outer), ast.List)  # a record among others goes as a whole
    if isinstance(outer, ast.Dict) and node in outer.values and len(outer.values) > 1 and not listed:
        return _drop_pair(plan, outer, node)
    if isinstance(outer, ast.withitem):
        owner = src.parent[outer]
        assert isinstance(owner, ast.With | ast.AsyncWith)
        return len(owner.items) == 1 and plan.edit(keep_body(src, owner))
    if isinstance(outer, ast.arguments | ast.arg | ast.pattern | ast.match_case | ast.ExceptHandler):
        return False
    return None


def _is_read(node: ast.List | ast.Set | ast.Tuple) -> bool:
    return isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load)


def _drop_pair(plan: Deletion, outer: ast.Dict, node: ast.AST) -> bool:
    src = plan.src
    pairs = [(src.span(k or v)[0], src.span(v)[1]) for k, v in zip(outer.keys, outer.values, strict=True)]
    at = next(i for i, value in enumerate(outer.values) if value is node)
    return outer.keys[at] is not None and plan.edit(drop_item(src, pairs[at], pairs))


def drop_condition(src: Source, outer: ast.BoolOp, node: ast.AST) -> Edit | None:
    """Return the edit that takes one condition out of an `and` or `or`."""
    at = next(i for i, value in enumerate(outer.values) if value is node)
    if len(outer.values) == 2:
        return replace_by_child(src, outer, outer.values[1 - at])
    start, end = src.span(node)
    edit = Edit(src.span(outer.values[at - 1])[1], end) if at else Edit(start, src.span(outer.values[1])[0])
    return edit if src.text[edit.start : edit.end].count("(") == src.text[edit.start : edit.end].count(")") else None


def unwrap_call(plan: Deletion, call: ast.Call, kept: ast.expr) -> bool:
    """Plan to put an argument in the place of its call; `x = f(x)` goes as a whole."""
    outer = plan.src.parent[call]
    if isinstance(outer, ast.Assign) and [ast.unparse(target) for target in outer.targets] == [ast.unparse(kept)]:
        return plan.statement(outer)
    return plan.edit(replace_by_child(plan.src, call, kept))


def drop_decorator(src: Source, node: ast.AST) -> Edit:
    """Return the edit that takes a decorator's line away."""
    start = src.text.rindex("@", 0, src.span(node)[0])
    line_start = src.text.rfind("\n", 0, start) + 1
    return Edit(line_start, src.line_start((getattr(node, "end_lineno", 0) or 0) + 1))


def is_wrapper(src: Source, call: ast.Call) -> bool:
    """Whether `f(x)` may become `x`: a layer, or a function inside an expression or on the name it is assigned to."""
    if not call.args or isinstance(call.args[0], NO_ARGUMENT):
        return False
    outer = src.parent[call]
    if isinstance(outer, ast.Expr) or (isinstance(call.func, ast.Name) and call.func.id[:1].isupper()):
        return False
    if isinstance(call.func, ast.Attribute):  # F.relu(x) and self.drop(x), but not x.repeat(2)
        root = ast.unparse(call.func.value).split(".")[0]
        if root == "self":
            return len(ast.unparse(call.func).split(".")) == 2
        if root not in src.imported:
            return False
    if isinstance(outer, ast.Assign):
        return len(outer.targets) == 1 and ast.unparse(outer.targets[0]) == ast.unparse(call.args[0])
    return True


# -- what nothing uses any more


def unused(facts: Facts) -> dict[Unused, list[ast.AST]]:
    """Return the definitions that nothing in the file reads, with the nodes that make them."""
    found: dict[Unused, list[ast.AST]] = {}
    for scope, name in facts.names.unused():
        if scope.kind in ("module", "function") and not name.startswith("_") and name not in facts.exports:
            found[("name", scope.path, name)] = scope.bindings[name]
    for (owner, name), nodes in facts.stores.items():
        if owner and name not in facts.loaded and name not in PROTECTED and not name.startswith("_"):
            found[("attribute", owner, name)] = nodes
    return found


def sweep(facts: Facts, dead: dict[Unused, list[ast.AST]]) -> str | None:
    """Return the text without the definitions named, as far as they go without a trace; None where none does."""
    plan = Deletion(facts.src)
    for _, nodes in sorted(dead.items(), key=lambda pair: pair[0]):
        trial = Deletion(facts.src)
        if all(drop_definition(trial, facts, node) for node in nodes):
            for node in nodes:
                drop_definition(plan, facts, node)
    return plan.result()


def drop_definition(plan: Deletion, facts: Facts, node: ast.AST) -> bool:
    """Plan to delete what binds a name that nothing reads; False where deleting it would do more than that."""
    src = plan.src
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return plan.statement(node)
    if isinstance(node, ast.alias):
        importing = src.parent[node]
        assert isinstance(importing, ast.Import | ast.ImportFrom)
        spans = [src.span(alias) for alias in importing.names]
        return plan.statement(importing) if len(spans) == 1 else plan.edit(drop_item(src, src.span(node), spans))
    if isinstance(node, ast.arg):
        return drop_parameter(plan, facts, node)
    statement = src.statement(node)
    if isinstance(statement, ast.Assign) and statement.targets == [node] and is_pure(statement.value):
        return plan.statement(statement)
    if isinstance(statement, ast.AugAssign | ast.AnnAssign) and statement.target is node:
        return (statement.value is None or is_pure(statement.value)) and plan.statement(statement)
    return isinstance(statement, ast.Assign) and _drop_from_pair(plan, statement, node)


def _drop_from_pair(plan: Deletion, statement: ast.Assign, node: ast.AST) -> bool:
    """`a, b = 1, 2` without a is `b = 2`."""
    targets, values = statement.targets[0], statement.value
    if not isinstance(targets, ast.Tuple) or not isinstance(values, ast.Tuple) or node not in targets.elts:
        return False
    at = targets.elts.index(node)
    if len(targets.elts) != 2 or len(values.elts) != 2 or not is_pure(values.elts[at]):
        return False
    src = plan.src
    return plan.edit(replace_by_child(src, targets, targets.elts[1 - at])) and plan.edit(
        replace_by_child(src, values, values.elts[1 - at])
    )


def is_pure(value: ast.expr) -> bool:
    """Whether evaluating an expression changes nothing, as far as names tell."""
    for node in ast.walk(value):
        if isinstance(node, ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr):
            return False
        if isinstance(node, ast.Call):
            parts = ast.unparse(node.func).split(".")
            last = parts[-1]
            harmless = last in PURE or last[:1].isupper() or parts[0] in PURE_MODULES
            if not harmless or last.endswith("_") or last.startswith(("set_", "manual_seed", "load", "save")):
                return False
    return True
