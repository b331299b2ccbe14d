"""Router: an LLM request router for coding agents.

Many profiles in one process, each with its own ordered rules; requests pass through unchanged but for the model, and
what each rule costs is written down. ``server/exchange.py`` is one request from start to end.
"""

__version__ = "0.1.0"
