"""The `evolve` command: reads the configuration, builds the parts, runs the search, prints the end."""

from __future__ import annotations

import difflib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from archive import Archive, ArchiveError, Settings
from evolve import summary
from evolve.budget import Budget
from evolve.mix import Mix, Share
from evolve.progress import Lines, Live
from evolve.schedule import Schedule
from evolve.search import Search, SeedFailed
from genome import Genome, GenomeError, Objective, Task

HERE = Path(__file__).resolve().parent
# beside the package in a clone or an editable install, inside it in a wheel
CONF = next(folder for folder in (HERE / "conf", HERE.parent / "conf") if folder.is_dir())
STOP_FILE = "STOP"


def main() -> None:
    """Run `evolve`; every error that a user can cause is a line or two and exit code 1 or 2."""
    OmegaConf.register_new_resolver("shipped", _shipped, replace=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come up as exceptions, and are put into words below
    try:
        _hydra_main()
    except (HydraException, OmegaConfBaseException) as error:
        _fail(_in_words(error), 2)
    except (ArchiveError, GenomeError, SeedFailed, OSError, ValueError) as error:
        _fail(str(error) or type(error).__name__, 1)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _hydra_main(config: DictConfig) -> None:
    name = _run_name(config)
    folder = Path(config.runs_dir) / name
    console = Console()
    task = _task(config.task)
    evaluator = hydra.utils.instantiate(config.task.evaluator)
    evaluator.prepare()
    settings = Settings(population_size=config.population.size, **config.rule.archive)
    archive = Archive.open(folder, task, settings, OmegaConf.to_yaml(config, resolve=True))
    try:
        console.print(f"run {name}: {folder}   (Ctrl-C or `touch {folder / STOP_FILE}` stops it; the same command resumes)")
        reason = _search(config, archive, task, evaluator, console)
        summary.show(console, archive, name, reason)
    finally:
        evaluator.close()
        archive.close()
