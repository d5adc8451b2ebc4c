"""An outside coding agent as an operator: any command line that changes files in a folder."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import psutil

from genome.individual import Individual, Offspring
from genome.operator import Birth, Call, Lore, NoOffspring, Reply
from llm_mutator import context, prompt, reply, requests
from llm_mutator.reply import Refused
from llm_mutator.text import clean, one_line, tokens
from llm_mutator.writer import examine

BRIEF = "BRIEF.md"
MARK = "GENEPOOL_AGENT"  # environment variable by which what a command left behind is found
POLL_S = 0.05
OUTPUT_BYTES = 200_000
FILE_BYTES = 1_000_000
BASE_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TERM", "TZ")


class Agent:
    """Mutation by a command that works in a copy of the genome's files; what it changed there is the offspring.

    The command gets the question on its standard input and as BRIEF.md in its folder. Its environment holds PATH,
    the language, a HOME of its own that is its TMPDIR too, and nothing else of ours except what `environment` names.

    Args:
        command: a command line, or its words; `{brief}` in a word becomes the path of BRIEF.md.
        timeout_s: wall time; then the command and all that it started are killed.
        environment: names of our environment variables that the command may see, such as its own key.
        sandbox: words put before the command, such as a bubblewrap call; `{folder}` and `{home}` become the two
            folders that the command may write.
        fixtures: a folder whose files are put beside the genome, to be read and never taken.
        prompt_tokens: about how long the question may be.
        usd: what one call costs, for the budget; the command does not tell.
    """

    name = "agent"
    arity = 1

    def __init__(
        self,
        command: str | Sequence[str],
        timeout_s: float = 600.0,
        environment: Sequence[str] = (),
        sandbox: Sequence[str] = (),
        fixtures: str | Path | None = None,
        prompt_tokens: int = 4_000,
        usd: float = 0.0,
    ) -> None:
        self.command = tuple(shlex.split(command) if isinstance(command, str) else command)
        if not self.command:
            raise ValueError("the agent's command is empty; give a command line, such as command='my-agent --print'")
        if sandbox and shutil.which(sandbox[0]) is None:
            raise ValueError(
                f"the agent's sandbox {sandbox[0]!r} is not installed; on Debian or Ubuntu: apt install bubblewrap,"
                " or let the agent run without one: operators.mix.agent.operator.sandbox=[]"
            )
        self.timeout_s = timeout_s
        self.environment = tuple(environment)
        self.sandbox = tuple(sandbox)
        self.fixtures = Path(fixtures) if fixtures else None
        self.prompt_tokens = prompt_tokens
        self.usd = usd
        self._closed = threading.Event()

    def breed(self, parents: Sequence[Individual], lore: Lore, rng: np.random.Generator) -> Birth:
        """Ask the command once; what it leaves behind is accepted or refused as any other offspring."""
        (parent,) = parents
        stable = prompt.system(lore.task, lore.sigma, lore.price)
        subject = f"# Parent {prompt.standing(parent, lore.task.objective, lore.sigma)}\n{prompt.idea(parent)}"
        request = requests.agent(list(parent.genome.files))
        room = self.prompt_tokens - tokens(stable) - tokens(subject) - tokens(request)
        sections = prompt.shorten([context.lineage(parents, lore), context.failures(lore)], room)
        question = f"{stable}\n\n{prompt.user(subject, sections, request)}\n"
        message = {"role": "user", "content": question}
        answer = yield Call(self.command[0], (message,), {"files": dict(parent.genome.files)})
        if answer.error:
            raise NoOffspring(answer.error)
        told = reply.json_object(answer.text, ("files", "idea"))
        genome = parent.genome
        try:
            for path, text in told["files"].items():
                genome = genome.replaced(path, text)
            examine(genome, parents, lore)
        except ValueError as problem:  # GenomeError, Refused
            raise NoOffspring(one_line(problem, 1000)) from None
        return Offspring(genome, self.name, (parent.id,), told["idea"])

    def answer(self, call: Call) -> Reply:
        """Run the command in a folder of its own; returns the changed files and the idea as JSON."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="genepool-agent-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            work = folder / "work"
            if self.fixtures is not None:
                shutil.copytree(self.fixtures, work)
            _write(work, {**call.options["files"], BRIEF: call.messages[0]["content"]})
            try:
                printed = self._run(folder, work, call.messages[0]["content"])
                text = json.dumps({"idea": _idea(printed), "files": _changed(work, call.options["files"])})
                return Reply(text, usd=self.usd, seconds=time.monotonic() - started)
            except Refused as error:
                return Reply("", str(error), usd=self.usd, seconds=time.monotonic() - started)

    def close(self) -> None:
        """End commands that are running; idempotent."""
        self._closed.set()

    def _run(self, folder: Path, work: Path, question: str) -> str:
        """Return what the command printed.

        Raises:
            Refused: it could not be started, was killed at its time limit, or failed.
            concurrent.futures.CancelledError: closed meanwhile.
        """
        places = {"{folder}": str(work), "{home}": str(folder / "home")}
        words = [functools.reduce(lambda w, place: w.replace(*place), places.items(), word) for word in self.sandbox]
        words += [word.replace("{brief}", str(work / BRIEF)) for word in self.command]
        output, brief = folder / "output", folder / "brief"
        brief.write_text(question, encoding="utf-8", errors="replace")
        with output.open("wb") as out, brief.open("rb") as given:
            try:
                process = subprocess.Popen(
                    words,
                    cwd=work,
                    env=self._visible(folder),
                    stdin=given,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise Refused(f"the agent's command cannot be started: {error}") from None
            try:
                late = self._wait(process)
            finally:
                kill_all(process, folder.name)
        printed = _tail(output)
        if late:
            raise Refused(f"the agent was killed after {self.timeout_s:g} s")
        if process.returncode:
            raise Refused(f"the agent ended with {process.returncode}: {one_line(clean(printed, 300, tail=True))}")
        return printed

    def _visible(self, folder: Path) -> dict[str, str]:
        """Return the command's environment: nothing of ours but what is named, and a mark to find processes by."""
        home = folder / "home"
        home.mkdir()
        named = {name: os.environ[name] for name in (*BASE_ENVIRONMENT, *self.environment) if name in os.environ}
        return {"HOME": str(home), "TMPDIR": str(home), **named, MARK: folder.name}

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the command's end; returns whether it ran out of time."""
        end = time.monotonic() + self.timeout_s
        while process.poll() is None:
            if self._closed.wait(POLL_S):
                raise CancelledError("the agent is closed")
            if time.monotonic() > end:
                return True
        return False


def kill_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a process, its group, what came from it, and what carries its mark, even as a daemon of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while left := [one for one in psutil.process_iter() if _marked(one, mark)]:
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=1.0)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # gone, or another user's
        return False


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")


def _changed(folder: Path, before: Mapping[str, str]) -> dict[str, str]:
    """Return the genome's files that differ now; a link is not followed, and what is no text is refused."""
    changed = {}
    for path, text in before.items():
        place = folder / path
        if place.resolve() != folder.resolve() / path:
            raise Refused(f"the agent replaced {path} by a link")
        if not place.is_file():
            raise Refused(f"the agent removed {path}")
        if place.stat().st_size > FILE_BYTES:
            raise Refused(f"{path} has more than {FILE_BYTES} bytes now")
        try:
            now = place.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(f"{path} is no UTF-8 text any more") from None
        if now != text:
            changed[path] = now
    if not changed:
        raise Refused(f"the agent changed none of {', '.join(before)}")
    return changed


def _idea(printed: str) -> str:
    """Return the last idea that was printed: a command that repeats its question prints the form of one first."""
    lines = [line for line in printed.splitlines() if line.lstrip("*#> ").upper().startswith("IDEA:")]
    return reply.idea(lines[-1]) if lines else "no idea was stated"


def _tail(output: Path) -> str:
    with output.open("rb") as printed:
        printed.seek(max(0, output.stat().st_size - OUTPUT_BYTES))
        return printed.read().decode("utf-8", "replace")
