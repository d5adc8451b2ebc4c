"""The evaluator's clock, and the slots it gives out."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from fitness.devices import cpu_model, slot_cores
from fitness.endings import Clock

seconds = st.floats(0, 100)


@given(seconds, seconds, seconds, seconds)
def test_whoever_marks_the_first_batch_late_gains_no_more_than_the_allowance(
    budget_s: float, startup_s: float, hand_over_s: float, marked_s: float
) -> None:
    clock = Clock(budget_s, startup_s, hand_over_s)
    silent_limit_s = clock.limit_s
    clock.note(marked_s, started=True, handing_over=False)
    assert clock.limit_s <= silent_limit_s == startup_s + budget_s + hand_over_s


@given(st.lists(seconds, min_size=1).map(sorted))
def test_the_share_only_grows_and_stays_within_one(measured: list[float]) -> None:
    clock, shares = Clock(10.0, 1.0, 0.5), []
    for cpu_s in measured:
        clock.note(cpu_s, started=True, handing_over=False)
        shares.append(clock.share(cpu_s))
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_the_budget_used_lies_between_the_marks() -> None:
    clock = Clock(10.0, 1.0, 0.5)
    clock.note(0.25, started=False, handing_over=False)
    assert clock.share(0.25) == 0.0
    clock.note(0.5, started=True, handing_over=False)
    assert clock.used_s(4.5) == 4.0
    clock.note(10.5, started=True, handing_over=True)
    clock.note(10.75, started=True, handing_over=True)
    assert clock.used_s(10.75) == 10.0


@given(st.integers(0, 1000))
def test_a_slot_has_one_core_that_this_process_may_use(slot: int) -> None:
    (core,) = slot_cores(slot)
    assert core in os.sched_getaffinity(0)


def test_the_first_slots_have_cores_of_their_own() -> None:
    cores = len(os.sched_getaffinity(0))
    assert len({slot_cores(slot) for slot in range(cores)}) == cores


def test_the_device_has_a_name() -> None:
    assert cpu_model().startswith("cpu ")
    assert len(cpu_model()) > len("cpu ")
