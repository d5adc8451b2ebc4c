"""How long a run has been worked on, over all its sessions."""

from __future__ import annotations

from archive.store import Store

SESSION = "session"  # the kind of the event that opens each session

_SESSIONS = """
WITH begun AS (
    SELECT time AS start, lead(time, 1, 1e18) OVER (ORDER BY id) AS next FROM events WHERE kind = ?
), active AS (
    SELECT created AS at FROM births
    UNION ALL SELECT started FROM evaluations
    UNION ALL SELECT ended FROM evaluations WHERE ended IS NOT NULL AND NOT interrupted
)
SELECT coalesce(sum(worked), 0.0) / 3600 FROM (
    SELECT max(0.0, max(at) - start) AS worked FROM begun JOIN active ON at >= start AND at < next GROUP BY start
)
"""


def hours_worked(store: Store) -> float:
    """Return the hours from each session's start to its last sign of life: a kill leaves no end to read."""
    return float(store.value(_SESSIONS, SESSION))
