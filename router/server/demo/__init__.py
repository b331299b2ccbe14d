"""The built-in provider: real answers of all wire formats over real HTTP, made up on the spot.

``provider`` listens and tells one format from the other, ``answer`` decides what to say, the formats' files say it in
their own words, and ``counting`` and ``schema`` count tokens and fill in the arguments of tools.
"""

from router.server.demo.provider import DemoProvider

__all__ = ["DemoProvider"]
