"""From how a process ended to why there is no score: the evaluator's clock and the words of each Failure."""

from __future__ import annotations

import signal

from fitness.harness.codes import OOM_EXIT, REFUSED_EXIT
from fitness.process import CappedLog
from fitness.scoring import Refused
from fitness.servers import Ending


class Clock:
    """The budget as seen from outside, in CPU-seconds of the whole tree.

    The run may take `startup_s` to its first batch, `budget_s` from there, and `hand_over_s` over it. The child marks
    its first batch: when it marks it late or never, it gains no more than the start-up allowance.
    """

    def __init__(self, budget_s: float, startup_s: float, hand_over_s: float) -> None:
        self.budget_s, self.startup_s, self.hand_over_s = budget_s, startup_s, hand_over_s
        self._first_batch_s: float | None = None
        self._hand_over_s: float | None = None

    @property
    def start_s(self) -> float:
        """CPU-seconds at the first batch, or the allowance for it while it is not marked."""
        return self.startup_s if self._first_batch_s is None else self._first_batch_s

    @property
    def limit_s(self) -> float:
        """CPU-seconds at which the run is ended."""
        return self.start_s + self.budget_s + self.hand_over_s

    def note(self, cpu_s: float, started: bool, handing_over: bool) -> None:
        """Take a measurement and the child's marks by then."""
        if started and self._first_batch_s is None:
            self._first_batch_s = min(cpu_s, self.startup_s)
        if handing_over and self._hand_over_s is None:
            self._hand_over_s = cpu_s

    def share(self, cpu_s: float) -> float:
        """Return the share of the budget that is used, 0 to 1."""
        return 0.0 if self._first_batch_s is None else min(1.0, (cpu_s - self._first_batch_s) / self.budget_s)

    def used_s(self, cpu_s: float) -> float:
        """Return the CPU-seconds from the first batch to the hand-over, or to the end where there was none."""
        return max(0.0, (cpu_s if self._hand_over_s is None else self._hand_over_s) - self.start_s)


def check_training(
    ending: Ending, clock: Clock, handed_over: bool, log: CappedLog, timeout_s: float, memory_mb: int
) -> None:
    """Return when a training gave a model as it should.

    Raises:
        Refused: why it did not.
    """
    if ending.reason == "cpu" or ending.cpu_s > clock.limit_s or ending.code == -signal.SIGXCPU:
        took = f"{ending.cpu_s - clock.start_s:.2f} CPU-seconds after its start-up"
        raise Refused("over_budget", f"{took}; {clock.budget_s:g} and {clock.hand_over_s:g} to hand over are allowed")
    _check_common(ending, log, timeout_s, memory_mb, "the training")
    if ending.left_behind:
        raise Refused("refused", f"it left {ending.left_behind} process(es) behind")
    if not handed_over:
        raise Refused("crash", "ended without evaluate_bpb")


def check_answer(
    ending: Ending, complete: bool, log: CappedLog, answer_s: float, timeout_s: float, memory_mb: int
) -> None:
    """Return when a model answered as it should.

    Raises:
        Refused: why it did not.
    """
    if ending.reason == "cpu" or ending.code == -signal.SIGXCPU:
        raise Refused("over_budget", f"its model takes more than {answer_s:g} CPU-seconds to answer all rows")
    _check_common(ending, log, timeout_s, memory_mb, "its model's answer")
    if not complete:
        raise Refused("refused", "its model answers with less than was asked for")


def _check_common(ending: Ending, log: CappedLog, timeout_s: float, memory_mb: int, what: str) -> None:
    if ending.reason == "wall":
        raise Refused("timeout", f"{what} had not ended after {timeout_s:g} s; it used {ending.cpu_s:.1f} CPU-seconds")
    if ending.reason == "server":
        raise Refused("tampered", f"the process above {what} died")
    if ending.code == OOM_EXIT:
        raise Refused("oom", f"{log.last_line or what} (at most {memory_mb} MB)")
    if ending.code == REFUSED_EXIT:
        raise Refused("refused", log.last_line or f"{what} is not what was asked for")
    if ending.code == -signal.SIGKILL and ending.peak_memory_mb > memory_mb / 2:
        raise Refused("oom", f"{what} was killed at {ending.peak_memory_mb:.0f} MB")
    if ending.code is not None and ending.code < 0:
        raise Refused(
            "crash", f"{what} was killed by {signal.Signals(-ending.code).name}: {log.last_line}".rstrip(": ")
        )
    if ending.code:
        raise Refused("crash", log.last_line or f"{what} ended with exit status {ending.code}")
