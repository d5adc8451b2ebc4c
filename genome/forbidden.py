"""What a genome may not use: ways to run or read code and data that its size does not show."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from genome.genome import Genome
from genome.names import Names
from genome.source import source

RUNNERS = frozenset(("exec", "eval", "compile", "__import__", "__builtins__", "__loader__", "__spec__", "breakpoint"))
FREE_TEXT = frozenset(("__doc__", "__file__"))  # docstrings and comments cost nothing, so nothing may read them
MODULES = frozenset(
    ("base64", "binascii", "brotli", "builtins", "bz2", "cffi", "code", "codeop", "ctypes", "gzip", "imp", "importlib",
     "linecache", "lzma", "marshal", "pkgutil", "quopri", "runpy", "tarfile", "tokenize", "uu", "zipfile", "zipimport",
     "zlib", "zstandard")
)  # fmt: skip
ATTRIBUTES = frozenset(
    ("__builtins__", "__code__", "__doc__", "__globals__", "__import__", "__loader__", "__subclasses__", "__closure__",
     "CodeType", "FunctionType", "co_code", "f_builtins", "f_globals", "gi_frame", "tb_frame", "_getframe")
)  # fmt: skip
MEMBERS = {
    "codecs": frozenset(("decode", "encode", "getdecoder", "getencoder", "getincrementaldecoder", "lookup")),
    "sys": frozenset(("modules", "meta_path", "path_hooks")),
    "inspect": frozenset(("getsource", "getsourcelines", "getdoc", "getcomments", "getsourcefile", "findsource")),
    "torch": frozenset(("hub",)),
}
WORDS = RUNNERS | ATTRIBUTES  # also as the text in getattr(x, "…")


def refusal(genome: Genome) -> str | None:
    """Return in one line why a genome is refused, with file and line, or None where it may run.

    Refused are exec, eval, compile and their like as builtins, modules that decompress, decode or import code, and
    reading one's own docstrings or source. `torch.compile`, `re.compile`, `model.eval()` are fine.
    """
    for path, text in genome.files.items():
        if not path.endswith(".py"):
            continue
        src = source(text)
        found = sorted((line, what) for line, what in (*_in_names(src.tree), *_in_nodes(src.nodes)))
        if found:
            line, what = found[0]
            return f"{path} line {line} uses {what}, which can hide code or data from the size; write it out instead"
    return None


def _in_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    names = Names(tree)
    for ref in names.references:
        if ref.name not in RUNNERS and ref.name not in FREE_TEXT:
            continue
        # a function of the file may be called eval: then the builtin is out of reach, if it is surely defined by then
        sure = ref.owner is not names.module or ref.name in names.sure
        if ref.owner is None or ref.state != "bound" or not sure:
            yield getattr(ref.node, "lineno", 0), f"the builtin {ref.name}" if ref.name in RUNNERS else ref.name


def _in_nodes(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    modules = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            modules.update({a.asname or a.name.split(".")[0]: a.name.split(".")[0] for a in node.names})
    for node in nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from ((line, f"the module {a.name}") for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from _in_import_from(node)
        elif isinstance(node, ast.Attribute):
            base = modules.get(node.value.id, "") if isinstance(node.value, ast.Name) else ""
            if node.attr in ATTRIBUTES or node.attr in MEMBERS.get(base, ()):
                yield line, f"{base + '.' if base else ''}{node.attr}"
        elif isinstance(node, ast.Call) and _last_name(node.func) in ("getattr", "attrgetter", "methodcaller"):
            yield from _in_getattr(node, modules)


def _in_import_from(node: ast.ImportFrom) -> Iterator[tuple[int, str]]:
    root = (node.module or "").split(".")[0]
    if root in MODULES:
        yield node.lineno, f"the module {node.module}"
    for alias in node.names:
        if alias.name in ATTRIBUTES or alias.name in MEMBERS.get(root, ()):
            yield node.lineno, f"{node.module}.{alias.name}"


def _in_getattr(node: ast.Call, modules: dict[str, str]) -> Iterator[tuple[int, str]]:
    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    yield from ((node.lineno, f"getattr of {text!r}") for text in texts if text in WORDS - {"eval", "compile"})
    target = node.args[0] if node.args else None
    if isinstance(target, ast.Name) and modules.get(target.id) in MEMBERS and not texts and len(node.args) > 1:
        yield node.lineno, f"getattr on the module {target.id} by a computed name"


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
