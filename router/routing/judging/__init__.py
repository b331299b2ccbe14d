"""Whether a cheap model's whole answer is good enough to be sent to the client.

``judge`` looks at the form of a draft alone: no model is asked, and the same draft always gets the same judgement. Each
check says its part in a sentence for people. To add one: a function in ``calls``, ``code``, ``structure``, ``texts`` or
``topic`` that gives a ``Check``, or ``None`` where it has nothing to look at; a line in ``judge``; a row in
docs/cascade.md; a row of tests.
"""

from router.routing.judging.draft import Draft, Question
from router.routing.judging.judge import Check, Judgement, judge

__all__ = ["Check", "Draft", "Judgement", "Question", "judge"]
