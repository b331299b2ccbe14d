"""Providers that refuse what the real ones refuse, and answer in their formats' exact grammar.

One pair of modules a format: the rules (``anthropic``, ``chat``, ``responses``, ``gemini``) raise AssertionError with
the words of the real API, ``…_replies`` writes what is said, whole or as a stream. What is said is decided in
``scenario``, the same for all of them; ``provider`` puts it behind a socket.
"""
