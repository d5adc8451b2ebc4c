"""The data cache: documents as memory-mapped token arrays, moved into place whole and verified before use."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fitness.corpora import SPLITS, Source, find_source, split

MANIFEST = "manifest.json"
TOKEN_BYTES = "token_bytes.npy"
TOKENIZER = "tokenizer.json"
DRAFT = ".part"  # what a folder's name ends with until it is whole
PRIVATE = ("validation.bin", "test.bin")  # no training process may read them, not even one of another user
ARRAYS = ("train.bin", *PRIVATE, TOKEN_BYTES)
REMEDY = "prepare the data anew: fitness prepare"


class CorruptCache(RuntimeError):
    """The cache does not hold what was prepared; the message names the file and the way out."""


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus; arrays are mapped when first asked for.

    Attributes:
        folder: where its files stand.
        vocab_size: tokens of its vocabulary.
        bos: id of the token that opens each document, the only special.
    """

    folder: Path
    vocab_size: int
    bos: int

    @cached_property
    def train(self) -> np.ndarray:
        """(tokens,) uint16 of the training documents."""
        return self._tokens("train")

    @cached_property
    def validation(self) -> np.ndarray:
        """(tokens,) uint16 of the documents that score a search."""
        return self._tokens("validation")

    @cached_property
    def test(self) -> np.ndarray:
        """(tokens,) uint16 of the documents that no search reads."""
        return self._tokens("test")

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) int32 UTF-8 length of each token; 0 for specials."""
        return np.load(self.folder / TOKEN_BYTES)

    def document_starts(self, tokens: np.ndarray) -> np.ndarray:
        """Return (documents,) int64: where each document begins in one of the token arrays, at its BOS."""
        return np.flatnonzero(tokens == self.bos)

    def _tokens(self, name: str) -> np.ndarray:
        return np.memmap(self.folder / f"{name}.bin", dtype=np.uint16, mode="r")


def cache_dir() -> Path:
    """Return the folder of all prepared data: $GENEPOOL_CACHE, or genepool in the user's cache directory."""
    named = os.environ.get("GENEPOOL_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG rule: a relative path there is ignored
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "genepool"


def open_corpus(name: str = "sotu", verify: bool = True) -> Corpus:
    """Return a prepared corpus, its checksums verified.

    Raises:
        FileNotFoundError: it has not been prepared.
        CorruptCache: a file is missing or is not what was prepared.
    """
    return open_source(find_source(name), verify)


def prepare_corpus(name: str = "sotu") -> Corpus:
    """Prepare a corpus where that has not been done, or was damaged; return it, verified.

    Raises:
        FileNotFoundError: its documents are not installed.
        ValueError: the documents are not the pinned ones, or gave other tokens than the pinned ones.
        OSError: the cache cannot be written.
    """
    return prepare_source(find_source(name))


def open_source(source: Source, verify: bool = True) -> Corpus:
    """Return the prepared corpus of any source; errors as `open_corpus`."""
    folder = cache_dir() / source.folder_name
    if not folder.is_dir():
        raise FileNotFoundError(f"no data at {folder}; prepare it first: fitness prepare")
    manifest = _read_manifest(folder)
    if verify:
        _verify(folder, manifest, source)
    return Corpus(folder, vocab_size=manifest["vocab_size"], bos=manifest["bos"])


def prepare_source(source: Source) -> Corpus:
    """Prepare any source; idempotent, safe beside other processes that do the same; errors as `prepare_corpus`."""
    with contextlib.suppress(FileNotFoundError, CorruptCache):
        return open_source(source)
    documents = source.documents()
    folder = cache_dir() / source.folder_name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            _build(folder, source, documents)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            f"cannot write {folder} ({reason}); make room there, or set GENEPOOL_CACHE to another folder"
        ) from error
    return open_source(source)


def _build(folder: Path, source: Source, documents: Sequence[str]) -> None:
    # under the lock: another process may have been faster, or was killed half way
    with contextlib.suppress(FileNotFoundError, CorruptCache):
        open_source(source)
        return
    for remains in folder.parent.glob(f"{folder.name}.*{DRAFT}"):
        shutil.rmtree(remains)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=DRAFT, dir=folder.parent))
    try:
        _write(draft, source, documents)
        if folder.exists():
            # out of the way in one step; who still has it open keeps reading
            os.rename(folder, f"{draft}.old{DRAFT}")
        os.rename(draft, folder)
    finally:
        for remains in folder.parent.glob(f"{folder.name}.*{DRAFT}"):
            shutil.rmtree(remains)


def _write(draft: Path, source: Source, documents: Sequence[str]) -> None:
    # not needed to open a corpus
    from fitness.tokenizer import BOS, encode_documents, token_lengths, train_tokenizer

    parts = split(documents)
    tokenizer = train_tokenizer(parts["train"], source.vocab_size)
    tokenizer.save(str(draft / TOKENIZER))
    np.save(draft / TOKEN_BYTES, token_lengths(tokenizer))
    for name in SPLITS:
        encode_documents(tokenizer, parts[name]).tofile(draft / f"{name}.bin")
    manifest = {
        "corpus": source.name,
        "vocab_size": source.vocab_size,
        "bos": tokenizer.token_to_id(BOS),
        "documents": {name: len(parts[name]) for name in SPLITS},
        "files": {name: _describe(draft / name) for name in (*ARRAYS, TOKENIZER)},
    }
    if source.arrays_sha256 not in (None, _arrays_sha256(manifest)):
        raise ValueError(
            f"the {source.name} tokens differ from the pinned ones, so scores could not be compared; "
            "install the release they were pinned with: pip install tokenizers==0.23.3"
        )
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    for file in draft.iterdir():
        file.chmod(0o600 if file.name in PRIVATE else 0o644)
    draft.chmod(0o755)


def _verify(folder: Path, manifest: Mapping[str, Any], source: Source) -> None:
    for name, expected in manifest["files"].items():
        try:
            found = _describe(folder / name)
        except FileNotFoundError:
            raise CorruptCache(f"{folder / name} is missing; {REMEDY}") from None
        if found != expected:
            raise CorruptCache(f"{folder / name} is not what was prepared ({found['bytes']} bytes); {REMEDY}")
    if source.arrays_sha256 not in (None, _arrays_sha256(manifest)):
        raise CorruptCache(f"{folder} does not hold the pinned {source.name} tokens; {REMEDY}")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        complete = {"vocab_size", "bos"} <= manifest.keys() and set(manifest["files"]) == {*ARRAYS, TOKENIZER}
    except FileNotFoundError:
        raise CorruptCache(f"{path} is missing; {REMEDY}") from None
    except (ValueError, AttributeError, KeyError, TypeError):
        complete = False
    if not complete:
        raise CorruptCache(f"{path} is no manifest of prepared data; {REMEDY}")
    return manifest


def _describe(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _arrays_sha256(manifest: Mapping[str, Any]) -> str:
    # not the tokenizer's own file: its layout changes between releases of the library, its tokens must not
    listing = [[name, manifest["files"][name]["sha256"]] for name in ARRAYS]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    # the kernel drops the lock with the process, however that ends
    with Path(f"{folder}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
