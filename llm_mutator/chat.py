"""The LLM behind an OpenAI-compatible endpoint: retries of its own, prices, and an eye on its absence."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from genome.operator import Call, Reply
from llm_mutator.background import Background
from llm_mutator.completion import Completion, Fault, Price, price_of
from llm_mutator.endpoint import Endpoint
from llm_mutator.ensemble import Ensemble
from llm_mutator.llm import LlmError

FIRST_WAIT_S = 1.0
CHECK_TIMEOUT_S = 60.0
CHECK_TOKENS = 16
LONGEST_PROBE_WAIT_S = 120.0
FAULTS_UNTIL_AWAY = 5  # calls in a row that failed, each for a reason of its own
CHARS_PER_TOKEN = 3.0  # less than code has, so that `bound` is one


class Chat:
    """One or several models behind an endpoint that speaks the OpenAI chat API.

    All requests run in one event loop in a background thread; `answer` may be called from any other.

    Args:
        models: names, or mappings with `name` and `weight`; see Ensemble for `choice` and `floor`.
        base_url: None is the environment's OPENAI_BASE_URL, else OpenAI itself.
        api_key_env: environment variable that holds the key; the key itself is nowhere else.
        temperature, reasoning_effort, max_tokens: sent when set.
        extra_body: put into each request as it is, such as OpenRouter's `provider`.
        prices: dollars for a million tokens by model: {input, output, cached}; `cached` defaults to `input`.
        timeout_s: wall time of one attempt, from the request's first byte to the answer's last.
        attempts: how often one call is tried.
        retry_after_cap_s: longest wait that an endpoint can ask for.
        probe_s: wait before the first look whether an endpoint that stayed away is back; doubled each time.
    """

    def __init__(
        self,
        models: Sequence[str | Mapping[str, object]],
        *,
        choice: Literal["weights", "bandit"] = "weights",
        floor: float = 0.1,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = None,
        reasoning_effort: str | None = None,
        max_tokens: int | None = 16_000,
        extra_body: Mapping[str, Any] | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        timeout_s: float = 180.0,
        attempts: int = 4,
        retry_after_cap_s: float = 60.0,
        probe_s: float = 5.0,
    ) -> None:
        self.models = Ensemble(models, choice, floor)
        dials = {"temperature": temperature, "reasoning_effort": reasoning_effort}
        body = {**{name: value for name, value in dials.items() if value is not None}, **(extra_body or {})}
        self._endpoint = Endpoint(base_url, api_key_env, max_tokens, body, timeout_s)
        self._prices = {
            name: Price(p["input"], p.get("cached", p["input"]), p["output"]) for name, p in (prices or {}).items()
        }
        self._attempts = attempts
        self._retry_after_cap_s, self._probe_s = retry_after_cap_s, probe_s
        self._background = Background()
        self._away: str | None = None
        self._faults = 0
        self._probe_wait_s = probe_s
        self._probing: asyncio.Task[None] | None = None

    @property
    def away(self) -> str | None:
        """Why the endpoint does not answer at the moment, or None; a probe in the background clears it."""
        return self._away

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models of a remote endpoint without a price: they count as free unless the endpoint says its charge."""
        if self._endpoint.host in ("localhost", "127.0.0.1", "::1"):
            return ()
        return tuple(name for name in self.models.names if price_of(name, self._prices) is None)

    def bound(self, call: Call) -> float:
        """Return the most that one attempt of a call can cost in US dollars; 0.0 where the model has no price."""
        tokens_in = round(sum(len(message["content"]) for message in call.messages) / CHARS_PER_TOKEN)
        longest = Completion("", tokens_in=tokens_in, tokens_out=self._endpoint.max_tokens or 16_000)
        return longest.cost(price_of(call.model, self._prices))

    def check(self) -> list[Reply]:
        """Ask each model for one word; an endpoint that is only busy passes, and counts as away.

        Raises:
            LlmError: no key, nobody at the address, key refused, model unknown, or the request's form refused.
        """
        self._endpoint.client()  # a missing key is said here
        return self._background.run(self._check_all())

    def answer(self, call: Call) -> Reply:
        """Wait for the answer to a call; whatever goes wrong at the endpoint is a Reply with an error.

        Raises:
            LlmError: there is no key.
            concurrent.futures.CancelledError: closed meanwhile.
        """
        self._endpoint.client()
        return self._background.run(self._answer(call))

    def close(self) -> None:
        """Cancel calls in flight and end the background thread; idempotent."""
        self._background.close()

    async def _answer(self, call: Call) -> Reply:
        started = time.monotonic()
        paid: list[Completion] = []
        text, error = "", None
        try:
            completion = await self._retried(call, paid)
            self._faults, self._away, self._probe_wait_s = 0, None, self._probe_s
            text = completion.text
            if completion.cut:
                limit = completion.tokens_out or self._endpoint.max_tokens
                error = f"the answer was cut off at its length limit, {limit} tokens"
        except Fault as fault:
            error = str(fault)
            self._faults += fault.completion is None  # a refusal speaks for an endpoint that works
            if fault.away or self._faults >= FAULTS_UNTIL_AWAY:
                self._leave(error)
        price = price_of(call.model, self._prices)
        return _reply(text, error, paid, price, time.monotonic() - started)

    async def _retried(self, call: Call, paid: list[Completion]) -> Completion:
        """Return the first usable answer; what every attempt cost goes into `paid`."""
        attempt = 1
        while True:
            try:
                completion = await self._endpoint.complete(call)
                paid.append(completion)
                return completion
            except Fault as fault:
                if fault.completion is not None:
                    paid.append(fault.completion)
                if not fault.retry or attempt >= self._attempts:
                    raise
                wait_s = random.uniform(0.5, 1.0) * FIRST_WAIT_S * 2 ** (attempt - 1)
                await asyncio.sleep(min(max(wait_s, fault.after_s or 0.0), self._retry_after_cap_s))
            attempt += 1

    async def _check_all(self) -> list[Reply]:
        found = await asyncio.gather(*(self._check(name) for name in self.models.names))
        return [reply for reply in found if reply is not None]

    async def _check(self, model: str) -> Reply | None:
        call = Call(model, ({"role": "user", "content": "Answer with the word: ready"},))
        try:
            completion = await self._endpoint.complete(call, timeout_s=CHECK_TIMEOUT_S, max_tokens=CHECK_TOKENS)
        except Fault as fault:
            if fault.completion is None or not fault.completion.tokens_out:
                if fault.status is None or fault.status in (400, 401, 403, 404, 405, 422):
                    raise LlmError(await self._diagnosis(model, fault)) from None
                self._leave(str(fault))
                return None
            completion = replace(fault.completion, text="")  # it answers; its reasoning took all the tokens
        return _reply(completion.text, None, [completion], price_of(model, self._prices), 0.0)

    async def _diagnosis(self, model: str, fault: Fault) -> str:
        where = f"llm.base_url={self._endpoint.url}"
        if fault.status in (401, 403):
            return f"{where} refuses the key in {self._endpoint.key_env} ({fault})"
        if fault.status is None:
            return f"no usable answer from {where}: {fault}; is the server up, and does its address end in /v1?"
        try:
            offered = await self._endpoint.offered()
        except Fault:
            offered = []
        if fault.status in (404, 405) or (offered and model not in offered):
            there = f"; it offers {', '.join(offered[:8])}" if offered else "; does the address end in /v1?"
            return f"no model {model!r} at {where} ({fault}){there}"
        dials = "llm.temperature, llm.reasoning_effort, llm.extra_body"
        return f"{where} refuses what it is sent for {model!r} ({fault});\nsee {dials}"

    def _leave(self, reason: str) -> None:
        self._away = reason
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Look for the endpoint with a request that costs nothing until it is there; wait longer each time."""
        while self._away is not None:
            await asyncio.sleep(self._probe_wait_s)
            # only a good answer sets the wait back: a list of models is no proof that completions work again
            self._probe_wait_s = min(2 * self._probe_wait_s, LONGEST_PROBE_WAIT_S)
            try:
                await self._endpoint.offered()
            except Fault:
                continue
            self._away = None


def _reply(text: str, error: str | None, paid: Sequence[Completion], price: Price | None, seconds: float) -> Reply:
    return Reply(
        text,
        error,
        tokens_in=sum(each.tokens_in for each in paid),
        tokens_cached=sum(each.tokens_cached for each in paid),
        tokens_out=sum(each.tokens_out for each in paid),
        usd=sum(each.cost(price) for each in paid),
        seconds=seconds,
    )
