"""What each birth cost and what it earned: the ground for operators' shares and for `archive cost`."""

from __future__ import annotations

from dataclasses import dataclass

from archive.view import View

IMPROVES = ("better", "simpler")

_BIRTHS = """
SELECT b.id, b.operator, i.verdict, i.incumbent,
       (SELECT c.model FROM calls c WHERE c.birth = b.id ORDER BY c.ordinal LIMIT 1),
       (SELECT coalesce(sum(e.seconds), 0.0) FROM evaluations e WHERE e.individual = b.id),
       count(c.id), coalesce(sum(c.tokens_in), 0), coalesce(sum(c.tokens_cached), 0), coalesce(sum(c.tokens_out), 0),
       coalesce(sum(c.usd), 0.0)
FROM births b LEFT JOIN individuals i ON i.id = b.id LEFT JOIN calls c ON c.birth = b.id
WHERE b.id > 1 AND (?1 IS NULL OR b.id = ?1) GROUP BY b.id ORDER BY b.id
"""


@dataclass(frozen=True)
class Earning:
    """One birth in cost and gain.

    Attributes:
        model: who was asked, None where nobody was.
        accepted: its individual was better or simpler than its incumbent.
        gain: improvement in priced score of an accepted one, else 0.0; never negative.
        slot_s: wall time of its evaluations.
        calls, tokens_in, tokens_cached, tokens_out, usd: of its calls, as far as their replies are known.
    """

    birth: int
    operator: str
    model: str | None
    accepted: bool
    gain: float
    slot_s: float
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    usd: float


def earnings(view: View, birth: int | None = None) -> list[Earning]:
    """Return one birth, or all but the seed's in order; those that gave no offspring too, for they cost."""
    return [
        Earning(id, operator, model, verdict in IMPROVES, _gain(view, id, verdict, incumbent), *costs)
        for id, operator, verdict, incumbent, model, *costs in view.store.rows(_BIRTHS, birth)
    ]


def _gain(view: View, id: int, verdict: str | None, incumbent: int | None) -> float:
    if verdict not in IMPROVES or incumbent is None:
        return 0.0
    before, after = (view.standings.priced(view.standings[one]) for one in (incumbent, id))
    return max(0.0, before - after) if before is not None and after is not None else 0.0


@dataclass(frozen=True)
class Cost:
    """All births of one operator that asked one model, summed.

    Attributes:
        usd_per_improvement, slot_min_per_improvement: None while nothing was accepted.
    """

    operator: str
    model: str | None
    births: int
    accepted: int
    calls: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    usd: float
    slot_min: float
    usd_per_improvement: float | None
    slot_min_per_improvement: float | None


def costs(view: View) -> list[Cost]:
    """Return the costs of a run by operator and model, the dearest in slot time first."""
    groups: dict[tuple[str, str | None], list[Earning]] = {}
    for earning in earnings(view):
        groups.setdefault((earning.operator, earning.model), []).append(earning)
    summed = [_summed(operator, model, births) for (operator, model), births in groups.items()]
    return sorted(summed, key=lambda cost: -cost.slot_min)


def _summed(operator: str, model: str | None, births: list[Earning]) -> Cost:
    accepted = sum(one.accepted for one in births)
    usd, slot_min = sum(one.usd for one in births), sum(one.slot_s for one in births) / 60
    return Cost(
        operator,
        model,
        len(births),
        accepted,
        sum(one.calls for one in births),
        sum(one.tokens_in for one in births),
        sum(one.tokens_cached for one in births),
        sum(one.tokens_out for one in births),
        usd,
        slot_min,
        usd / accepted if accepted else None,
        slot_min / accepted if accepted else None,
    )
