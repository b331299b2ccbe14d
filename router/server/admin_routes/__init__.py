"""What can be asked on the admin socket, a file a topic. Each has ``routes(app)``, listed in ``TOPICS``.

Answers are JSON. An error is ``{"error": text}``, the text for a person: a handler raises ``ValueError`` for what can't
be done, and gives ``missing`` for a profile that isn't there; ``admin.py`` tells the rest.
"""

from router.server.admin_routes import breakers, hand_over, helpers, keys, ledger, lifecycle, profiles

TOPICS = (lifecycle, hand_over, profiles, keys, breakers, helpers, ledger)
