"""One request to an OpenAI-compatible endpoint: the key, the deadline, and every failure as a Fault."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import openai

from genome.operator import Call
from llm_mutator.completion import Completion, Fault, error_text, read_completion, retry_after
from llm_mutator.llm import LlmError
from llm_mutator.text import one_line

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_S = 10.0
LIST_S = 10.0


class Endpoint:
    """The address, the key's place in the environment, and the openai package's client; used in one event loop.

    Args:
        url: None is the environment's OPENAI_BASE_URL, else OpenAI itself.
        key_env: environment variable that holds the key; the key itself is nowhere else.
        body: what goes into each request besides model and messages.
    """

    def __init__(
        self, url: str | None, key_env: str, max_tokens: int | None, body: Mapping[str, Any], timeout_s: float
    ) -> None:
        self.url = url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        self.key_env = key_env
        self.max_tokens = max_tokens
        self._body = dict(body)
        self._timeout_s = timeout_s
        self._made: openai.AsyncOpenAI | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    def client(self) -> openai.AsyncOpenAI:
        """Return the client, made by the first use.

        Raises:
            LlmError: OpenAI itself is asked and there is no key.
        """
        if self._made is None:
            key = os.environ.get(self.key_env, "")
            if not key and self.url == OPENAI_URL:
                raise LlmError(
                    f"llm=openai finds no key in {self.key_env}; set it, or name an endpoint that needs none"
                    " (llm.base_url=URL);\n"
                    "without an LLM, operators=mechanical tunes constants, deletes code and merges parents for nothing"
                )
            # the time-outs of the package are for each read; the real deadline is in `complete`
            timeout = openai.Timeout(self._timeout_s + 5, connect=CONNECT_S)
            self._made = openai.AsyncOpenAI(api_key=key or "none", base_url=self.url, max_retries=0, timeout=timeout)
        return self._made

    async def complete(
        self, call: Call, *, timeout_s: float | None = None, max_tokens: int | None = None
    ) -> Completion:
        """Return one answer to a call.

        Raises:
            Fault: anything else that can come of a request.
        """
        limit = max_tokens or self.max_tokens
        # OpenAI's reasoning models refuse the older name, most other servers know no other
        limit_name = "max_completion_tokens" if self.host == "api.openai.com" else "max_tokens"
        body = {**({limit_name: limit} if limit else {}), **self._body, **call.options}
        messages: Any = [{key: _sendable(value) for key, value in message.items()} for message in call.messages]
        deadline_s = timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                response = await self.client().chat.completions.with_raw_response.create(
                    model=call.model, messages=messages, extra_body=body
                )
                return read_completion(response.text)
        except TimeoutError:
            raise Fault(f"no answer within {deadline_s:g} s", retry=True, away=True) from None
        except openai.OpenAIError as error:
            raise self._fault(error) from None

    async def offered(self) -> list[str]:
        """Return the names of the models that the endpoint lists; empty where it has no list.

        Raises:
            Fault: it is not there, or refuses us.
        """
        try:
            async with asyncio.timeout(LIST_S):
                response = await self.client().models.with_raw_response.list()
                data = json.loads(response.text).get("data")
        except TimeoutError:
            raise Fault(f"no answer within {LIST_S:g} s", retry=True, away=True) from None
        except openai.OpenAIError as error:
            fault = self._fault(error)
            if fault.status in (400, 404, 405):
                return []
            raise fault from None
        except (ValueError, AttributeError):  # no JSON, or no object
            return []
        return [str(entry["id"]) for entry in data or [] if isinstance(entry, dict) and "id" in entry]

    def redacted(self, text: str) -> str:
        """Return a text without the key, which some endpoints repeat in their errors."""
        key = os.environ.get(self.key_env, "")
        return text.replace(key, "[key]") if key else text

    def _fault(self, error: openai.OpenAIError) -> Fault:
        if isinstance(error, openai.APIStatusError):
            status = error.status_code
            passing = status in (408, 409, 425, 429) or status >= 500
            return Fault(
                self.redacted(f"HTTP {status}: {error_text(error.body or error.message)}"),
                retry=passing,
                away=passing or status in (401, 402, 403),
                status=status,
                after_s=retry_after(error.response.headers),
            )
        if isinstance(error, openai.APITimeoutError):
            return Fault("the connection timed out", retry=True, away=True)
        if isinstance(error, openai.APIConnectionError):
            return Fault(f"connection failed: {one_line(error.__cause__ or error)}", retry=True, away=True)
        return Fault(self.redacted(one_line(error)), retry=True)


def _sendable(text: str) -> str:
    # a lone surrogate, which Python source can hold, has no UTF-8
    return text.encode("utf-8", "replace").decode("utf-8")
