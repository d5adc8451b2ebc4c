"""The numbers of a program that may be tuned: where each stands, what kind it is, and how it may move."""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from genome.genome import Genome
from genome.source import FUNCTIONS, Edit, Source, apply, source

Kind = Literal["power of two", "integer", "exponent", "share", "positive", "zero"]

# a place, a shape, a seed or a habit of logging: moving it is not a hypothesis about quality
FIXED = re.compile(
    r"^(dim|dims|axis|axes|index|idx|seed|start|stop|start_dim|end_dim|ndim|ndims|dim0|dim1|indent|file|"
    r"diagonal|offset|stacklevel|flush|level|version|port|encoding|ndigits|ignore_index|lineno|maxsize)$|seed|"
    r"^log_|(log|print|report)_?(every|interval|steps?)|verbose",
    re.IGNORECASE,
)
NEVER_ZERO = re.compile(
    r"(^|[\W_])(lr|eps|std|scale|sigma|gain|temperature|softcap|rate)([\W_]|$)|learning", re.IGNORECASE
)
FRACTION = re.compile(r"drop|decay|momentum|frac|ratio|prob|share|smooth|beta", re.IGNORECASE)
GRAIN = 2  # significant digits of a proposal: literals cost by length
SMALLEST_SHARE = 0.01  # a share from here on may go to 0.0: dropout 0.1 does, a learning rate of 6e-4 does not
ZERO_CHANCE = 0.15
LOWEST = -6.0  # logit that stands for a share of 0.0


@dataclass(frozen=True)
class Number:
    """One number that may be tuned.

    Attributes:
        key: (file, name in words such as `BETAS[1]` or `Dropout(p)`, count among equal names); relatives share it.
        start, end: its place in the file's text.
        weight: chance of being chosen, relative to the others.
    """

    key: tuple[str, str, int]
    value: float
    written: str
    start: int
    end: int
    kind: Kind
    weight: float

    @property
    def name(self) -> str:
        """The name in words, with its count where it is not the first of that name."""
        return self.key[1] if self.key[2] == 1 else f"{self.key[1]} #{self.key[2]}"

    @property
    def may_vanish(self) -> bool:
        """Whether 0.0 is worth trying: a share of some weight that is not a step size."""
        return (
            self.kind == "share"
            and SMALLEST_SHARE <= self.value < 0.9
            and not NEVER_ZERO.search(re.sub(r"drop_?rate", "drop", self.name, flags=re.I))
        )


def numbers(genome: Genome) -> list[Number]:
    """Return the numbers of a genome that may be tuned, in reading order."""
    return [number for path, text in genome.files.items() if path.endswith(".py") for number in _numbers(path, text)]


@lru_cache(maxsize=1024)
def _numbers(path: str, text: str) -> tuple[Number, ...]:
    src = source(text)
    found: list[Number] = []
    taken: set[ast.AST] = set()
    count: dict[str, int] = {}
    written: dict[str, int] = {}  # how often a name is assigned: what changes as the program runs is no constant
    for node in src.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            written[node.id] = written.get(node.id, 0) + 1
    for node in src.nodes:
        for name, value, weight in _named_values(src, node):
            if written.get(name, 1) > 1:
                continue
            constants = _constants(src, value)
            for at, constant in enumerate(constants):
                if constant in taken:
                    continue
                taken.add(constant)
                full = f"{name}[{at}]" if len(constants) > 1 else name
                count[full] = count.get(full, 0) + 1
                start, end = src.span(constant)
                number = float(constant.value)  # type: ignore[arg-type]
                kind = _kind(src, constant, full)
                found.append(Number((path, full, count[full]), number, src.text[start:end], start, end, kind, weight))
    return tuple(found)


def _named_values(src: Source, node: ast.AST) -> list[tuple[str, ast.expr, float]]:
    """Return (name, expression, weight) of a constant, a field, a keyword argument or a parameter's default."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(src.parent[node], ast.Module | ast.ClassDef):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and node.value is not None and not FIXED.search(target.id):
            return [(target.id, node.value, 3.0)]
    if isinstance(node, ast.keyword) and node.arg and not FIXED.search(node.arg):
        call = src.parent[node]
        if isinstance(call, ast.Call) and not src.in_text(node):
            callee = ast.unparse(call.func).rsplit(".", 1)[-1][:30]
            return [] if callee == "print" else [(f"{callee}({node.arg})", node.value, 1.0)]
    if isinstance(node, FUNCTIONS):
        a = node.args
        pairs = [*zip([*a.posonlyargs, *a.args][::-1], a.defaults[::-1], strict=False)]
        pairs += [(arg, value) for arg, value in zip(a.kwonlyargs, a.kw_defaults, strict=True) if value is not None]
        return [(f"{node.name}({p.arg}=)", value, 1.0) for p, value in pairs if not FIXED.search(p.arg)]
    return []


def _constants(src: Source, value: ast.expr) -> list[ast.Constant]:
    """Return the numeric literals of simple arithmetic and tuples; none where anything else stands inside."""
    waiting: list[ast.AST] = [value]
    found: list[ast.Constant] = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant):
            if type(node.value) in (int, float) and _movable(src, node):
                found.append(node)
        elif isinstance(node, ast.BinOp):
            # in 2**19 the exponent moves, and in 1024 * 1024 each factor may
            waiting.extend((node.right,) if isinstance(node.op, ast.Pow) else (node.right, node.left))
        elif isinstance(node, ast.Tuple | ast.List):
            waiting.extend(reversed(node.elts))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            negative = isinstance(node.operand, ast.Constant) and type(node.operand.value) is float
            waiting.extend((node.operand,) if negative else ())  # -1.0 moves, -1 is a place
    return found


def _movable(src: Source, node: ast.Constant) -> bool:
    if isinstance(node.value, float):
        return math.isfinite(node.value)
    assert isinstance(node.value, int)
    text = src.code(node).lower()
    return abs(node.value) < 2**53 and not text.startswith(("0x", "0b", "0o"))


def _kind(src: Source, node: ast.Constant, name: str) -> Kind:
    value, outer = node.value, src.parent[node]
    assert isinstance(value, int | float)
    if isinstance(value, int):
        if isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Pow):
            return "exponent"
        if value == 0:
            return "zero"
        return "power of two" if value & (value - 1) == 0 else "integer"
    if 0 <= value < 1:
        return "share"
    return "share" if value == 1 and FRACTION.search(name) else "positive"


def step(number: Number, rng: np.random.Generator) -> str:
    """Return a number's new text: one step on its own scale."""
    value, up = number.value, bool(rng.random() < 0.5)
    if value == 0:
        return _from_zero(number, rng)
    if number.kind == "exponent":
        return str(int(value) + (1 if up or value <= 1 else -1))
    if number.kind == "power of two":
        factor = 4 if rng.random() < 0.2 else 2
        return write(number, value * factor if up or value == 1 else max(1, value // factor))
    if number.may_vanish and rng.random() < ZERO_CHANCE:
        return write(number, 0.0)
    distance = float(rng.uniform(math.log(1.25), math.log(4.0)))
    return write(number, from_coordinate(number, coordinate(number, value) + (distance if up else -distance)))


def _from_zero(number: Number, rng: np.random.Generator) -> str:
    if "." in number.written or "e" in number.written.lower():
        return str(rng.choice(["0.01", "0.02", "0.05", "0.1", "0.2"]))
    return str(rng.choice(["1", "2", "4", "8", "16"]))


def coordinate(number: Number, value: float) -> float:
    """Return where a value stands on the scale on which this number moves: logit, base-2 log, or log."""
    if number.kind == "exponent":
        return value
    if number.kind == "share":
        return math.log(value / (1 - value)) if 0 < value < 1 else (LOWEST if value <= 0 else -LOWEST)
    return math.log(max(abs(value), 1e-12), 2 if number.kind == "power of two" else math.e)


def from_coordinate(number: Number, at: float) -> float:
    """Return the value at a place of the number's scale, unrounded for floats."""
    if number.kind == "exponent":
        return max(1, round(at))
    if number.kind == "power of two":
        return float(2 ** max(0, round(at)))
    if number.kind == "share":
        return 0.0 if number.may_vanish and at <= LOWEST else 1 / (1 + math.exp(-at))
    return math.exp(at)


def write(number: Number, value: float) -> str:
    """Return a value as this number's text: the same type and notation, few significant digits, never the old value."""
    if "." not in number.written and "e" not in number.written.lower():
        return _write_integer(number, value)
    rounded = value
    for digits in (1, GRAIN, GRAIN + 1):
        rounded = _round(value, digits)
        close = value == 0 or 0.85 < _ratio(rounded, value) < 1.18
        if rounded != number.value and close and (number.kind != "share" or 0 <= rounded < 1):
            break
    return _write_float(rounded, scientific="e" in number.written.lower())


def _ratio(a: float, b: float) -> float:
    near_one = 0.5 < b < 1 and a < 1
    return (1 - a) / (1 - b) if near_one else a / b


def _round(value: float, digits: int) -> float:
    if 0.5 < value < 1:  # 0.95 moves in 1 - x
        return round(1 - float(f"{1 - value:.{digits - 1}e}"), 12)
    return float(f"{value:.{digits - 1}e}")


def _write_integer(number: Number, value: float) -> str:
    if number.kind in ("power of two", "exponent"):
        whole = int(value)
    else:
        size = abs(value)
        whole = max(1, round(size) if size < 10 else int(_round(size, GRAIN)))
        if whole == number.value:
            whole += 1 if value >= number.value or whole == 1 else -1
    return f"{whole:_}" if "_" in number.written else str(whole)


def _write_float(value: float, *, scientific: bool) -> str:
    plain = f"{value:.12f}".rstrip("0")
    plain = plain + "0" if plain.endswith(".") else plain
    if value == 0:
        return "0.0"
    mantissa, exponent = f"{value:.6e}".split("e")
    short = mantissa.rstrip("0").rstrip(".") + f"e{int(exponent)}"
    if float(plain) != value or value >= 1e5 or value < 1e-3 or (scientific and not 0.01 <= value < 100):
        return short
    return plain


def rewrite(genome: Genome, changes: list[tuple[Number, str]]) -> Genome:
    """Return the genome with the numbers written anew; every other byte stays.

    Raises:
        GenomeError: the result does not parse.
    """
    files = dict(genome.files)
    for path in sorted({number.key[0] for number, _ in changes}):
        edits = [Edit(number.start, number.end, text) for number, text in changes if number.key[0] == path]
        files[path] = apply(files[path], edits)
    return Genome(files)
