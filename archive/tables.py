"""An archive on a terminal: tables, lines and the picture of cells. Ideas, logs and genomes are untrusted text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from archive.earnings import Cost
from archive.records import Entry, Trial
from archive.texts import one_line, plain_lines
from archive.view import View

PIPE_COLUMNS = 120  # a pipe has no width; wide enough for a table with its ideas
VERDICT_STYLE = {"better": "green", "simpler": "cyan", "failed": "red", "seed": "bold"}
KINDS = {
    "crash": "the program ended with an error",
    "timeout": "it ran longer than an evaluation may",
    "oom": "it needed more memory than it may use",
    "non_finite": "its score was not a number",
    "peeks_ahead": "its answers depended on what they should predict",
    "over_budget": "it trained longer, or on more, than the budget allows",
    "tampered": "it touched what is not its own",
    "refused": "it was not run, for what it contains",
}


def console() -> Console:
    """Return the terminal, or a pipe of a readable width; never reads markup in what it prints."""
    width = None if os.isatty(1) or "COLUMNS" in os.environ else PIPE_COLUMNS
    return Console(width=width, markup=False, emoji=False, highlight=False)


def number(value: float | None) -> str:
    """Return a score with four decimals, a tiny one with its first digits, – for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.3g}"


def ranking(view: View, entries: Sequence[Entry], title: str) -> Table:
    """Return individuals as a table, in the order given."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim", expand=True
    )
    for name in ("id", view.objective.name, "sd", "n", "nodes", "lines"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("operator", no_wrap=True, overflow="ellipsis")
    table.add_column("idea", no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    for entry in entries:
        sd = "–" if entry.sd is None else f"{entry.sd:.4f}"
        table.add_row(
            f"#{entry.id}",
            number(entry.score) + ("" if entry.verified or entry.score is None else " unverified"),
            sd,
            str(entry.n),
            str(entry.size),
            str(entry.lines),
            Text(entry.verdict or "–", style=VERDICT_STYLE.get(entry.verdict or "", "")),
            Text(entry.operator),
            Text(entry.idea),
        )
    return table


def line(entry: Entry) -> str:
    """Return an individual as one plain line."""
    outcome = entry.failure or number(entry.score)
    mark = "" if entry.verified or not entry.verdict else " unverified"
    parents = ", ".join(f"#{parent}" for parent in entry.parents)
    origin = f"{entry.operator} ← {parents}" if parents else entry.operator
    head = f"#{entry.id:<5} gen {entry.generation:<4} {outcome + mark:<11} {entry.size:>6} nodes"
    return f"{head}  {entry.verdict or '–':<8} {origin:<18} {entry.idea}"


def lines(entries: Iterable[Entry]) -> str:
    """Return individuals as lines, cut to the terminal's width where there is one."""
    width = os.get_terminal_size(1).columns if os.isatty(1) else None
    return "\n".join(line(entry)[:width] for entry in entries)


def portrait(view: View, entry: Entry, trials: Sequence[Trial], log_lines: int) -> Group:
    """Return all that is known of one individual but its genome."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in _facts(view, entry):
        facts.add_row(name, Text(text))
    parts: list[RenderableType] = [facts]
    for trial in trials:
        parts.append(Text(f"\n{_trial_line(view, trial)}", style="bold"))
        log = plain_lines(trial.result.log.rstrip()) if trial.result else []
        if len(log) > log_lines:
            parts.append(Text(f"  … {len(log) - log_lines} lines before", style="dim"))
        parts.extend(Text(f"  {text}", style="dim") for text in log[max(0, len(log) - log_lines) :])
    return Group(*parts)


def genome_text(files: Iterable[tuple[str, str]]) -> Text:
    """Return a genome's files, each under its path."""
    text = Text()
    for path, content in files:
        text.append(f"\n── {one_line(path)} ──\n", style="bold")
        text.append("\n".join(plain_lines(content)) + "\n")
    return text


def coloured(diff: str) -> Text:
    """Return a unified diff with its colours."""
    text = Text()
    for shown in plain_lines(diff):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(shown[:1], "")
        style = "bold" if shown.startswith(("---", "+++")) else colour
        text.append(shown + "\n", style=style)
    return text


def failures(entries: Sequence[Entry], abandoned: Sequence[tuple[int, str, str]], limit: int) -> Group:
    """Return the failed by kind, most frequent first and newest first in each, then births without offspring."""
    kinds: dict[str, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(entry.failure or "", []).append(entry)
    parts: list[RenderableType] = []
    for kind, group in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        meaning = f" – {KINDS[kind]}" if kind in KINDS else ""
        parts.append(Text(f"{kind}: {len(group)}{meaning}", style="bold red"))
        told = [f"  #{entry.id} {entry.operator}: {entry.detail}" for entry in reversed(group)]
        parts.extend(_some(told, limit))
    if abandoned:
        title = f"no offspring: {len(abandoned)} – births that ended before there was anything to run"
        parts.append(Text(title, style="bold"))
        told = [f"  birth {id} {operator}: {reason}" for id, operator, reason in reversed(abandoned)]
        parts.extend(_some(told, limit))
    return Group(*parts)


def _some(told: Sequence[str], limit: int) -> list[Text]:
    shown = [Text(text, no_wrap=True, overflow="ellipsis") for text in told[:limit]]
    if len(told) > limit:
        shown.append(Text(f"  … {len(told) - limit} more; --limit {len(told)} shows all", style="dim"))
    return shown


def _facts(view: View, entry: Entry) -> list[tuple[str, str]]:
    metric, direction = view.objective.name, view.objective.direction
    spread = "" if entry.sd is None else f", sd {entry.sd:.3g}, standard error {entry.sd / entry.n**0.5:.3g}"
    score = "none" if entry.score is None else f"{entry.score:.8g} ({direction}), mean of {entry.n}{spread}"
    facts = [("individual", f"#{entry.id} of run {view.run.name}, generation {entry.generation}")]
    parents = ", ".join(f"#{parent}" for parent in entry.parents) or "none"
    facts.append(("born", f"{_when(entry.created)} by {entry.operator} from {parents}"))
    if entry.inspirations:
        facts.append(("inspired by", ", ".join(f"#{id}" for id in entry.inspirations)))
    facts.append(("idea", entry.idea))
    facts.append((metric, score + ("" if entry.verified or not entry.verdict else ", UNVERIFIED")))
    if entry.failure is not None:
        facts.append(("failure", f"{entry.failure}: {entry.detail}"))
    facts.append(("size", f"{entry.size} nodes, {entry.lines} lines"))
    against = f" (against #{entry.incumbent})" if entry.incumbent else ""
    facts.append(("verdict", f"{entry.words or 'not yet judged'}{against}"))
    facts.append(("commit", f"git -C {view.folder}/lineage.git show refs/individuals/{entry.id}"))
    return facts


def _trial_line(view: View, trial: Trial) -> str:
    head = f"evaluation {trial.id} ({trial.purpose}, seed {trial.seed}, slot {trial.slot}): "
    if trial.result is None:
        ended = "interrupted, which says nothing about it" if trial.interrupted else "running, or its engine was killed"
        return head + ended
    result, failure = trial.result, trial.result.failure
    outcome = f"{failure.kind}: {failure.detail}" if failure else f"{view.objective.name} {result.score:.8g}"
    metrics = "".join(f", {one_line(name, 40)} {value:g}" for name, value in result.metrics.items())
    return f"{head}{outcome}, {result.seconds:.1f} s on {one_line(result.device)}{metrics}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def costs(found: Sequence[Cost]) -> Table:
    """Return what operators and models cost, a row each, and their sum."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=len(found) > 1)
    usd, minutes = sum(one.usd for one in found), sum(one.slot_min for one in found)
    accepted = sum(one.accepted for one in found)
    columns = (
        ("operator", "all"),
        ("model", ""),
        ("births", str(sum(one.births for one in found))),
        ("improved", str(accepted)),
        ("calls", str(sum(one.calls for one in found))),
        ("tokens in", f"{sum(one.tokens_in for one in found):,}"),
        ("cached", f"{sum(one.tokens_cached for one in found):,}"),
        ("out", f"{sum(one.tokens_out for one in found):,}"),
        ("$", f"{usd:.4f}"),
        ("slot min", f"{minutes:.1f}"),
        ("$ each", f"{usd / accepted:.4f}" if accepted else "–"),
        ("min each", f"{minutes / accepted:.1f}" if accepted else "–"),
    )
    for place, (name, footer) in enumerate(columns):
        table.add_column(name, footer, justify="left" if place < 2 else "right", no_wrap=True)
    for one in found:
        each = ("–", "–")
        if one.usd_per_improvement is not None and one.slot_min_per_improvement is not None:
            each = (f"{one.usd_per_improvement:.4f}", f"{one.slot_min_per_improvement:.1f}")
        tokens = (f"{count:,}" for count in (one.tokens_in, one.tokens_cached, one.tokens_out))
        counts = (str(one.births), str(one.accepted), str(one.calls), *tokens)
        table.add_row(
            Text(one.operator), Text(one.model or "–"), *counts, f"{one.usd:.4f}", f"{one.slot_min:.1f}", *each
        )
    return table
