"""Replies as models really write them, and what each is refused for."""

from __future__ import annotations

import pytest

from genome.patch import SearchReplace
from llm_mutator import reply
from llm_mutator.reply import Refused

BLOCK = "<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n"
ONE = [SearchReplace("train.py", "a = 1\n", "a = 2\n")]


@pytest.mark.parametrize(
    "text",
    [
        f"IDEA: x\n\n{BLOCK}",
        f"Sure! Here it is.\n\nIDEA: x\n```python\n{BLOCK}```\nHope this helps.",
        f"IDEA: x\n\ntrain.py\n{BLOCK}",
        f"IDEA: x\n\n### FILE: `train.py`\n{BLOCK}",
        f"IDEA: x\n\n**./train.py**:\n{BLOCK}",
        f"<think>\nMaybe\n{BLOCK.replace('2', '9')}\n</think>\nIDEA: x\n{BLOCK}",
        f"IDEA: x\n{BLOCK}".replace("\n", "\r\n"),
        "<<<<<<< SEARCH\n```python\na = 1\n```\n=======\n```python\na = 2\n```\n>>>>>>> REPLACE",
        "<<<<<<<  SEARCH train.py\na = 1\n========\na = 2\n>>>>>>>>  REPLACE",
        f"I looked at torch.nn\ntorch.nn\n{BLOCK}",
    ],
)
def test_blocks_are_found_in_what_models_put_around_them(text: str) -> None:
    assert reply.edits(text, ["train.py"]) == ONE


def test_several_blocks_keep_their_order_and_a_replacement_may_be_empty() -> None:
    text = BLOCK + "<<<<<<< SEARCH\n    b\n\n    c\n=======\n>>>>>>> REPLACE\n"
    assert reply.edits(text, ["train.py"]) == [*ONE, SearchReplace("train.py", "    b\n\n    c\n", "")]


def test_each_block_of_several_files_goes_to_the_file_it_stands_under() -> None:
    text = f"data.py\n{BLOCK}\nnow lib/model.py changes too:\nlib/model.py\n{BLOCK}{BLOCK}"
    assert [edit.path for edit in reply.edits(text, ["data.py", "lib/model.py"])] == ["data.py"] + ["lib/model.py"] * 2


@pytest.mark.parametrize(
    ("text", "paths", "words"),
    [
        ("I cannot do that.", ["a.py"], "no block of the form"),
        ("", ["a.py"], "no block of the form"),
        ("<<<<<<< SEARCH\na = 1\n", ["a.py"], "block 1 has no ======= line; was the answer cut off?"),
        (BLOCK + "<<<<<<< SEARCH\na\n=======\nb\n", ["a.py"], "block 2 does not end .* cut off"),
        (
            f"evaluator.py\n{BLOCK}",
            ["a.py"],
            "block 1 is for evaluator.py, which is not a file of this program; only a.py",
        ),
        (f"../a.py\n{BLOCK}", ["a.py"], r"\.\./a\.py, which is not a file"),
        (BLOCK, ["a.py", "b.py"], "does not say which file it is for; put one of a.py, b.py"),
    ],
)
def test_a_reply_without_usable_blocks_is_told_why(text: str, paths: list[str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        reply.edits(text, paths)


@pytest.mark.parametrize(
    ("text", "idea"),
    [
        ("IDEA: Double the rate.\nmore", "Double the rate."),
        ("**Idea:** Double *it* now", "Double *it* now"),
        ("## IDEA: Double\x00 it\x1b[31m", "Double it[31m"),
        ("> idea : Double", "Double"),
        ("Sure, I will double the rate.\n\n" + BLOCK, "Sure, I will double the rate."),
        (BLOCK, "no idea was stated"),
        ("<think>IDEA: wrong</think>IDEA: right", "right"),
    ],
)
def test_the_idea_is_one_line(text: str, idea: str) -> None:
    assert reply.idea(text) == idea


def test_a_long_idea_is_kept_in_full() -> None:
    sentence = " ".join(["because"] * 150)
    assert reply.idea(f"IDEA: {sentence}") == sentence


@pytest.mark.parametrize(
    "text",
    [
        "IDEA: x\n\n```python\na = 1\n```\n",
        "IDEA: x\n```\na = 1\n```\nThe main part is\n```\na\n```\n",
        "IDEA: x\n\n````python\na = 1\n````",
        "IDEA: x\r\n~~~py\r\na = 1\r\n~~~\r\n",
    ],
)
def test_a_whole_file_is_the_longest_fenced_block(text: str) -> None:
    assert reply.whole_files(text, ["train.py"]) == {"train.py": "a = 1\n"}


def test_a_longer_fence_may_hold_shorter_ones() -> None:
    text = '````python\n"""\n```\nexample\n```\n"""\n````\n'
    assert reply.whole_files(text, ["train.py"]) == {"train.py": '"""\n```\nexample\n```\n"""\n'}


def test_several_whole_files_go_by_their_headings() -> None:
    text = "a.py\n```\n1\n```\nFILE: b.py\n```\n2\n```\n"
    assert reply.whole_files(text, ["a.py", "b.py"]) == {"a.py": "1\n", "b.py": "2\n"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1", "no fenced block"),
        ("```python\na = 1\n", "never closes; was the answer cut off?"),
        ("b.py\n```\nx\n```", "b.py, which is not a file"),
    ],
)
def test_a_reply_without_a_whole_file_is_told_why(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        reply.whole_files(text, ["a.py"])


def settle(number: int, body: str) -> str:
    return f"<<<<<<< RESOLUTION {number}\n{body}>>>>>>> RESOLUTION {number}\n"


def test_resolutions_come_back_by_their_number() -> None:
    text = "IDEA: both\n" + settle(2, "b\n") + "and\n" + settle(1, "") + settle(3, "```\nc\n```\n")
    assert reply.resolutions(text, 3) == ["", "b\n", "c\n"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (settle(1, "a\n"), "N = 2"),
        ("nothing", "N = 1, 2"),
        (settle(1, "a\n") + settle(1, "b\n"), "given twice"),
        (settle(1, "a\n") + settle(3, "b\n"), "there are 2"),
        ("<<<<<<< RESOLUTION 1\na\n", "does not end with >>>>>>> RESOLUTION"),
    ],
)
def test_resolutions_that_do_not_match_the_conflicts_are_told_why(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        reply.resolutions(text, 2)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "A", "value": 1}',
        'Sure: ```json\n{"name": "A", "value": 1}\n```',
        '{"x": {} } {"name": "A", "value": 1} {',
    ],
)
def test_json_is_found_in_chatter(text: str) -> None:
    assert reply.json_object(text, ("name", "value")) == {"name": "A", "value": 1}


@pytest.mark.parametrize("text", ["", "{" * 5000, '{"name": "A"}', "[1]", '{"name": "A", "value": '])
def test_no_json_is_told(text: str) -> None:
    with pytest.raises(Refused, match="no JSON object with name, value"):
        reply.json_object(text, ("name", "value"))
