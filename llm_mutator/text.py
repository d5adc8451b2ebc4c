"""Text on its way into a prompt: cleaned, capped, fenced and measured."""

from __future__ import annotations

import math
import re
import unicodedata

CHARS_PER_TOKEN = 3.5  # of code and English, roughly, in the vocabularies of today; no endpoint tells before it is paid
_ANSI = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)", re.DOTALL)
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def tokens(text: str) -> int:
    """Return about how many tokens a text has."""
    return math.ceil(len(text.encode("utf-8", "replace")) / CHARS_PER_TOKEN)


def clean(text: str, limit: int, *, tail: bool = False) -> str:
    """Return untrusted text without escape sequences, control characters and chat markers, capped.

    Args:
        tail: keep the end of a long text instead of its beginning.
    """
    lines = _ANSI.sub("", text[-4 * limit :] if tail else text[: 4 * limit]).replace("\r\n", "\n").split("\n")
    last = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines]  # a progress bar writes over its own line
    kept = "\n".join("".join(_seen(char) for char in line) for line in last)
    kept = kept.replace("<|", "< |").strip("\n")  # some servers read chat markers wherever they stand
    if len(kept) <= limit:
        return kept
    return "…" + kept[-limit + 1 :] if tail else kept[: limit - 1] + "…"


def one_line(text: object, limit: int = 300) -> str:
    """Return anything as one printable line, capped."""
    line = " ".join("".join(_seen(char) if not char.isspace() else " " for char in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def fence(text: str, kind: str) -> str:
    """Return the text between fences that nothing inside it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{kind}\n{text.rstrip(chr(10))}\n{marks}"


def _seen(char: str) -> str:
    return char if char in "\t " or unicodedata.category(char) not in _UNSEEN else ""
