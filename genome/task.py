"""What is to be improved: the brief, the seed genome and the objective."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genome.genome import Genome


@dataclass(frozen=True)
class Objective:
    """The metric by name and direction.

    Attributes:
        name: as shown to people, such as val_bpb.
        direction: minimize or maximize.
    """

    name: str = "val_bpb"
    direction: Literal["minimize", "maximize"] = "minimize"

    def __post_init__(self) -> None:
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"direction is minimize or maximize; got {self.direction!r}")

    @property
    def sign(self) -> int:
        """+1 to minimize, -1 to maximize: `sign * score` is lower for the better in either case."""
        return 1 if self.direction == "minimize" else -1

    def gain(self, challenger: float, incumbent: float) -> float:
        """Return by how much the challenger's score is better; negative when it is worse."""
        return self.sign * (incumbent - challenger)


@dataclass(frozen=True)
class Task:
    """One problem: where its brief stands, the genome that starts the search, and what is measured.

    Attributes:
        name: such as train_cpu.
        brief_path: the human-written program.md, read anew at each birth.
        seed: generation 0.
        objective: the metric and its direction.
        offers: what the fixed part offers the genome, in words for the LLM (for train_cpu: what `prepare` exports).
    """

    name: str
    brief_path: Path
    seed: Genome
    objective: Objective = Objective()
    offers: str = ""

    def brief(self) -> str:
        """Return the brief as it stands now.

        Raises:
            FileNotFoundError: there is none; the message names the path.
        """
        try:
            return self.brief_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no brief at {self.brief_path}; write one, or name another: task.brief=PATH"
            ) from None
