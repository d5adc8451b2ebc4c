"""Text on its way into the archive: compressed where it is long, one harmless line where it is shown."""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Mapping

WINDOW_BYTES = 32_768  # zlib looks no further back, so a longer dictionary would not be used
IDEA_CHARS = 4_000  # in full, but an LLM may ramble
DETAIL_CHARS = 1_000
_UNSEEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format (bidirectional marks too), surrogates, separators


def pack(text: str, like: str = "") -> bytes:
    """Return the text compressed against another that it resembles; `unpack` needs the same other text."""
    packer = zlib.compressobj(zdict=_dictionary(like)) if like else zlib.compressobj()
    return packer.compress(text.encode("utf-8", "surrogatepass")) + packer.flush()


def unpack(packed: bytes, like: str = "") -> str:
    """Return the text that `pack` compressed.

    Raises:
        zlib.error: the bytes are damaged, or `like` is another text than it was packed with.
    """
    unpacker = zlib.decompressobj(zdict=_dictionary(like)) if like else zlib.decompressobj()
    return (unpacker.decompress(packed) + unpacker.flush()).decode("utf-8", "surrogatepass")


def join_files(files: Mapping[str, str]) -> str:
    """Return a genome's files as one JSON text; ASCII, so that even lone surrogates survive."""
    return json.dumps(dict(files), separators=(",", ":"))


def split_files(text: str) -> dict[str, str]:
    """Return the files that `join_files` joined."""
    return dict(json.loads(text))


def one_line(text: str, limit: int = IDEA_CHARS) -> str:
    """Return untrusted text as one line without control characters, at most `limit` characters long."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(
            " " if char.isspace() else char if unicodedata.category(char) not in _UNSEEN else "\ufffd" for char in text
        )
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain_lines(text: str) -> list[str]:
    """Return untrusted text as lines that can be shown: tabs become spaces, other control characters are replaced."""
    return ["".join(_shown(char) for char in line.expandtabs(4)) for line in text.splitlines()]


def _dictionary(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")[-WINDOW_BYTES:]


def _shown(char: str) -> str:
    return char if char.isprintable() or char == " " else "\ufffd"
