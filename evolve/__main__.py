"""The `evolve` command: reads the configuration, builds the parts, runs the search, prints the end."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from archive import Archive, ArchiveError, Settings, open_run
from archive.calls import models_asked, stored_replies
from evolve import summary
from evolve.budget import Budget
from evolve.mix import Mix, Share
from evolve.progress import Lines, Live
from evolve.schedule import Schedule
from evolve.search import STOP_FILE, Search, SeedFailed
from evolve.wording import in_words
from fitness.evaluator import Evaluator
from genome import Genome, GenomeError, Objective, Task
from llm_mutator.llm import Llm, LlmError
from llm_mutator.replay import Replay

HERE = Path(__file__).resolve().parent
# beside the package in a clone or an editable install, inside it in a wheel
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())

NAME = r"[\w.=,+-]{1,200}"  # what a run may be called


def main() -> None:
    """Run `evolve`; every error that a user can cause is a line or two and exit code 1 or 2."""
    OmegaConf.register_new_resolver("shipped", _shipped, replace=True)
    sys.argv += _chosen_by_key(sys.argv[1:])
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come up as exceptions, and are put into words below
    try:
        _hydra_main()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(in_words(error, CONF), 2)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(config: DictConfig) -> None:
    try:
        _run(config, _run_name(config))
    except (HydraException, OmegaConfBaseException) as error:
        _fail(in_words(error, CONF), 2)  # here, because Hydra would print a line of its own first
    except (ArchiveError, GenomeError, SeedFailed, LlmError, OSError, ValueError) as error:
        _fail(str(error) or type(error).__name__, 1)


def _run(config: DictConfig, name: str) -> None:
    folder = Path(config.runs_dir) / name
    console = Console()
    task = _task(config.task)
    evaluator = hydra.utils.instantiate(config.task.evaluator)
    evaluator.prepare()
    settings = Settings(population_size=config.population.size, **config.rule.archive)
    archive = Archive.open(folder, task, settings, OmegaConf.to_yaml(config, resolve=True))
    try:
        stops = f"Ctrl-C or `touch {folder / STOP_FILE}` stops it, the same command resumes"
        console.print(f"run {name}: {folder} ({stops})", soft_wrap=True, markup=False, highlight=False)
        reason = _search(config, archive, evaluator, console)
        summary.show(console, archive, name, reason)
    finally:
        evaluator.close()
        archive.close()


def _search(config: DictConfig, archive: Archive, evaluator: Evaluator, console: Console) -> str:
    llm = _llm(config, archive)
    budget = Budget(**config.budget)
    display = Live(console, archive, budget, config.execution.slots) if console.is_terminal else Lines(console)
    search = Search(
        archive,
        evaluator,
        _mix(config.operators.mix, llm, config.operators.adaptive),
        hydra.utils.instantiate(config.selection),
        budget,
        workspaces=archive.folder / "workspaces",
        schedule=Schedule(**config.schedule),
        slots=config.execution.slots,
        seed=config.seed,
        callers=config.execution.callers,
        llm=llm,
        fallback=_mix(config.operators.fallback, None, config.operators.adaptive)
        if config.operators.fallback
        else None,
        seed_repeats=config.rule.seed_repeats,
        observer=display,
    )
    with closing(llm) if llm is not None else nullcontext():
        if llm is not None:
            llm.check()
        if llm is not None and llm.unpriced and budget.usd is not None:
            display.note(f"no price is known for {', '.join(llm.unpriced)}: free as far as budget.usd can tell")
        with _stoppable(search), display if isinstance(display, Live) else nullcontext():
            reason = search.run()
    if isinstance(llm, Replay) and llm.strays:
        display.note(f"{llm.strays} replies went to another prompt than theirs: this run left the former one's path")
    return reason


def _llm(config: DictConfig, archive: Archive) -> Llm | None:
    """Return who answers the operators that ask, None where no operator in the mix does."""
    if not any(entry.get("llm") and entry.weight for entry in config.operators.mix.values()):
        return None
    if config.llm.get("replay"):
        with open_run(Path(config.runs_dir) / config.llm.replay) as former:
            given = [prompt for prompt, _ in stored_replies(archive.store)]
            return Replay(stored_replies(former.store), models_asked(former.store) or ["replay"], given)
    client = OmegaConf.masked_copy(config.llm, [key for key in config.llm if key != "prompt_tokens"])
    return hydra.utils.instantiate(client, _convert_="all")


def _task(config: DictConfig) -> Task:
    place = Path(config.genome)
    if not place.exists():
        raise FileNotFoundError(f"no genome at {place}; task.genome names a file or a folder of files")
    paths = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    root = place.parent if place.is_file() else place
    files = {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths if _is_source(path)}
    task = Task(config.name, Path(config.brief), Genome(files), Objective(**config.objective), config.offers)
    task.brief()  # a missing one is told now, not at the first birth
    return task


def _is_source(path: Path) -> bool:
    return path.suffix != ".pyc" and "__pycache__" not in path.parts


def _mix(config: DictConfig, llm: Llm | None, adaptive: bool) -> Mix:
    shares = {}
    for name, entry in config.items():
        if entry.weight:
            asking = {"llm": llm} if entry.get("llm") else {}
            shares[str(name)] = Share(hydra.utils.instantiate(entry.operator, **asking), entry.weight)
    return Mix(shares, adaptive)


def _run_name(config: DictConfig) -> str:
    """Return the run's folder name: as given, or from the time; in a sweep each job has its own."""
    name = config.name or time.strftime("%Y-%m-%d-%H%M%S")
    job = HydraConfig.get()
    if job.mode == RunMode.MULTIRUN:
        varied = sorted(text for text in job.overrides.task if text not in sys.argv and re.fullmatch(NAME, text))
        name = "_".join([config.name or "sweep", *varied])
    if not re.fullmatch(NAME, name) or name.startswith("."):
        raise ValueError(f"name={name!r} is to be a folder: letters, digits, and . _ - = only")
    return name


def _chosen_by_key(words: list[str]) -> list[str]:
    """Return the overrides that a reachable LLM adds: with a key or an endpoint, operators ask it by default."""
    named = {word.split("=")[0].lstrip("+") for word in words}
    reachable = "OPENAI_API_KEY" in os.environ or "llm.base_url" in named
    return ["operators=llm"] if reachable and "operators" not in named else []


@contextmanager
def _stoppable(search: Search) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the search softly, a second one at once."""
    asked = 0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        name = signal.Signals(number).name
        if asked == 1:
            search.stop(f"{name}: what ran was let finish; the same command goes on")
        else:
            search.cancel(f"{name} again: what ran was killed and will run again; the same command goes on")

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _shipped(path: str) -> str:
    """Resolve `${shipped:PATH}`: a file that comes with Genepool, in a clone as in an installed package."""
    return str(next((root / path for root in (CONF.parent, HERE.parent) if (root / path).exists()), CONF.parent / path))


def _fail(message: str, code: int) -> None:
    print(f"evolve: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
