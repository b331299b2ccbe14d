"""A rendered request as one to count its tokens.

``countTokens`` takes a whole request only together with its model's name, on Vertex under other names, and with some
SDKs' servers not at all; ``contents`` it takes everywhere. So instructions and tools are counted as text of the user's,
which is what they are to the model, too.
"""

from __future__ import annotations

import msgspec


def counting(rendered: bytes) -> bytes:
    """The body of a ``countTokens`` request."""
    fields = msgspec.json.decode(rendered, type=dict[str, msgspec.Raw])
    parts: list[object] = []
    if "systemInstruction" in fields:
        parts.extend(msgspec.json.decode(fields["systemInstruction"])["parts"])
    if "tools" in fields:
        parts.append({"text": bytes(fields["tools"]).decode()})
    contents = msgspec.json.decode(fields["contents"], type=list[msgspec.Raw])
    before = [{"role": "user", "parts": parts}] if parts else []
    return msgspec.json.encode({"contents": [*before, *contents]})
