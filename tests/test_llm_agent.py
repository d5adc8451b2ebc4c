"""An outside coding agent, stood in for by small programs that do what such programs do."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from genome import Call, Genome, NoOffspring, Offspring, Task
from genome.operator import Asks, Operator
from llm_mutator.agent import Agent
from tests.lore import MemoryLore

TEXT = "LR = 0.1\nprint(LR)\n"
CHANGE = "import pathlib; p = pathlib.Path('train.py'); p.write_text(p.read_text().replace('0.1', '0.2')); "


@pytest.fixture
def lore(tmp_path: Path) -> MemoryLore:
    brief = tmp_path / "program.md"
    brief.write_text("Lower is better.\n")
    made = MemoryLore(Genome({"train.py": TEXT}), score=2.0)
    made.task = Task("toy", brief, made.task.seed)
    return made


def agent(code: str, **options: object) -> Agent:
    return Agent([sys.executable, "-c", code], **{"timeout_s": 30.0, **options})  # type: ignore[arg-type]


def born(operator: Agent, lore: MemoryLore) -> Offspring:
    birth = operator.breed([lore.individual(1)], lore, np.random.default_rng(0))
    call = next(birth)
    with pytest.raises(StopIteration) as end:
        birth.send(operator.answer(call))
    offspring = end.value.value
    assert isinstance(offspring, Offspring)
    return offspring


def refusal(operator: Agent, lore: MemoryLore) -> str:
    birth = operator.breed([lore.individual(1)], lore, np.random.default_rng(0))
    with pytest.raises(NoOffspring) as reason:
        birth.send(operator.answer(next(birth)))
    return str(reason.value)


def test_what_the_command_changed_is_the_offspring(lore: MemoryLore) -> None:
    operator = agent(CHANGE + "print('working'); print('IDEA: a faster rate')")
    assert isinstance(operator, Operator)
    assert isinstance(operator, Asks)
    expected = Offspring(Genome({"train.py": TEXT.replace("0.1", "0.2")}), "agent", (1,), "a faster rate")
    assert born(operator, lore) == expected


def test_the_brief_is_on_standard_input_and_in_a_file(lore: MemoryLore) -> None:
    code = (
        CHANGE
        + "import sys; a = sys.stdin.read(); b = open(sys.argv[1]).read(); print('IDEA:', a == b, a.count('Lower is'))"
    )
    operator = Agent([sys.executable, "-c", code, "{brief}"], timeout_s=30)
    assert born(operator, lore).idea == "True 1"


def test_a_command_that_repeats_its_question_still_has_its_own_idea(lore: MemoryLore) -> None:
    code = CHANGE + "import sys; print(sys.stdin.read()); print('IDEA: mine')"
    assert born(agent(code), lore).idea == "mine"


def test_the_environment_is_empty_but_for_what_is_allowed(lore: MemoryLore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("AGENT_KEY", "its own")
    code = CHANGE + "import os; print('IDEA:', *sorted(os.environ), os.environ['AGENT_KEY'])"
    idea = born(agent(code, environment=["AGENT_KEY", "NOT_THERE"]), lore).idea
    seen = set(idea.split())
    assert "OPENAI_API_KEY" not in seen
    assert {"AGENT_KEY", "HOME", "TMPDIR", "PATH", "its", "own"} <= seen
    assert seen - {"AGENT_KEY", "HOME", "TMPDIR", "PATH", "its", "own"} <= {
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TERM",
        "TZ",
        "GENEPOOL_AGENT",
    }


def test_fixtures_can_be_read_and_are_not_taken(lore: MemoryLore, tmp_path: Path) -> None:
    fixtures = tmp_path / "fixtures"
    fixtures.mkdir()
    (fixtures / "prepare.py").write_text("SIZE = 7\n")
    code = CHANGE + "q = pathlib.Path('prepare.py'); print('IDEA:', q.read_text()); q.write_text('SIZE = 8')"
    offspring = born(agent(code, fixtures=fixtures), lore)
    assert list(offspring.genome.files) == ["train.py"]
    assert offspring.idea == "SIZE = 7"
    assert (fixtures / "prepare.py").read_text() == "SIZE = 7\n"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('IDEA: nothing')", "changed none of train.py"),
        ("import os; os.remove('train.py')", "removed train.py"),
        ("import os; os.remove('train.py'); os.symlink('/etc/passwd', 'train.py')", "by a link"),
        ("open('train.py', 'wb').write(b'\\xff\\xfe')", "no UTF-8 text"),
        ("open('train.py', 'w').write('x' * 2_000_000)", "more than 1000000 bytes"),
        ("open('train.py', 'w').write('x = = 1')", "does not parse"),
        ("open('train.py', 'w').write('LR = 0.1\\nprint(LR)  # same')", "the same as #1"),
        ("raise SystemExit('no credit left')", "ended with 1: no credit left"),
    ],
)
def test_what_is_no_offspring_is_refused_with_its_reason(code: str, words: str, lore: MemoryLore) -> None:
    assert words in refusal(agent(code), lore)


def test_a_command_that_does_not_exist_is_one_line(lore: MemoryLore) -> None:
    assert "cannot be started" in refusal(Agent("no-such-agent --print"), lore)


def test_the_sandbox_goes_before_the_command(lore: MemoryLore) -> None:
    sandbox = [
        sys.executable,
        "-c",
        "import os, sys; os.environ['IN'] = sys.argv[1]; os.execv(sys.argv[2], sys.argv[2:])",
        "{folder}",
    ]
    code = CHANGE + "import os; print('IDEA:', os.path.samefile(os.environ['IN'], '.'))"
    assert born(agent(code, sandbox=sandbox), lore).idea == "True"


def test_the_time_limit_kills_the_whole_tree_and_daemons_too(lore: MemoryLore, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, subprocess, sys, time
sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']
started = [subprocess.Popen(sleeper), subprocess.Popen(sleeper, start_new_session=True)]
if os.fork() == 0:  # a daemon: its parent ends at once
    os.setsid()
    daemon = subprocess.Popen(sleeper)
    open({str(pids)!r}, 'a').write(f'{{daemon.pid}} ')
    os._exit(0)
os.wait()
open({str(pids)!r}, 'a').write(' '.join(str(p.pid) for p in started) + ' end')
time.sleep(600)
"""
    assert "killed after 5 s" in refusal(agent(code, timeout_s=5.0), lore)
    *numbers, end = pids.read_text().split()
    assert end == "end"
    assert len(numbers) == 3
    alive = [int(pid) for pid in numbers if psutil.pid_exists(int(pid))]
    assert [pid for pid in alive if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE] == []


def test_what_a_command_leaves_running_ends_with_it(lore: MemoryLore) -> None:
    code = (
        CHANGE + "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    )
    code += "start_new_session=True); print('IDEA:', p.pid)"
    pid = int(born(agent(code), lore).idea)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_closing_ends_a_running_command(lore: MemoryLore) -> None:
    operator = agent("import time; time.sleep(600)", timeout_s=600.0)
    threading.Timer(0.3, operator.close).start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        operator.answer(Call("x", ({"role": "user", "content": "go"},), {"files": {"train.py": TEXT}}))
    assert time.monotonic() - started < 60


def test_an_empty_command_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="command is empty"):
        Agent("")


def test_nothing_is_left_in_the_temporary_folder(
    lore: MemoryLore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    born(agent(CHANGE), lore)
    assert os.listdir(tmp_path / "tmp") == []


def shipped_sandbox() -> list[str]:
    text = (Path(__file__).parents[1] / "conf" / "operators" / "agent.yaml").read_text(encoding="utf-8")
    words = yaml.safe_load(text)["mix"]["agent"]["operator"]["sandbox"]
    assert isinstance(words, list)
    return words


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed: apt install bubblewrap")
def test_the_shipped_sandbox_confines_what_the_command_writes(lore: MemoryLore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    code = (
        CHANGE + f"import os; (pathlib.Path.home() / 'note').write_text('x')\n"
        f"for path in ('{outside}', '/var', os.path.expanduser('~root')):\n"
        "    try: open(path + '/escaped', 'w'); print('escaped to', path)\n"
        "    except OSError: pass\n"
        "print('IDEA: confined')"
    )
    offspring = born(agent(code, sandbox=shipped_sandbox()), lore)
    assert offspring.idea == "confined"
    assert "0.2" in offspring.genome.files["train.py"]
    assert not list(outside.iterdir())


def test_a_sandbox_that_is_not_installed_is_told_before_any_birth() -> None:
    with pytest.raises(ValueError, match="apt install bubblewrap"):
        Agent("true", sandbox=["no-such-sandbox"])
