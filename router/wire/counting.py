"""Counts of tokens as Messages and Responses have them: a request without what isn't counted, ``input_tokens`` back."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from router.wire.body import Body
from router.wire.taps import decoded


class _Count(msgspec.Struct):
    input_tokens: int


_counts = msgspec.json.Decoder(_Count)


def count_request(rendered: bytes, counted: Container[str]) -> bytes:
    """A rendered request as one to count its tokens; ``counted`` are the fields that such a request may have."""
    body = Body.parse(rendered)
    return body.with_fields({}, drop=[name for name in body if name not in counted])


def read_count(payload: bytes) -> int | None:
    """The tokens in the answer; ``None`` if it is none."""
    count = decoded(payload, _counts)
    return None if count is None or count.input_tokens < 0 else count.input_tokens
