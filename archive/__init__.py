"""What is kept: every birth and result of a run, who stands where, the rule that deletion is a win, and the lineage."""

from archive.archive import Archive
from archive.errors import (
    ArchiveError,
    CannotWrite,
    DamagedArchive,
    NewerSchema,
    NoIndividual,
    NoRun,
    OtherTask,
    RunInUse,
)
from archive.records import Cell, Conceived, Counts, Entry, Run, Settings, Trial
from archive.rule import Evidence, Rule, Verdict
from archive.runs import newest, open_run
from archive.view import View

__all__ = [
    "Archive",
    "ArchiveError",
    "CannotWrite",
    "Cell",
    "Conceived",
    "Counts",
    "DamagedArchive",
    "Entry",
    "Evidence",
    "NewerSchema",
    "NoIndividual",
    "NoRun",
    "OtherTask",
    "Rule",
    "Run",
    "RunInUse",
    "Settings",
    "Trial",
    "Verdict",
    "View",
    "newest",
    "open_run",
]
