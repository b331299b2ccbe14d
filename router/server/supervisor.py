"""Who starts this process again when it fails: systemd, launchd, or nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

LAUNCHD_LABEL = "router.server"


def supervisor(environ: Mapping[str, str]) -> Literal["systemd", "launchd"] | None:
    """Who supervises this process itself. Variables are inherited (a terminal may be a service, too), so only those
    count that name this process or our own service: see systemd.exec(5) for ``SYSTEMD_EXEC_PID``."""
    if environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
        return "systemd"
    return "launchd" if environ.get("XPC_SERVICE_NAME") == LAUNCHD_LABEL else None
