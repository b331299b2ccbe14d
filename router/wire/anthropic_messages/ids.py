"""Ids of tool calls as Messages takes them: letters, digits, ``_`` and ``-``.

Other formats allow more (``functions.read:0``). Such an id is written in letters that lead back to it, so that its own
provider sees it unchanged in the next turn, and the same bytes every time.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from router.wire.opaque import INVENTED

_LEGAL: Final = re.compile(r"[a-zA-Z0-9_-]+")
_PREFIX: Final = f"toolu_{INVENTED}_"


def legal_id(call_id: str) -> str:
    """The id as Messages takes it, unchanged wherever possible."""
    if _LEGAL.fullmatch(call_id):
        return call_id
    coded = base64.urlsafe_b64encode(call_id.encode())
    return _PREFIX + coded.decode().rstrip("=")


def original_id(call_id: str) -> str:
    """The id behind one that ``legal_id`` wrote; any other as it is."""
    if not call_id.startswith(_PREFIX):
        return call_id
    coded = call_id[len(_PREFIX) :]
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return call_id
