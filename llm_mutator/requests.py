"""What each operator asks of a model, and the form in which it wants the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

IDEA_FORM = "IDEA: <one sentence: what changes, and why that should help>"

_EDIT_FORM = """\
Answer with one line for the idea, then one or several blocks:

{idea}

{path}<<<<<<< SEARCH
<lines copied from the parent, enough of them to occur only once>
=======
<the lines that replace them>
>>>>>>> REPLACE

Blocks are applied in order. Write no other blocks of that form, and nothing after the last one."""

_WHOLE_FORM = """\
Answer with one line for the idea, then the whole file{plural}, with no part left out:

{idea}

{path}{marks}python
<the whole new file>
{marks}"""

_EDIT = """\
# Your task
Change the parent so that its score improves by more than the noise. One idea, carried out fully, in as few lines as \
it takes. Prefer what has not been tried on this lineage; an idea that failed for a reason you can remove may be \
tried again.

{form}"""

_REWRITE = """\
# Your task
Write the program anew where a larger change is worth it: another architecture, another algorithm, another \
structure. Keep what the parent has learned unless your idea replaces it, and leave out what no longer earns its \
place.

{form}"""

_SIMPLIFY = """\
# Your task
Make the parent smaller: delete what does not pay for itself. Each node must earn {price:.2g} of {metric}, so a \
deletion of 100 nodes may cost {hundred:.2g}{noise}. Look for branches that are never taken, options with one value, \
parts that other parts make needless, wrappers around one call. Do not shorten names, comments or layout: they are \
free. Add nothing.

{form}"""

_REPAIR = """\
# Your task
The program above failed when it was run. Mend the cause with the smallest change that keeps its idea. If the idea \
itself cannot work, take it out.

{form}"""

_TUNE = """\
# Your task
Choose one number of the list and a better value for it, one that should improve the score by more than the noise \
and has not been tried.

Answer with one JSON object and nothing else:

{{"name": "<as it stands in the list>", "value": <number>}}"""

_CROSSOVER = """\
# Your task
Combine the two parents. Everything on which they do not collide is merged already; settle the {count} \
conflict{plural}. Take one side, or both ideas where they can work together; each resolution replaces its conflict \
with all its markers, so that the file is one program again.

Answer with one line that says what you combined and why, then a block for each conflict:

{idea}

<<<<<<< RESOLUTION 1
<the lines that stand in place of conflict 1>
>>>>>>> RESOLUTION 1"""

_AGENT = """\
# Your task
The program stands in your working directory as {paths}. Change it there so that its score improves by more than the \
noise, or so that it becomes smaller at no loss. One idea, carried out fully. Only {paths} will be taken; the \
evaluator and its data are not here, so do not try to run a training. End with one line on your standard output:

{idea}"""


def edit(paths: Sequence[str]) -> str:
    return _EDIT.format(form=_edit_form(paths))


def rewrite(paths: Sequence[str], marks: str) -> str:
    """Args:
    marks: a fence longer than any in the program.
    """
    path = "" if len(paths) == 1 else "<path of the file>\n"
    plural = "" if len(paths) == 1 else " for each file that changes"
    return _REWRITE.format(form=_WHOLE_FORM.format(idea=IDEA_FORM, path=path, marks=marks, plural=plural))


def simplify(paths: Sequence[str], metric: str, price: float, sigma: float | None) -> str:
    noise = f" and is not told from the noise below {2 * sigma:.2g}" if sigma is not None else ""
    return _SIMPLIFY.format(price=price, metric=metric, hundred=100 * price, noise=noise, form=_edit_form(paths))


def repair(paths: Sequence[str]) -> str:
    return _REPAIR.format(form=_edit_form(paths))


def tune() -> str:
    return _TUNE.format()


def crossover(conflicts: int) -> str:
    return _CROSSOVER.format(count=conflicts, plural="" if conflicts == 1 else "s", idea=IDEA_FORM)


def agent(paths: Sequence[str]) -> str:
    return _AGENT.format(paths=", ".join(paths), idea=IDEA_FORM)


def tune_schema(names: Sequence[str]) -> dict[str, Any]:
    """Return the response_format that lets a model answer nothing but a name of the list and a number.

    No sentence beside them: small models do not find its end.
    """
    properties = {"name": {"type": "string", "enum": list(names)}, "value": {"type": "number"}}
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "constant", "strict": True, "schema": schema}}


def _edit_form(paths: Sequence[str]) -> str:
    return _EDIT_FORM.format(idea=IDEA_FORM, path="" if len(paths) == 1 else "<path of the file>\n")
