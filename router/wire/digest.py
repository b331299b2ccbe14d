"""What stands in a text's place where the text itself is too long, or nobody else's business."""

from __future__ import annotations

import hashlib


def digest(text: str) -> str:
    """64 hexadecimal digits: the same for the same text, and telling nothing of it.

    Half a surrogate pair, which JSON can hold and UTF-8 can't, is a character like any other.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
