"""The built-in provider's door: a listener on loopback, and what each path and model name asks for.

Any model name is answered. Some ask for trouble, so that the router's own behaviour can be seen:

    demo-error-STATUS    that error status, in the format's own words (429 with Retry-After)
    demo-error-stream    an answer that breaks off with the format's error event
    demo-cut             an answer whose connection is cut in the middle
    demo-slow            two seconds before the first byte; demo-slow-N waits N seconds
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import struct
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import msgspec
from aiohttp import web

from router.errors import BadRequest, MethodNotAllowed, NotFound, Refused
from router.providers.builtin import DEMO_MODELS, demo
from router.providers.provider import Provider
from router.server.bodies import read_body
from router.server.demo import chat, gemini, messages, responses
from router.server.demo.answer import Answer, Options, Question, answer
from router.server.demo.counting import InputTokens, PromptCache, count_tokens, parts_of
from router.server.endpoints import Endpoint, resolve
from router.server.listeners import Listener
from router.wire.body import Body
from router.wire.formats import CODECS
from router.wire.request import Api
from router.wire.sse import encode_event

MAX_BODY: Final = 64 * 2**20
PACE_S: Final = 0.002  # between two pieces of a stream: quick, and yet a stream
SLOW_S: Final = 2
KEPT_RESPONSES: Final = 256
VECTOR: Final = 8  # numbers in an embedding, unless the request says how many
_AT_ONCE: Final = 2**16  # bytes of a body that is read in the event loop; a larger one in a thread

_ERROR: Final = re.compile(r"demo-error-([45]\d\d)")
_SLOW: Final = re.compile(r"demo-slow(?:-(\d{1,2}))?")
_SAYINGS: Final[Mapping[int, tuple[str, str]]] = {  # our code for the words of each format, and a person's
    401: ("unauthorized", "this key is not known here (demo)"),
    404: ("not-found", "this model is not known here (demo)"),
    429: ("rate", "too many requests, wait a second (demo)"),
    503: ("overloaded", "no capacity at the moment (demo)"),
    529: ("overloaded", "overloaded (demo)"),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a format's file has."""

    required: tuple[str, ...]
    options: Callable[[Body], Options]
    whole: Callable[[Question, Answer], dict[str, Any]]
    stream: Callable[[Question, Answer], Iterator[bytes]]


DIALECTS: Final[Mapping[Api, Dialect]] = {
    "anthropic-messages": Dialect(messages.REQUIRED, messages.options, messages.whole, messages.stream),
    "openai-chat": Dialect(chat.REQUIRED, chat.options, chat.whole, chat.stream),
    "openai-responses": Dialect(responses.REQUIRED, responses.options, responses.whole, responses.stream),
    "gemini": Dialect(gemini.REQUIRED, gemini.options, gemini.whole, gemini.stream),
}


class Trouble(Exception):
    """A reply that a model's name asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DemoProvider:
    """The provider at work. ``await start()``, then ``provider()`` tells where it answers; ``await close()``.

    ``pace_s`` is the time between two pieces of a stream; ``answering`` decides what is said.
    """

    def __init__(self, *, pace_s: float = PACE_S, answering: Callable[[Question], Answer] = answer) -> None:
        self._pace_s = pace_s
        self._answering = answering
        self._listener = Listener("127.0.0.1", 0, self._serve)
        self._cache = PromptCache()
        self._run = secrets.token_hex(4)
        self._numbers = count(1)
        self._responses: OrderedDict[str, tuple[dict[str, Any], int]] = OrderedDict()  # with the tokens so far

    async def start(self) -> None:
        """Listen on a free port of this machine's loopback."""
        await self._listener.open()

    def provider(self) -> Provider:
        """The provider ``demo`` at this one's address."""
        return demo(self._listener.base_url)

    async def close(self) -> None:
        """End every connection."""
        await self._listener.close()

    # --- one request ----------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        endpoint = resolve(request.raw_path.partition("?")[0], prefixed=False)
        api = endpoint.api or "openai-chat"
        try:
            serve = self._pages.get(endpoint.kind)
            if serve is None:
                raise NotFound("there is no such path here")
            if request.method not in endpoint.methods:
                raise MethodNotAllowed(f"use {' or '.join(endpoint.methods)} here")
            return await serve(self, request, endpoint)
        except Refused as error:
            return _error(api, error.status, error.code, str(error))
        except Trouble as trouble:
            code, text = _SAYINGS.get(trouble.status, ("", f"status {trouble.status}, as asked for (demo)"))
            return _error(api, trouble.status, code, text)

    async def _generate(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        question = await self._question(request, endpoint)
        model = question.model
        if asked := _ERROR.fullmatch(model):
            raise Trouble(int(asked[1]))
        if asked := _SLOW.fullmatch(model):
            await asyncio.sleep(int(asked[1] or SLOW_S))
        made = self._answering(question)
        dialect = DIALECTS[question.view.api]
        if question.view.api == "openai-responses":
            self._keep(question, made)
        try:
            if not question.view.stream:
                return await self._whole(request, question, msgspec.json.encode(dialect.whole(question, made)))
            return await self._stream(request, question, list(dialect.stream(question, made)))
        except ConnectionError:  # the client left while we wrote
            return web.Response()

    async def _question(self, request: web.BaseRequest, endpoint: Endpoint) -> Question:
        """Read a request. A large body is read in a thread, so that nobody waits for it."""
        raw = await read_body(request, MAX_BODY)
        if len(raw) < _AT_ONCE:
            question = self._read(raw, endpoint)
        else:
            question = await asyncio.to_thread(self._read, raw, endpoint)
        previous = question.view.body.get("previous_response_id") if endpoint.api == "openai-responses" else None
        return replace(
            question,
            note=request.headers.get("x-demo-note"),
            input=self._continued(question, previous) if isinstance(previous, str) else question.input,
        )

    def _read(self, raw: bytes, endpoint: Endpoint) -> Question:
        assert endpoint.api is not None
        view = CODECS[endpoint.api].view(Body.parse(raw), url_model=endpoint.model, url_stream=endpoint.stream)
        dialect = DIALECTS[endpoint.api]
        for name in dialect.required if endpoint.kind == "generate" else ():
            if name not in view.body:
                raise BadRequest(f"{name}: field required")
        parts = parts_of(view)
        if endpoint.kind == "generate":
            tokens = self._cache.take(endpoint.api, view.model, parts)
        else:
            tokens = InputTokens(sum(part.tokens for part in parts))
        name = f"demo{self._run}{next(self._numbers):06d}"
        return Question(name, int(time.time()), view, parts, dialect.options(view.body), tokens)

    def _continued(self, question: Question, previous: str) -> InputTokens:
        """What an earlier response read and wrote is read again, from the cache."""
        if previous not in self._responses:
            raise BadRequest(f"Previous response with id '{previous}' not found.")
        return replace(question.input, cached=question.input.cached + self._responses[previous][1])

    def _keep(self, question: Question, made: Answer) -> None:
        if question.view.body.get("store") is False:
            return
        reply = responses.whole(question, made)
        self._responses[reply["id"]] = (reply, question.input.total + made.output_tokens)
        if len(self._responses) > KEPT_RESPONSES:
            self._responses.popitem(last=False)

    # --- answers --------------------------------------------------------------------------------------------------

    async def _whole(self, request: web.BaseRequest, question: Question, body: bytes) -> web.StreamResponse:
        if question.model not in ("demo-cut", "demo-error-stream"):
            return web.Response(body=body, headers=_headers(question, "application/json"))
        out = web.StreamResponse(headers={**_headers(question, "application/json"), "Content-Length": str(len(body))})
        await out.prepare(request)
        await out.write(body[: len(body) // 2])
        return _cut(request, out)

    async def _stream(self, request: web.BaseRequest, question: Question, pieces: list[bytes]) -> web.StreamResponse:
        media_type = "text/event-stream"
        frames: Iterable[bytes] = pieces
        if question.view.api == "gemini":
            if request.query.get("alt") == "sse":
                frames = map(encode_event, pieces)
            else:
                media_type, frames = "application/json", _array(pieces)
        out = web.StreamResponse(headers=_headers(question, media_type))
        await out.prepare(request)
        half = (len(pieces) + 1) // 2 if question.model in ("demo-cut", "demo-error-stream") else None
        for number, frame in enumerate(frames):
            if number == half:
                if question.model == "demo-error-stream":
                    await out.write(CODECS[question.view.api].error_event("overloaded", "overloaded (demo)"))
                    await asyncio.sleep(self._pace_s)
                return _cut(request, out)
            await out.write(frame)
            await asyncio.sleep(self._pace_s)
        await out.write_eof()
        return out

    async def _count(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        question = await self._question(request, endpoint)
        body = CODECS[question.view.api].count_reply(question.input.total)
        return web.Response(body=body, content_type="application/json")

    async def _response(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        """A response that was given earlier, or its removal."""
        if endpoint.rest not in self._responses:
            raise NotFound(f"Response with id '{endpoint.rest}' not found.")
        if request.method == "DELETE":
            del self._responses[endpoint.rest]
            return _json({"id": endpoint.rest, "object": "response", "deleted": True})
        return _json(self._responses[endpoint.rest][0])

    async def _models(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        """The list in the shape of the format that asks for it."""
        if request.path.startswith("/v1beta"):
            methods = ["generateContent", "streamGenerateContent", "countTokens"]
            return _json(
                {
                    "models": [
                        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}
                        for name in DEMO_MODELS
                    ]
                }
            )
        if "anthropic-version" in request.headers:
            listed = [
                {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
                for name in DEMO_MODELS
            ]
            return _json({"data": listed, "has_more": False, "first_id": DEMO_MODELS[0], "last_id": DEMO_MODELS[-1]})
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "router"} for name in DEMO_MODELS]
        return _json({"object": "list", "data": data})

    async def _other(self, request: web.BaseRequest, endpoint: Endpoint) -> web.StreamResponse:
        """Embeddings; nothing else of OpenAI's other endpoints."""
        if endpoint.rest != "embeddings":
            raise NotFound("there is no such path here")
        body = Body.parse(await read_body(request, MAX_BODY))
        model, given, size = body.get("model"), body.get("input"), body.get("dimensions") or VECTOR
        if not isinstance(model, str) or not isinstance(given, str | list) or not isinstance(size, int):
            raise BadRequest("an embedding needs a model and an input")
        if asked := _ERROR.fullmatch(model):
            raise Trouble(int(asked[1]))
        texts = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
        data = [
            {"object": "embedding", "index": index, "embedding": _embedding(text, size, body.get("encoding_format"))}
            for index, text in enumerate(texts)
        ]
        tokens = sum(len(text) if isinstance(text, list) else count_tokens(str(text)) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "data": data, "model": model, "usage": usage})

    _pages: Final[Mapping[str, Callable[[DemoProvider, web.BaseRequest, Endpoint], Awaitable[web.StreamResponse]]]] = {
        "generate": _generate,
        "count": _count,
        "response": _response,
        "models": _models,
        "other": _other,
    }


def _headers(question: Question, media_type: str) -> dict[str, str]:
    charset = "; charset=utf-8" if media_type == "text/event-stream" else ""
    return {"Content-Type": f"{media_type}{charset}", "Cache-Control": "no-cache", "request-id": f"req_{question.id}"}


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _error(api: Api, status: int, code: str, text: str) -> web.Response:
    body = CODECS[api].error_body(status, code, text, None)
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _cut(request: web.BaseRequest, out: web.StreamResponse) -> web.StreamResponse:
    """Close the connection in the middle of a body; what was written so far still arrives."""
    out.force_close()
    if request.transport is not None:
        request.transport.close()
    return out


def _array(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Gemini's stream without ``alt=sse``: one JSON array."""
    opening = b"["
    for piece in pieces:
        yield opening + piece
        opening = b",\r\n"
    yield b"]"


def _embedding(text: object, size: int, encoding: object) -> list[float] | str:
    """A vector of length 1 made from the text's digest; as base64 of 32-bit floats if asked for."""
    digest = hashlib.shake_256(repr(text).encode("utf-8", "replace")).digest(max(1, min(size, 4096)))
    numbers = [byte - 127.5 for byte in digest]
    length = sum(number * number for number in numbers) ** 0.5
    vector = [round(number / length, 6) for number in numbers]
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if encoding == "base64" else vector
