"""Ancestry in git's own shape: an individual is a commit, mutation has one parent, crossover is a merge of two."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.errors import ArchiveError, CannotWrite, DamagedArchive
from archive.texts import one_line
from genome.genome import Genome
from genome.individual import Evaluation

if TYPE_CHECKING:
    from git import Repo

    from archive.view import View

REF = "refs/individuals/"
TRAILER = "Genepool-Record"
AUTHOR = "Genepool <genepool@localhost>"
TIDY_AFTER = 512  # commits between two tidyings; a batch is a pack or some loose objects, and thousands slow git down


@dataclass(frozen=True)
class Deed:
    """All that a commit says of an individual: its birth and its first result, which never change afterwards."""

    id: int
    genome: Genome
    operator: str
    parents: tuple[int, ...]
    inspirations: tuple[int, ...]
    idea: str
    generation: int
    created: float
    ended: float
    purpose: str
    slot: int
    result: Evaluation

    def message(self, metric: str) -> str:
        """Return the commit message: subject, result, and the whole record as one line of JSON."""
        result = self.result
        if result.failure is None:
            outcome = f"{metric} {result.score!r}"
        else:
            outcome = f"failed: {result.failure.kind}: {one_line(result.failure.detail)}"
        if not result.verified:
            outcome += " (unverified)"
        subject = one_line(f"#{self.id} {self.operator}: {self.idea}")
        record = json.dumps(self.record(), separators=(",", ":"))
        return f"{subject}\n\n{outcome}, size {self.genome.size}\n\n{TRAILER}: {record}\n"

    def record(self) -> dict[str, Any]:
        """Return the rows behind the commit as plain JSON; the genome is the commit's tree."""
        result = self.result
        failure = result.failure
        return {
            "id": self.id,
            "operator": self.operator,
            "parents": self.parents,
            "inspirations": self.inspirations,
            "idea": self.idea,
            "generation": self.generation,
            "created": self.created,
            "evaluation": {
                "purpose": self.purpose,
                "slot": self.slot,
                "seed": result.seed,
                "score": result.score,
                "failure": None if failure is None else [failure.kind, failure.detail],
                "seconds": result.seconds,
                "verified": result.verified,
                "device": result.device,
                "metrics": dict(result.metrics),
                "ended": self.ended,
            },
        }


def deeds(view: View, ids: Sequence[int]) -> list[Deed]:
    """Return what the commits of these individuals say; each has a result."""
    found = []
    for id in ids:
        individual = view.individual(id)
        created = view.store.value("SELECT created FROM individuals WHERE id = ?", id)
        first = view.first_trial(id)
        assert first.result is not None
        assert first.ended is not None
        found.append(
            Deed(
                id,
                individual.genome,
                individual.operator,
                individual.parents,
                individual.inspirations,
                individual.idea,
                individual.generation,
                created,
                first.ended,
                first.purpose,
                first.slot,
                first.result,
            )
        )
    return found


class Lineage:
    """The bare repository `lineage.git`, written by one process in batches.

    A commit's id depends only on what the database holds, so that a lost repository comes back with the same ids.

    Raises:
        DamagedArchive: git cannot read it.
        ArchiveError: git is not installed.
    """

    def __init__(self, path: Path, metric: str) -> None:
        self.path = path
        self._metric = metric
        self._repo = _open(path)
        self._hold = os.open(path, os.O_RDONLY)
        # every git inherits this lock, so that one which outlives a killed engine is waited for, a moment, here
        fcntl.flock(self._hold, fcntl.LOCK_EX)
        self._since_tidy = 0
        for stale in self._stale_locks():
            stale.unlink(missing_ok=True)
        self.ids = set(self.commits())

    def commits(self) -> dict[int, str]:
        """Return the commit of each individual that has one."""
        listed = self._git("for-each-ref", REF, "--format=%(refname:lstrip=2) %(objectname)")
        return {int(name): commit for name, _, commit in (line.partition(" ") for line in listed.splitlines())}

    def add(self, deeds: Sequence[Deed]) -> None:
        """Commit individuals; a parent is committed before its child, or stands before it in the batch."""
        if not deeds:
            return
        written: set[int] = set()
        stream = [b"feature done\n"]
        for deed in deeds:
            stream.extend(_commit(deed, deed.message(self._metric), written))
            written.add(deed.id)
        stream.append(b"done\n")
        self._git("fast-import", "--quiet", "--force", "--done", stdin=b"".join(stream))
        self.ids |= written
        self._since_tidy += len(written)
        if self._since_tidy >= TIDY_AFTER:
            self.tidy()

    def remove(self, ids: Iterable[int]) -> None:
        """Take refs away, of individuals that the database does not know."""
        for id in ids:
            self._git("update-ref", "-d", f"{REF}{id}")
            self.ids.discard(id)

    def tidy(self) -> None:
        """Put small packs, loose objects and loose refs together."""
        self._git("repack", "-d", "-q", "--geometric=2")
        self._git("pack-refs", "--all")
        self._since_tidy = 0

    def close(self) -> None:
        """Tidy where it is due, and let go of the repository."""
        if self._since_tidy >= TIDY_AFTER // 4:
            self.tidy()
        self._repo.close()
        os.close(self._hold)

    def _git(self, *command: str, stdin: bytes = b"") -> str:
        git = self._repo.git
        arguments = [git.GIT_PYTHON_GIT_EXECUTABLE, *command]
        with _deaf():
            process = git.execute(arguments, istream=subprocess.PIPE, as_process=True, pass_fds=(self._hold,))
        output, complaint = process.communicate(stdin)
        if process.returncode:
            reason = complaint.decode("utf-8", "replace").strip() or f"it ended with {process.returncode}"
            raise self._explain(reason)
        return str(output.decode())

    def _explain(self, stderr: str) -> ArchiveError:
        lines = [line.strip(" '") for line in stderr.splitlines() if line.strip(" '")]
        reason = one_line(next((line for line in lines if "fatal" in line or "error" in line), lines[0]))
        if "No space left" in stderr or "Read-only file system" in stderr or "ermission denied" in stderr:
            return CannotWrite(
                f"git cannot write {self.path}: {reason}; free its disk, then run the same command again"
            )
        return DamagedArchive(
            f"git cannot work with {self.path}: {reason}; "
            "move that folder aside and start again: it is rebuilt from the database"
        )

    def _stale_locks(self) -> list[Path]:
        # left when a machine died in the middle of a write; the run's own lock says that nobody else writes now
        return [*self.path.glob("*.lock"), *(self.path / REF).glob("*.lock")]


@contextmanager
def _deaf() -> Iterator[None]:
    """Start what does not hear Ctrl-C, SIGTERM or a closed terminal: those are for the engine, which waits for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _open(path: Path) -> Repo:
    try:
        from git import Repo
        from git.exc import GitCommandNotFound, InvalidGitRepositoryError
    except ImportError as error:  # GitPython refuses to be imported where there is no git
        raise ArchiveError(
            f"git is not to be had: {one_line(str(error))}; install it (Debian: apt install git)"
        ) from error
    try:
        if not path.exists():
            new = path.with_name(f"{path.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            repo = Repo.init(new, bare=True)
            with repo.config_writer() as config:
                config.set_value(
                    "core", "fsync", "none"
                )  # the database is the truth; what a power cut takes comes back
                config.set_value("gc", "auto", "0")
            repo.close()
            new.rename(path)
        return Repo(path)
    except GitCommandNotFound as error:
        raise ArchiveError("there is no git command; install it (Debian: apt install git)") from error
    except InvalidGitRepositoryError as error:
        raise DamagedArchive(
            f"{path} is no git repository; move it aside and start again: it is rebuilt from the database"
        ) from error
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}; free its disk and make it writable") from error


def _commit(deed: Deed, message: str, written: set[int]) -> Iterable[bytes]:
    yield f"commit {REF}{deed.id}\nmark :{deed.id}\n".encode()
    yield f"author {AUTHOR} {int(deed.created)} +0000\ncommitter {AUTHOR} {int(deed.ended)} +0000\n".encode()
    yield _data(message)
    for word, parent in zip(("from", "merge"), deed.parents, strict=False):
        yield f"{word} {f':{parent}' if parent in written else f'{REF}{parent}^0'}\n".encode()
    yield b"deleteall\n"
    for path, text in deed.genome.files.items():
        yield b"M 100644 inline " + _quoted(path) + b"\n" + _data(text)
    yield b"\n"


def _data(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    return (
        b'"'
        + b"".join(b"\\%03o" % byte if byte in b'"\\' or byte < 32 else bytes([byte]) for byte in path.encode())
        + b'"'
    )
