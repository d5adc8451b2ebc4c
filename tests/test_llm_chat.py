"""The client against a real server on loopback, with the openai package as it is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from genome import Call, Reply
from llm_mutator import chat as chat_module
from llm_mutator.chat import Chat
from llm_mutator.llm import LlmError
from tests.api_server import Api, Respond, drips, drops, fails, hangs, says, sends, serving

KEY = "sk-secret-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    with serving() as api:
        yield api


@pytest.fixture
def api(server: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The server as new, a key in the environment, and first waits of milliseconds."""
    url = server.url
    Api.__init__(server, url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(chat_module, "FIRST_WAIT_S", 0.01)
    return server


@pytest.fixture
def make(api: Api) -> Iterator[Callable[..., Chat]]:
    made: list[Chat] = []

    def build(*models: Any, **options: Any) -> Chat:
        made.append(Chat(models or ["good"], base_url=options.pop("base_url", api.url), **options))
        return made[-1]

    yield build
    for chat in made:
        chat.close()


def ask(chat: Chat, text: str = "hi", **options: Any) -> Reply:
    return chat.answer(Call("good", ({"role": "user", "content": text},), options))


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while not holds() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return holds()


def test_a_good_reply_has_text_tokens_and_a_price(api: Api, make: Callable[..., Chat]) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
    api.script(says("an answer", usage=usage))
    reply = ask(make(prices={"good": {"input": 2.0, "cached": 0.5, "output": 10.0}}))
    assert (reply.text, reply.error) == ("an answer", None)
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out) == (1000, 400, 100)
    assert reply.usd == pytest.approx((600 * 2.0 + 400 * 0.5 + 100 * 10.0) / 1e6)
    assert reply.seconds > 0


def test_the_endpoints_own_price_goes_before_the_table(api: Api, make: Callable[..., Chat]) -> None:
    api.script(says("x", usage={"prompt_tokens": 10, "completion_tokens": 1, "cost": 0.25}))
    assert ask(make(prices={"good": {"input": 2.0, "output": 10.0}})).usd == 0.25


def test_what_is_configured_reaches_the_endpoint(api: Api, make: Callable[..., Chat]) -> None:
    chat = make(temperature=0.7, reasoning_effort="low", max_tokens=123, extra_body={"provider": {"sort": "price"}})
    ask(chat, "the prompt", response_format={"type": "json_object"})
    assert api.requests == [
        {
            "model": "good",
            "messages": [{"role": "user", "content": "the prompt"}],
            "temperature": 0.7,
            "reasoning_effort": "low",
            "max_tokens": 123,
            "provider": {"sort": "price"},
            "response_format": {"type": "json_object"},
        }
    ]
    assert api.keys == {f"Bearer {KEY}"}


PASSING: dict[str, tuple[Respond, str]] = {
    "busy": (fails(429, "slow down", retry_after="0"), "HTTP 429: slow down"),
    "broken": (fails(500, "oops"), "HTTP 500: oops"),
    "page of an error": (sends("<html>bad gateway</html>", 502, kind="text/html"), "HTTP 502"),
    "page": (sends("<!DOCTYPE html><html>hello</html>", kind="text/html"), "web page"),
    "truncated": (sends('{"id": "c", "choices": [{"index": 0, "mess'), "JSON that ends early"),
    "no JSON": (sends("Internal error", kind="text/plain"), "text that is no JSON"),
    "nothing": (sends(""), "sent nothing"),
    "list": (sends("[1, 2]"), "a JSON list"),
    "no choices": (sends('{"choices": []}'), "without choices"),
    "choices null": (sends('{"choices": null}'), "without choices"),
    "odd choices": (sends('{"choices": "many"}'), "without choices"),
    "no message": (sends('{"choices": [{"message": "text"}]}'), "without a message"),
    "empty": (says(""), "empty answer"),
    "null": (says(None), "empty answer"),
    "error body": (sends('{"error": {"message": "upstream is down", "code": 502}}'), "upstream is down"),
    "dropped": (drops, "connection failed"),
}


@pytest.mark.parametrize("what", PASSING)
def test_a_passing_fault_is_tried_again(what: str, api: Api, make: Callable[..., Chat]) -> None:
    respond, _ = PASSING[what]
    api.script(respond, says("now"))
    reply = ask(make())
    assert (reply.text, reply.error) == ("now", None)
    assert len(api.requests) == 2


@pytest.mark.parametrize("what", PASSING)
def test_a_lasting_fault_is_one_clear_line(what: str, api: Api, make: Callable[..., Chat]) -> None:
    respond, words = PASSING[what]
    api.script(respond)
    reply = ask(make(attempts=2))
    assert reply.text == ""
    assert reply.error is not None
    assert words in reply.error
    assert "\n" not in reply.error
    assert len(api.requests) == 2


FINAL: dict[str, tuple[Respond, str]] = {
    "refusal": (says(None, refusal="I cannot\nhelp"), "the model refused: I cannot help"),
    "filter": (says("", finish="content_filter"), "content filter"),
    "bad request": (fails(400, "context too long"), "HTTP 400: context too long"),
    "reasoning only": (says("", finish="length"), "spent 20 tokens before it answered"),
    "gone": (fails(404, "no model"), "HTTP 404: no model"),
}


@pytest.mark.parametrize("what", FINAL)
def test_what_another_attempt_cannot_mend_is_asked_once(what: str, api: Api, make: Callable[..., Chat]) -> None:
    respond, words = FINAL[what]
    api.script(respond)
    reply = ask(make())
    assert words in (reply.error or "")
    assert len(api.requests) == 1


def test_an_answer_cut_off_keeps_its_text_beside_the_error(api: Api, make: Callable[..., Chat]) -> None:
    api.script(says("half a", finish="length"))
    reply = ask(make())
    assert reply.text == "half a"
    assert "cut off at its length limit, 20 tokens" in (reply.error or "")


def test_what_failing_attempts_cost_is_counted(api: Api, make: Callable[..., Chat]) -> None:
    api.script(says(""), says("good"))
    reply = ask(make(prices={"good": {"input": 1.0, "output": 1.0}}))
    assert (reply.tokens_in, reply.tokens_out) == (200, 40)
    assert reply.usd == pytest.approx(240e-6)


@pytest.mark.parametrize("respond", [hangs, drips])
def test_the_deadline_is_hard(respond: Respond, api: Api, make: Callable[..., Chat]) -> None:
    api.script(respond)
    started = time.monotonic()
    reply = ask(make(timeout_s=0.3, attempts=1))
    assert reply.error == "no answer within 0.3 s"
    assert 0.3 <= time.monotonic() - started < 5


def test_retry_after_is_honoured(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(429, retry_after="0.4"), says("now"))
    reply = ask(make())
    assert reply.text == "now"
    assert reply.seconds >= 0.4


def test_retry_after_is_honoured_only_up_to_the_cap(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(429, retry_after="120"), says("now"))
    reply = ask(make(retry_after_cap_s=0.2))
    assert reply.text == "now"
    assert 0.2 <= reply.seconds < 20


def test_lone_surrogates_neither_break_a_request_nor_come_back(api: Api, make: Callable[..., Chat]) -> None:
    api.script(sends(r'{"choices": [{"message": {"content": "a\ud800b"}}]}'))
    reply = ask(make(), "c\ud800d")
    assert (reply.text, reply.error) == ("a?b", None)
    assert api.requests[0]["messages"][0]["content"] == "c?d"


def test_many_calls_share_the_client(api: Api, make: Callable[..., Chat]) -> None:
    api.respond = lambda request: says(request["messages"][0]["content"])
    chat = make()
    replies: dict[int, str] = {}
    threads = [threading.Thread(target=lambda i=i: replies.update({i: ask(chat, str(i)).text})) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == {i: str(i) for i in range(16)}


def test_closing_ends_a_call_in_flight(api: Api, make: Callable[..., Chat]) -> None:
    api.script(hangs)
    chat = make()
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            ask(chat)
        except CancelledError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: bool(api.requests))
    chat.close()
    thread.join(10)
    assert len(ended) == 1
    with pytest.raises(CancelledError):
        ask(chat)


def test_an_endpoint_that_stays_away_is_noticed_and_its_return_too(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(503, "maintenance"))
    api.models = fails(503)
    chat = make(attempts=2, probe_s=0.02)
    assert chat.away is None
    assert ask(chat).error == "HTTP 503: maintenance"
    assert chat.away == "HTTP 503: maintenance"
    assert eventually(lambda: api.listed >= 2)
    assert chat.away is not None
    api.script(says("back"))
    api.models = sends('{"data": []}')
    assert eventually(lambda: chat.away is None)
    assert ask(chat).text == "back"


def test_an_endpoint_without_a_list_of_models_comes_back_too(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(500))
    api.models = fails(404)
    chat = make(attempts=1, probe_s=0.02)
    ask(chat)
    assert eventually(lambda: chat.away is None)


def test_calls_that_all_fail_count_as_away_in_the_end(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(404, "no model"))
    chat = make(probe_s=60)
    for _ in range(chat_module.FAULTS_UNTIL_AWAY):
        assert chat.away is None
        ask(chat)
    assert chat.away == "HTTP 404: no model"


def test_check_passes_and_tells_what_it_cost(api: Api, make: Callable[..., Chat]) -> None:
    replies = make("good", {"name": "other", "weight": 2}).check()
    assert [reply.tokens_in for reply in replies] == [100, 100]
    assert sorted(request["model"] for request in api.requests) == ["good", "other"]
    assert {request["max_tokens"] for request in api.requests} == {16}


def test_check_accepts_a_model_that_spends_all_on_reasoning(api: Api, make: Callable[..., Chat]) -> None:
    api.script(says(None, finish="length"))
    assert len(make().check()) == 1


@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (fails(401, f"Incorrect API key provided: {KEY}"), "refuses the key in OPENAI_API_KEY"),
        (fails(403, "not yours"), "refuses the key in OPENAI_API_KEY"),
        (fails(404, "model not found"), "no model 'bad'"),
        (fails(400, "bad is not a valid model ID"), "no model 'bad'"),
        (sends("<html>welcome</html>", kind="text/html"), "does its address end in /v1?"),
    ],
)
def test_check_says_in_one_line_what_is_wrong(
    respond: Respond, words: str, api: Api, make: Callable[..., Chat]
) -> None:
    api.script(respond)
    with pytest.raises(LlmError) as error:
        make("bad").check()
    assert words in str(error.value)
    assert api.url in str(error.value)
    assert KEY not in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_check_names_the_models_there_are(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(404, "model not found"))
    with pytest.raises(LlmError, match="it offers good"):
        make("bad").check()


def test_check_names_a_dial_that_the_model_refuses(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(400, "temperature is not supported"))
    with pytest.raises(LlmError, match=r"temperature is not supported.*\n.*llm\.temperature"):
        make("good", temperature=3.0).check()


def test_check_lets_a_busy_endpoint_pass_as_away(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(429, "later"))
    chat = make(probe_s=60)
    assert chat.check() == []
    assert chat.away == "HTTP 429: later"


def test_check_says_when_nobody_is_there(make: Callable[..., Chat]) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(LlmError, match="no usable answer from"):
            make(base_url=url).check()


def test_no_key_is_said_with_the_way_out(make: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(LlmError, match=r"OPENAI_API_KEY(.|\n)*operators=mechanical"):
        make(base_url=None).check()


def test_a_local_endpoint_needs_no_key(api: Api, make: Callable[..., Chat], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask(make()).text == "hello"


def test_the_key_is_in_no_error(api: Api, make: Callable[..., Chat]) -> None:
    api.script(fails(401, f"Incorrect API key provided: {KEY}"))
    assert ask(make()).error == "HTTP 401: Incorrect API key provided: [key]"


def test_bound_is_above_what_the_call_costs(api: Api, make: Callable[..., Chat]) -> None:
    chat = make(prices={"good": {"input": 1.0, "output": 4.0}}, max_tokens=500)
    call = Call("good", ({"role": "user", "content": "x" * 3_000_000},))
    assert chat.bound(call) == pytest.approx(1.0 + 500 * 4e-6)


def test_models_without_a_price_are_named_where_money_flows() -> None:
    remote = Chat(["a", "x/b-2026-01-31"], base_url="https://example.com/v1", prices={"b": {"input": 1, "output": 1}})
    assert remote.unpriced == ("a",)
    assert Chat(["a"], base_url="http://127.0.0.1:1/v1").unpriced == ()
