"""What would surely go wrong when a program runs: names, attributes and arguments that nothing provides."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from genome.genome import Genome, GenomeError, parse
from genome.names import Names
from genome.scopes import parameters
from genome.source import FUNCTIONS, Source, source

Problem = tuple[str, str, str]  # what is missing (name, unsure, attribute, keyword, …), where, and its name
Problems = dict[Problem, list[ast.AST]]
NAMING_CALLS = ("setattr", "register_buffer", "register_parameter", "add_module", "register_module")


class Facts:
    """What a file provides and asks for: names by scope, attributes by class, and calls that cannot succeed."""

    def __init__(self, src: Source, exports: frozenset[str] = frozenset()) -> None:
        self.src = src
        self.exports = exports
        self.names = Names(src.tree)
        self.classes = {node.name: node for node in src.nodes if isinstance(node, ast.ClassDef)}
        self.stores: dict[tuple[str, str], list[ast.AST]] = {}  # (class, or "" for another object; attribute)
        self.fields: set[str] = set()  # attributes that a class body sets: fields and methods
        self.loads: dict[tuple[str, str], list[ast.AST]] = {}
        self.words: set[str] = set()  # text literals that could be the name of an attribute
        for node in src.nodes:
            self._note(node)
        self.called = {
            call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            for call in src.nodes
            if isinstance(call, ast.Call)
        }
        self.stored = {name for _, name in self.stores}
        self.loaded = {name for _, name in self.loads} | self.words
        self.problems = self._problems()

    def _note(self, node: ast.AST) -> None:
        src = self.src
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            key = (self.class_of(node) if own else "", node.attr)
            (self.stores if isinstance(node.ctx, ast.Store) else self.loads).setdefault(key, []).append(node)
            outer = src.parent[node]
            if isinstance(outer, ast.AugAssign) and outer.target is node:
                self.loads.setdefault(key, []).append(node)
        elif isinstance(node, FUNCTIONS) and isinstance(src.parent[node], ast.ClassDef):
            self.stores.setdefault((self.class_of(node), node.name), []).append(node)
            self.fields.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            statement = src.statement(node)
            if statement is not None and isinstance(src.parent.get(statement), ast.ClassDef):
                self.stores.setdefault((self.class_of(node), node.id), []).append(node)
                self.fields.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            outer = src.parent[node]
            naming = isinstance(outer, ast.Call) and ast.unparse(outer.func).rsplit(".", 1)[-1] in NAMING_CALLS
            if naming:
                self.stores.setdefault(("", node.value), []).append(node)
            else:
                self.words.add(node.value)

    def class_of(self, node: ast.AST) -> str:
        """Return the name of the class around a node, or an empty text."""
        return next((outer.name for outer in self.src.ancestors(node) if isinstance(outer, ast.ClassDef)), "")

    def has_attribute(self, owner: str, name: str) -> bool:
        """Whether an attribute is set anywhere in a class, in its bases in this file, or from outside."""
        waiting, done = [owner], set()
        while waiting:
            current = waiting.pop()
            if current in done:
                continue
            done.add(current)
            if (current, name) in self.stores:
                return True
            bases = self.classes[current].bases if current in self.classes else []
            waiting.extend(base.id for base in bases if isinstance(base, ast.Name))
        return ("", name) in self.stores

    def set_late(self, owner: str, name: str) -> bool:
        """Whether an attribute of a class is set by other methods only, not from the start."""
        stores = self.stores.get((owner, name), [])
        starts = ("__init__", "__post_init__", "setup", owner)
        return bool(stores) and not any(self._place(node) in starts for node in stores)

    def _place(self, node: ast.AST) -> str:
        return self.src.scope(node).rsplit(".", 1)[-1]

    def _problems(self) -> Problems:
        found: Problems = {}
        for ref in self.names.references:
            if ref.state in ("undefined", "unsure"):
                kind = "name" if ref.state == "undefined" else "unsure"
                found.setdefault((kind, ref.scope.path, ref.name), []).append(ref.node)
        for (owner, name), nodes in self.loads.items():
            if not (self.has_attribute(owner, name) if owner else name in self.stored):
                found.setdefault(("attribute", owner, name), []).extend(nodes)
            elif not owner and name not in self.fields:
                # `config.dropout` where only a layer has a `self.dropout`: wrong if a class body provided it before
                found.setdefault(("field", owner, name), []).extend(nodes)
            elif owner and self.set_late(owner, name):
                found.setdefault(("unset", owner, name), []).extend(nodes)
        for scope in self.names.falls_through:
            found[("return", scope.path, "")] = []
        for name in sorted(self.exports - set(self.names.module.bindings)):
            found[("export", "", name)] = []
        for key, node in self._bad_calls():
            found.setdefault(key, []).append(node)
        return found

    def _bad_calls(self) -> Iterator[tuple[Problem, ast.AST]]:
        for call in self.src.nodes:
            if not isinstance(call, ast.Call):
                continue
            accepted = self.accepts(call)
            if accepted is None:
                continue
            name, arguments, bound = accepted
            listed = [a.arg for a in (*arguments.posonlyargs, *arguments.args)][bound:]
            known = {a.arg for a in parameters(arguments)}
            for keyword in call.keywords:
                if keyword.arg and keyword.arg not in known and arguments.kwarg is None:
                    yield ("keyword", name, keyword.arg), keyword
            if any(k.arg is None for k in call.keywords) or any(isinstance(a, ast.Starred) for a in call.args):
                continue
            if len(call.args) > len(listed) and arguments.vararg is None:
                yield ("arity", name, "too many arguments"), call
            needed = listed[: len(listed) - len(arguments.defaults)] if arguments.defaults else listed
            needed = needed[len(call.args) :]
            needed += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
            for missing in sorted(set(needed) - {k.arg for k in call.keywords if k.arg}):
                yield ("arity", name, f"no argument for {missing}"), call

    def accepts(self, call: ast.Call) -> tuple[str, ast.arguments, int] | None:
        """Return (name, parameters, how many the call binds itself) of a function of this file, if it is sure."""
        func = call.func
        if isinstance(func, ast.Name):
            bindings = self.names.module.bindings.get(func.id, [])
            if len(bindings) == 1 and isinstance(bindings[0], FUNCTIONS) and not bindings[0].decorator_list:
                return func.id, bindings[0].args, 0
            if len(bindings) == 1 and isinstance(bindings[0], ast.ClassDef):
                return self._constructor(bindings[0])
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
            methods = self.stores.get((self.class_of(call), func.attr), [])
            if len(methods) == 1 and isinstance(methods[0], FUNCTIONS) and not methods[0].decorator_list:
                return func.attr, methods[0].args, 1
        return None

    def _constructor(self, node: ast.ClassDef) -> tuple[str, ast.arguments, int] | None:
        inits = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
        if len(inits) == 1:
            return node.name, inits[0].args, 1
        if node.bases or not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            return None
        fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)]
        args = [ast.arg(f.target.id) for f in fields if isinstance(f.target, ast.Name)]
        defaults: list[ast.expr] = [f.value for f in fields if f.value is not None]
        return node.name, ast.arguments([], args, None, [], [], None, defaults), 0


@lru_cache(maxsize=32)
def facts(text: str, exports: frozenset[str] = frozenset()) -> Facts:
    """Return the Facts of a text, kept for the next birth from the same parent."""
    return Facts(source(text), exports)


def exports(genome: Genome, path: str) -> frozenset[str]:
    """Return the names that the genome's other Python files import from this one."""
    module = ".".join(PurePosixPath(path).with_suffix("").parts)
    wanted: set[str] = set()
    for other, text in genome.files.items():
        if other == path or not other.endswith(".py"):
            continue
        for node in source(text).nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(module.rsplit(".", 1)[-1]):
                wanted.update(alias.name for alias in node.names if alias.name != "*")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                wanted.update([node.attr] if node.value.id == module.rsplit(".", 1)[-1] else [])
    return frozenset(wanted)


def problems(genome: Genome) -> list[tuple[str, Problem]]:
    """Return all that is missing in a genome's Python files, as (file, problem)."""
    return [
        (path, problem)
        for path, text in genome.files.items()
        if path.endswith(".py")
        for problem in facts(text, exports(genome, path)).problems
    ]


def new_problems(genome: Genome, parents: Iterable[Genome]) -> list[str]:
    """Return in words what is missing here and was not in any parent."""
    known = {problem for parent in parents for problem in problems(parent)}
    return [f"lacks {name} in {where or path} ({kind})" for path, (kind, where, name) in problems(genome)
            if (path, (kind, where, name)) not in known]  # fmt: skip


def runnable(genome: Genome) -> bool:
    """Whether every Python file compiles, which asks more than parsing: no break outside a loop and the like."""
    return all(compiles(text, path) for path, text in genome.files.items() if path.endswith(".py"))


def compiles(text: str, path: str) -> bool:
    """Whether Python takes the text as a program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(parse(text, path), path, "exec", dont_inherit=True)
        except (GenomeError, SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
