"""The lineage: git's own shape, the same commit ids whenever it is built, and repaired from the database."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from archive import Archive, DamagedArchive
from archive.lineage import TRAILER
from archive.store import DATABASE
from genome import Genome, Offspring
from tests.archives import born, failed, run, scored, started, task, variant
from tests.test_archive_archive import random_life


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder / "lineage.git"), *arguments], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def refs(folder: Path) -> dict[int, str]:
    listed = git(folder, "for-each-ref", "refs/individuals/", "--format=%(refname:lstrip=2) %(objectname)")
    return {int(line.split()[0]): line.split()[1] for line in listed.splitlines()}


def grown(folder: Path, births: int = 90) -> Archive:
    archive = started(folder)
    random_life(archive, births, random.Random(11))
    return archive


def test_the_graph_is_the_pedigree(tmp_path: Path) -> None:
    with grown(tmp_path / "run") as archive:
        pedigree = {one.id: set(one.parents) for one in archive.entries()}
    commits = refs(tmp_path / "run")
    ids = {commit: id for id, commit in commits.items()}
    graph = git(tmp_path / "run", "rev-list", "--all", "--parents").split("\n")
    drawn = {ids[child]: {ids[parent] for parent in parents} for child, *parents in map(str.split, filter(None, graph))}
    assert drawn == pedigree
    assert {len(parents) for parents in pedigree.values()} == {0, 1, 2}
    assert git(tmp_path / "run", "fsck", "--strict").strip() == ""


def test_a_commit_holds_the_genome_and_the_whole_record(tmp_path: Path) -> None:
    files = {"train.py": "x = 1\n", 'odd "name"\n é.txt': "no newline at the end", "sub/empty.txt": ""}
    with started(tmp_path / "run") as archive:
        birth = archive.conceive("merge", (1,), (1,))
        archive.bear(birth, Offspring(Genome(files), "merge", (1,), "less\n\nTrailer: evil", (1,)))
        result = scored(1.25, seed=77, log="not in the commit")
        run(archive, birth, result)
        entry = archive.entry(birth)
    for path, text in files.items():
        assert git(tmp_path / "run", "show", f"refs/individuals/{birth}:{path}") == text
    message = git(tmp_path / "run", "log", "-1", "--format=%B", f"refs/individuals/{birth}")
    assert message.splitlines()[0] == "#2 merge: less Trailer: evil"
    assert message.splitlines()[2] == f"val_bpb 1.25, size {entry.size}"
    trailer = git(
        tmp_path / "run", "log", "-1", f"--format=%(trailers:key={TRAILER},valueonly)", f"refs/individuals/{birth}"
    )
    record = json.loads(trailer)
    assert (record["id"], record["parents"], record["inspirations"], record["idea"]) == (2, [1], [1], entry.idea)
    assert record["evaluation"]["score"] == 1.25
    assert record["evaluation"]["seed"] == 77
    assert record["evaluation"]["metrics"] == {"steps": 10.0}
    assert record["created"] == entry.created


def test_a_failure_is_told_in_its_commit_without_a_score(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        run(archive, born(archive, idea="\x1b[31mbad\x00\ud800").id, failed("oom", "too\nlarge"))
    message = git(tmp_path / "run", "log", "-1", "--format=%B", "refs/individuals/2")
    assert "failed: oom: too large, size" in message
    assert message.isprintable() or set(filter(lambda char: not char.isprintable(), message)) == {"\n"}
    assert '"score":null' in message


def test_commit_ids_are_the_same_when_the_repository_is_built_anew(tmp_path: Path) -> None:
    grown(tmp_path / "run").close()
    before = refs(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "lineage.git")
    started(tmp_path / "run").close()
    assert refs(tmp_path / "run") == before


def test_missing_commits_are_written_and_strays_removed_when_a_run_is_opened(tmp_path: Path) -> None:
    grown(tmp_path / "run").close()
    before = refs(tmp_path / "run")
    for id in random.Random(1).sample(sorted(before), 20):
        git(tmp_path / "run", "update-ref", "-d", f"refs/individuals/{id}")
    git(tmp_path / "run", "update-ref", "refs/individuals/99999", before[1])
    (tmp_path / "run" / "lineage.git" / "refs" / "individuals" / "5.lock").touch()
    started(tmp_path / "run").close()
    assert refs(tmp_path / "run") == before


def test_a_later_result_leaves_the_commit_as_it_was(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        archive.flush()
        before = refs(tmp_path / "run")
        run(archive, 1, scored(3.0), "repeat")
    shutil.rmtree(tmp_path / "run" / "lineage.git")
    started(tmp_path / "run").close()
    assert refs(tmp_path / "run") == before


def test_a_child_waits_for_its_parents_commit(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "run", task()) as archive:
        child = born(archive, (1,)).id
        run(archive, child, scored(1.0))
        archive.flush()
        assert refs(tmp_path / "run") == {}
        run(archive, 1, scored(2.0))
        archive.flush()
        assert sorted(refs(tmp_path / "run")) == [1, child]


def test_sixty_four_results_are_committed_without_being_asked(tmp_path: Path) -> None:
    with started(tmp_path / "run") as archive:
        for number in range(63):
            run(archive, born(archive, text=variant(number)).id, scored(1.0))
        assert len(refs(tmp_path / "run")) == 64


def test_tidying_keeps_every_commit_and_leaves_few_packs(tmp_path: Path) -> None:
    with grown(tmp_path / "run") as archive:
        for number in range(20):  # many small batches
            run(archive, born(archive, text=variant(5000 + number)).id, scored(1.0))
            archive.flush()
        before = refs(tmp_path / "run")
        archive._lineage.tidy()
        assert refs(tmp_path / "run") == before
    counts = dict(line.split(": ") for line in git(tmp_path / "run", "count-objects", "-v").splitlines())
    assert int(counts["packs"]) <= 3
    assert counts["count"] == "0"


def test_commits_without_their_database_are_not_thrown_away(tmp_path: Path) -> None:
    grown(tmp_path / "run", 5).close()
    before = refs(tmp_path / "run")
    for file in (tmp_path / "run").glob(f"{DATABASE}*"):
        file.unlink()
    with pytest.raises(DamagedArchive, match=f"holds {len(before)} commits"):
        started(tmp_path / "run")
    assert refs(tmp_path / "run") == before


def test_a_broken_repository_is_named_with_its_way_out(tmp_path: Path) -> None:
    grown(tmp_path / "run", 5).close()
    (tmp_path / "run" / "lineage.git" / "HEAD").unlink()
    with pytest.raises(DamagedArchive, match=r"lineage\.git .* move (it|that folder) aside"):
        started(tmp_path / "run")
    (tmp_path / "run" / "lineage.git").rename(tmp_path / "aside")
    started(tmp_path / "run").close()
    assert 1 in refs(tmp_path / "run")
