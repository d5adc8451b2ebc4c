"""The search: who meets whom, and when."""

from evolve.budget import Budget
from evolve.mix import Mix
from evolve.schedule import Schedule
from evolve.search import Search, SeedFailed
from evolve.selection import Greedy, NonDominated, Tournament

__all__ = ["Budget", "Greedy", "Mix", "NonDominated", "Schedule", "Search", "SeedFailed", "Tournament"]
