"""Names: what a file defines, what it reads, and what is certainly bound when it does."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

from genome.names import Names
from genome.soundness import facts


def states(text: str) -> set[tuple[str, str]]:
    names = Names(ast.parse(text))
    return {(ref.name, ref.state) for ref in names.references if ref.state in ("undefined", "unsure")}


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\nprint(x)",
        "def f():\n    return g()\n\n\ndef g():\n    return 1\n",
        "import a.b as c, d.e\nprint(c, d)",
        "for i in range(3):\n    y = i\nprint(y)",
        "if a := 1:\n    print(a)",
        "try:\n    import x\nexcept ImportError as e:\n    print(e)\n    x = None\nprint(x)",
        "try:\n    x = 1\nexcept ValueError:\n    raise\nprint(x)",
        "with open('a') as f:\n    t = f\nprint(t)",
        "print([x for x in range(3) if x], {k: v for k, v in {}.items()}, (y for y in 'a'))",
        "class A:\n    n = 1\n    m = n + 1\n\n    def f(self):\n        return __class__\n",
        "def f(a, /, b=1, *c, d, **e):\n    return a, b, c, d, e",
        "def f():\n    global g\n    g = 1\n\n\ndef h():\n    return g\n",
        "def f():\n    n = 0\n\n    def g():\n        nonlocal n\n        n += 1\n\n    return g, n\n",
        "f = lambda x, y=1: x + y",
        "def f(c):\n    if c:\n        x = 1\n    else:\n        return 2\n    return x",
        "def f(c):\n    while True:\n        x = 1\n        if c:\n            break\n    return x",
        "match [1]:\n    case [x, *rest]:\n        print(x, rest)\n    case {'k': v, **more}:\n        print(v, more)",
        "from m import *\nprint(anything)",
        "x: int = 1\nprint(x)",
    ],
)
def test_what_python_would_find_is_found(text: str) -> None:
    assert states(text) == set()


@pytest.mark.parametrize(
    ("text", "name", "state"),
    [
        ("print(x)", "x", "undefined"),
        ("def f():\n    return missing", "missing", "undefined"),
        ("class A:\n    n = 1\n\n    def f(self):\n        return n", "n", "undefined"),
        ("print(x)\nx = 1", "x", "unsure"),
        ("def f(c):\n    if c:\n        x = 1\n    return x", "x", "unsure"),
        ("def f():\n    n += 1", "n", "unsure"),
        ("x = 1\ndel x\nprint(x)", "x", "unsure"),
        (
            "def f():\n    try:\n        x = g()\n    except ValueError:\n        pass\n    return x\n\n\ndef g(): 1",
            "x",
            "unsure",
        ),
        ("def f():\n    for i in []:\n        x = x + 1", "x", "unsure"),
        ("x: int\nprint(x)", "x", "unsure"),
        ("[y for x in z for z in x]", "y", "undefined"),
    ],
)
def test_what_is_missing_or_only_sometimes_bound_is_named(text: str, name: str, state: str) -> None:
    assert (name, state) in states(text)


def test_unused_names_are_those_that_nothing_reads() -> None:
    text = "import os\nA = 1\nB = 2\n\n\ndef f(x, y):\n    z = x\n    n = 0\n    n += 1\n    return B\n\n\nf(1, 2)\n"
    unused = {(scope.path, name) for scope, name in Names(ast.parse(text)).unused()}
    assert unused == {("", "os"), ("", "A"), ("f", "y"), ("f", "z"), ("f", "n")}


def test_where_names_are_looked_up_by_text_nothing_counts_as_unused() -> None:
    assert Names(ast.parse("A = 1\nprint(globals())")).unused() == []


def test_functions_that_return_on_one_way_only_are_known() -> None:
    text = "def f(x):\n    if x:\n        return 1\n\n\ndef g(x):\n    if x:\n        return 1\n    raise x\n\n\n"
    text += "def h():\n    f\n"
    assert [scope.path for scope in Names(ast.parse(text)).falls_through] == ["f"]


def test_almost_no_name_of_the_standard_library_is_called_undefined() -> None:
    root = Path(ast.__file__).parent
    undefined = {}
    for module in sorted(m.name for m in pkgutil.iter_modules([str(root)]) if not m.ispkg)[::6]:
        path = root / f"{module}.py"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if "globals()" not in text:  # such a file makes names that cannot be seen
            undefined.update({name: module for name, state in states(text) if state == "undefined"})
    assert undefined == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("class A:\n    def f(self):\n        return self.x", ("attribute", "A", "x")),
        ("class C:\n    x = 1\n\n\nclass B(C):\n    def f(self):\n        self.x + self.y", ("attribute", "B", "y")),
        ("def f(a):\n    return a\n\n\nf(b=1)", ("keyword", "f", "b")),
        ("def f(a):\n    return a\n\n\nf()", ("arity", "f", "no argument for a")),
        ("def f(a):\n    return a\n\n\nf(1, 2)", ("arity", "f", "too many arguments")),
        ("class A:\n    def __init__(self, n):\n        self.n = n\n\n\nA()", ("arity", "A", "no argument for n")),
        ("class A:\n    def f(s, n): n\n\n    def g(self):\n        self.f()", ("arity", "f", "no argument for n")),
        ("from dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    n: int\n\n\nA(m=1)", ("keyword", "A", "m")),
    ],
)  # fmt: skip
def test_attributes_and_arguments_that_nothing_provides_are_known(text: str, problem: tuple[str, str, str]) -> None:
    assert problem in facts(text).problems
