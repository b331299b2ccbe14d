"""What a rule can ask of a request: one small class a condition, one table of them all.

To add one: a class in ``request``, ``surroundings`` or ``words``, a row in ``compiling``, a row in docs/rules.md, a row
of tests.
"""

from router.routing.conditions.compiling import CONDITIONS, KNOWN_KEYS, compile_match
from router.routing.conditions.condition import All, Always, Any, Condition, Need, Not

__all__ = ["CONDITIONS", "KNOWN_KEYS", "All", "Always", "Any", "Condition", "Need", "Not", "compile_match"]
