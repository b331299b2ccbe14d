"""A call's arguments as the JSON object that nearly every target wants, whatever the model wrote.

An answer that was cut leaves half an object behind, and some models write no object at all. Servers read arguments to
fill a template, or check them, and then refuse the whole conversation for ever. So such text stands as text inside an
object; an object keeps its numbers as they were spelled.
"""

from __future__ import annotations

from typing import Final

import msgspec

BROKEN: Final = b'{"_raw_arguments":'
"""How the object around arguments that are none begins."""


def is_object(arguments: str) -> bool:
    """Whether these are the JSON of an object."""
    try:
        return isinstance(msgspec.json.decode(arguments.encode()), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def as_object(arguments: str) -> msgspec.Raw:
    """Compact JSON of an object; of an empty one where nothing was said."""
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    if is_object(arguments):
        return msgspec.Raw(msgspec.json.format(arguments.encode(), indent=-1))
    text = arguments.encode("utf-8", "replace").decode()
    return msgspec.Raw(BROKEN + msgspec.json.encode(text) + b"}")


def as_text_of_object(arguments: str) -> str:
    """The same for formats that have arguments in a string: an object's is left as the model wrote it."""
    return arguments if is_object(arguments) else bytes(as_object(arguments)).decode()
