"""What a strict provider hands out and knows again: sealed reasoning and ids, each with a code over what it is for.

Nothing is kept: whether a seal is this provider's own, unedited and where it belongs is computed from the seal itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json


def _code(*of: object) -> str:
    text = json.dumps(of, sort_keys=True, ensure_ascii=False)
    digest = hmac.new(b"strict", text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()[:15]
    return base64.b64encode(digest).decode()


def seal(maker: str, model: str, *of: object) -> str:
    """Opaque text that ``maker`` gives out for ``of`` (JSON values)."""
    return base64.b64encode(f"{maker}:{_code(maker, model, *of)}".encode()).decode()


def is_sealed(text: object, maker: str, model: str, *of: object) -> bool:
    """Whether ``maker`` gave this out, for just that."""
    return text == seal(maker, model, *of)


def new_id(prefix: str, maker: str, *of: object) -> str:
    """An id that ``maker`` gives to something: letters and digits behind the prefix."""
    body = hashlib.sha256(json.dumps((maker, *of)).encode()).hexdigest()[:16]
    return f"{prefix}{body}{_id_code(maker, body)}"


def is_own_id(text: str, prefix: str, maker: str) -> bool:
    """Whether ``maker`` gave this id out."""
    body = text.removeprefix(prefix)
    return text.startswith(prefix) and len(body) == 24 and _id_code(maker, body[:16]) == body[16:]


def _id_code(maker: str, body: str) -> str:
    return hashlib.sha256(f"{maker} {body}".encode()).hexdigest()[:8]


def plain(value: object) -> object:
    """JSON as one conversation is told from another: cache marks moved on, one text written as a string or a block."""
    if isinstance(value, dict):
        kept = {name: plain(inner) for name, inner in value.items() if name != "cache_control"}
        if isinstance(kept.get("content"), str):
            kept["content"] = [{"type": "text", "text": kept["content"]}]
        return kept
    return [plain(inner) for inner in value] if isinstance(value, list) else value
