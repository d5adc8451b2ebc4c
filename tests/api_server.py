"""A server on loopback that speaks the OpenAI chat API, well or badly, as a test tells it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Respond = Callable[[Send, Receive], Awaitable[None]]


def says(text: str | None, *, finish: str = "stop", usage: Mapping[str, Any] | None = None, **message: Any) -> Respond:
    """Return a well-formed completion with this text."""
    counted = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120} if usage is None else dict(usage)
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return sends(json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": counted}))


def sends(
    body: str, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Respond:
    """Return exactly this body."""

    async def respond(send: Send, receive: Receive) -> None:
        lines = {"content-type": kind, **(headers or {})}
        encoded = [(name.encode(), value.encode()) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body.encode()})

    return respond


def fails(status: int, message: str = "no", **headers: str) -> Respond:
    """Return an error as OpenAI words it; `retry_after="3"` becomes a header."""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return sends(json.dumps({"error": {"message": message, "type": "error", "code": None}}), status, lines)


async def hangs(send: Send, receive: Receive) -> None:
    """Say nothing until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def drips(send: Send, receive: Receive) -> None:
    """Send a byte every few milliseconds until the client leaves: no single read is ever slow."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    left = asyncio.ensure_future(hangs(send, receive))
    while not left.done():
        await send({"type": "http.response.body", "body": b" ", "more_body": True})
        await asyncio.wait([left], timeout=0.02)


async def drops(send: Send, receive: Receive) -> None:
    """Promise a long body, send a little, and close the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"id": "c", "choices": [', "more_body": True})
    raise ConnectionResetError("as told")


class Api:
    """What the server does, request by request.

    Attributes:
        url: base URL for the client.
        requests: bodies of the completions that were asked for, in order.
        keys: Authorization headers that were seen.
        respond: chooses the response to a request's body; may be replaced at any time.
        models: how `GET /models` responds.
        listed: how often `GET /models` was asked.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.respond: Callable[[dict[str, Any]], Respond] = lambda request: says("hello")
        self.models: Respond = sends(json.dumps({"object": "list", "data": [{"id": "good", "object": "model"}]}))
        self.listed = 0

    def script(self, *responses: Respond) -> None:
        """Respond with these in order, then with the last one for ever."""
        waiting = list(responses)
        self.respond = lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.keys |= {value.decode() for name, value in scope["headers"] if name == b"authorization"}
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/v1/models":
            self.listed += 1
            await self.models(send, receive)
        elif scope["path"] == "/v1/chat/completions":
            request = json.loads(body)
            self.requests.append(request)
            await self.respond(request)(send, receive)
        else:
            await fails(404, f"no such path {scope['path']}")(send, receive)


@contextmanager
def serving() -> Iterator[Api]:
    """Run the server on a free port of loopback."""
    api = Api("")

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await api(scope, receive, send)

    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def signalled(*args: Any, **options: Any) -> None:
        await startup(*args, **options)
        started.set()

    server.startup = signalled  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(30), "uvicorn did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    api.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join(30)
