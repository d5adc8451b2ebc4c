"""No way of writing a file makes it look smaller than it is and is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from genome import Genome
from genome.forbidden import refusal

GAMES = sorted(path for path in (Path(__file__).parent / "size_games").glob("*.py") if path.name != "plain.py")


def of(path: Path) -> Genome:
    return Genome({"train.py": path.read_text(encoding="utf-8")})


PLAIN = of(GAMES[0].with_name("plain.py"))


@pytest.mark.parametrize("game", GAMES, ids=lambda path: path.stem)
def test_a_size_game_is_refused_or_not_smaller(game: Path) -> None:
    genome = of(game)
    assert refusal(genome) is not None or genome.size >= PLAIN.size


def test_the_plain_file_is_accepted_and_layout_games_do_not_change_its_digest_or_size() -> None:
    assert refusal(PLAIN) is None
    for name in ("reformatted", "joined", "doubled_comments"):
        assert of(GAMES[0].with_name(f"{name}.py")).size == PLAIN.size
        assert of(GAMES[0].with_name(f"{name}.py")).digest == PLAIN.digest


def test_there_is_a_game_of_each_kind() -> None:
    assert len(GAMES) >= 12
