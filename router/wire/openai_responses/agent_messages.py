"""What one agent of the client's tells another (``agent_message``): a task, or what came of it.

Codex's main agent calls a tool with the message. OpenAI's models seal it there, so that only they can read it; Codex
hands on whatever stands in the argument as sealed. A model of another provider writes it in plain words, which is how
the two are told apart.
"""

from __future__ import annotations

import re
from typing import Final

KIND: Final = "agent_message"
SEALED_PART: Final = "encrypted_content"

_SEALED: Final = re.compile(r"[A-Za-z0-9+/_-]{80,}={0,2}")


def is_sealed(text: str) -> bool:
    """Whether a text is one that only its provider can read: long, and without anything that words consist of."""
    return _SEALED.fullmatch(text) is not None


def is_task(author: object, recipient: object) -> bool:
    """Whether a message tells an agent what to do: it is from the one above (``/root`` to ``/root/reader``)."""
    return isinstance(author, str) and isinstance(recipient, str) and recipient.startswith(f"{author}/")
