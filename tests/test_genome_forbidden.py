"""Refusal of what can hide code, and of nothing that honest training code does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from genome import Genome
from genome.forbidden import refusal

SEEDS = Path(__file__).parent.parent / "genome" / "seeds"


@pytest.mark.parametrize(
    "text",
    [
        "import torch\nmodel = torch.compile(torch.nn.Linear(1, 1))\nmodel.eval()\n",
        "import re\nre.compile('a')\n",
        "from torch import compile\n\ncompile(1)\n",
        "def build(model, compile=True):\n    return compile\n",
        "def eval(model):\n    return 1\n\n\ndef run():\n    return eval(2)\n\n\nrun()\n",
        "import torch\nx = getattr(torch, 'float16')\n",
        "import inspect\n\nparameters = inspect.signature(print).parameters\n",
        "class Model:\n    def eval(self):\n        return self\n\n\nModel().eval()\n",
        "if __name__ == '__main__':\n    print('evaluate')\n",
        "import codecs\n\nwith codecs.open('a.txt') as file:\n    text = file.read()\n",
    ],
)
def test_honest_code_is_accepted(text: str) -> None:
    assert refusal(Genome({"train.py": text})) is None


@pytest.mark.parametrize("path", sorted(SEEDS.rglob("*.py")), ids=lambda path: path.parent.name + "/" + path.name)
def test_our_own_seeds_are_accepted(path: Path) -> None:
    assert refusal(Genome({"train.py": path.read_text(encoding="utf-8")})) is None


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\nexec('x = 2')\n", 2, "the builtin exec"),
        ("run = eval\n", 1, "the builtin eval"),
        ("code = compile('1', '', 'exec')\n", 1, "the builtin compile"),
        ("if 0:\n    exec = 1\nexec('1')\n", 3, "the builtin exec"),
        ("def eval(x):\n    return x\n\n\ndel eval\neval('1')\n", 5, "the builtin eval"),
        ("class A:\n    exec = exec\n", 2, "the builtin exec"),
        ("def f():\n    global exec\n    exec = 1\n\n\nexec('2')\n", 6, "the builtin exec"),
        ("pairs = [eval(x) for x in '12']\n", 1, "the builtin eval"),
        ("__import__('zlib')\n", 1, "the builtin __import__"),
        ("__builtins__['ex' + 'ec']('1')\n", 1, "the builtin __builtins__"),
        ("import builtins\n", 1, "the module builtins"),
        ("import importlib.util as u\n", 1, "the module importlib.util"),
        ("from zlib import decompress\n", 1, "the module zlib"),
        ("def f():\n    import marshal\n", 2, "the module marshal"),
        ("import torch, ctypes as c\n", 1, "the module ctypes"),
        ("import codecs\n\ncodecs.decode('a', 'rot13')\n", 3, "codecs.decode"),
        ("from codecs import decode\n", 1, "codecs.decode"),
        ("import sys as s\n\ns.modules['built' + 'ins']\n", 3, "sys.modules"),
        ("import sys\n\ngetattr(sys, 'mod' + 'ules')\n", 3, "getattr on the module sys"),
        ("f = (lambda: 0).__globals__\n", 1, "__globals__"),
        ("f = getattr(print, '__self__', getattr(int, '__subclasses__'))\n", 1, "getattr of '__subclasses__'"),
        ("def f():\n    'data'\n\n\nx = f.__doc__\n", 5, "__doc__"),
        ("x = open(__file__).read()\n", 1, "__file__"),
    ],
)
def test_what_can_hide_code_or_data_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    message = refusal(Genome({"train.py": text}))
    assert message is not None
    assert message.startswith(f"train.py line {line} uses {what}")


def test_files_that_are_not_python_are_not_looked_at() -> None:
    assert refusal(Genome({"notes.txt": "exec('1')"})) is None


def test_the_standard_library_is_rarely_refused() -> None:
    names = ("argparse", "statistics", "heapq", "textwrap", "random", "dataclasses")
    files = [Path(subprocess.__file__).with_name(f"{name}.py") for name in names]
    refused = [f.name for f in files if refusal(Genome({"a.py": f.read_text(encoding="utf-8")}))]
    assert set(refused) <= {"textwrap.py", "argparse.py", "dataclasses.py"}  # they run code or read docstrings
