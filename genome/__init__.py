"""What an individual is: its genome, its life as data, and the operators that need no LLM."""

from genome.genome import Genome, GenomeError
from genome.individual import Evaluation, Failure, Individual, Offspring
from genome.operator import Asks, Birth, Call, Lore, NoOffspring, Operator, Reply
from genome.task import Objective, Task

__all__ = [
    "Asks",
    "Birth",
    "Call",
    "Evaluation",
    "Failure",
    "Genome",
    "GenomeError",
    "Individual",
    "Lore",
    "NoOffspring",
    "Objective",
    "Offspring",
    "Operator",
    "Reply",
    "Task",
]
