"""What scores a genome: the Evaluator Protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from genome.genome import Genome
from genome.individual import Evaluation


class Cancelled(Exception):
    """The evaluation was called off from outside; its processes are gone and there is no result."""


def unreported(share: float) -> None:
    """Take a share of the budget and tell nobody: the default of `report`."""


@runtime_checkable
class Evaluator(Protocol):
    """Runs genomes on the slots of one machine.

    Attributes:
        device: model of the device; σ is kept for each.
    """

    device: str

    def prepare(self) -> None:
        """Check what a run needs and start what makes it fast.

        Raises:
            FileNotFoundError: something is missing; the message names the command that mends it.
        """
        ...

    def evaluate(
        self,
        genome: Genome,
        *,
        seed: int,
        slot: int,
        workspace: Path,
        report: Callable[[float], None] = unreported,
        cancel: threading.Event | None = None,
    ) -> Evaluation:
        """Run a genome once; called concurrently, from one thread per slot.

        What the genome does wrong is a Failure in the Evaluation; what the engine lacks raises.

        Args:
            workspace: folder of this run alone, emptied before and after it.
            report: told the share of the budget that is used, 0 to 1.
            cancel: once set, the whole process tree is killed.

        Raises:
            Cancelled: `cancel` was set.
        """
        ...

    def close(self) -> None:
        """End all processes; may be called again."""
        ...
