"""What an endpoint sent back, read with distrust: the text, the tokens, the price, or what is wrong with it."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_mutator.text import one_line

PER_MILLION = 1e-6


class Fault(Exception):
    """One attempt that gave no usable answer.

    Attributes:
        retry: another attempt can succeed.
        away: it speaks against the endpoint, not against this one request.
        status: the HTTP status, or None where there was none.
        after_s: how long the endpoint asked to wait, or None.
        completion: what was paid for all the same, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        retry: bool,
        away: bool = False,
        status: int | None = None,
        after_s: float | None = None,
        completion: Completion | None = None,
    ) -> None:
        super().__init__(message)
        self.retry = retry
        self.away = away
        self.status = status
        self.after_s = after_s
        self.completion = completion


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    cached: float
    output: float


@dataclass(frozen=True)
class Completion:
    """One answer as the endpoint sent it.

    Attributes:
        cut: the model hit its length limit; the text ends where it was.
        usd: what the endpoint itself says that it cost, or None.
    """

    text: str
    cut: bool = False
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    usd: float | None = None

    def cost(self, price: Price | None) -> float:
        """Return US dollars: the endpoint's own figure, else by price, else 0.0."""
        if self.usd is not None:
            return self.usd
        if price is None:
            return 0.0
        fresh = max(0, self.tokens_in - self.tokens_cached)
        return PER_MILLION * (fresh * price.input + self.tokens_cached * price.cached + self.tokens_out * price.output)


def read_completion(body: str) -> Completion:
    """Return the first choice of a chat completion that came with status 200.

    Raises:
        Fault: it is no JSON, an error in disguise, has no choice, or the model gave no text.
    """
    answer = _json_object(body)
    usage = _usage(answer.get("usage"))
    choices = answer.get("choices")
    error = answer.get("error")
    if error and not choices:
        raise Fault(f"the endpoint sent status 200 with an error: {error_text(error)}", retry=True, completion=usage)
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Fault("the endpoint sent an answer without choices", retry=True, completion=usage)
    finish = choices[0].get("finish_reason")
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise Fault("the endpoint sent a choice without a message", retry=True, completion=usage)
    if message.get("refusal"):
        raise Fault(f"the model refused: {one_line(message['refusal'])}", retry=False, completion=usage)
    if finish == "content_filter":
        raise Fault("the endpoint's content filter withheld the answer", retry=False, completion=usage)
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        if finish == "length":
            spent = f"{usage.tokens_out} tokens" if usage.tokens_out else "its tokens"
            raise Fault(
                f"the model spent {spent} before it answered; raise llm.max_tokens", retry=False, completion=usage
            )
        raise Fault("the model sent an empty answer", retry=True, completion=usage)
    # a lone surrogate is legal in JSON and cannot be stored, hashed or sent again
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return Completion(clean, finish == "length", usage.tokens_in, usage.tokens_cached, usage.tokens_out, usage.usd)


def price_of(model: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model by its name, without a provider before it or a date behind it if need be."""
    bare = model.rsplit("/", 1)[-1]
    for name in (model, bare, re.sub(r"-(\d{4}-\d{2}-\d{2}|\d{8})$", "", bare)):
        if name in prices:
            return prices[name]
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response asks to wait, as a number of seconds or a date; None when it asks nothing."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def error_text(error: object) -> str:
    """Return an endpoint's error, whatever its shape, as one line."""
    if isinstance(error, Mapping):
        inner = error.get("error")
        error = error_text(inner) if inner else error.get("message") or error.get("detail") or json.dumps(dict(error))
    return one_line(error)


def _json_object(body: str) -> dict[str, Any]:
    start = body.lstrip()[:200].lower()
    if start.startswith(("<!doctype", "<html")):
        raise Fault("the endpoint sent a web page instead of an answer", retry=True, away=True)
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        what = "JSON that ends early" if start.startswith("{") else f"text that is no JSON: {one_line(body, 80)!r}"
        raise Fault(f"the endpoint sent {what if body.strip() else 'nothing'}", retry=True) from None
    if not isinstance(answer, dict):
        raise Fault(f"the endpoint sent a JSON {type(answer).__name__} instead of an answer", retry=True)
    return answer


def _usage(usage: object) -> Completion:
    if not isinstance(usage, dict):
        return Completion("")
    details = usage.get("prompt_tokens_details")
    cost = usage.get("cost")
    return Completion(
        "",
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_cached=_count(details.get("cached_tokens")) if isinstance(details, dict) else 0,
        tokens_out=_count(usage.get("completion_tokens")),
        usd=float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e6 else None,
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**40 else 0
