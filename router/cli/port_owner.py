"""Who listens on a port of this machine, as far as the system tells."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

_LISTENS = "0A"  # in /proc/net/tcp


def why_taken(host: str, port: int) -> str | None:
    """Why nothing could listen there; None if it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host.strip("[]"), port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                owner = owner_of(port)
                return f"port {port} is taken by {owner or 'another program'}"
            return f"{host}:{port} can't be listened on: {(error.strerror or str(error)).lower()}"
    return None


def owner_of(port: int) -> str | None:
    """The process that listens on a port: ``process 4711 (node)``. None where it isn't ours to see."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)) if inodes else ():
        try:
            if any(os.readlink(entry) in inodes for entry in (process / "fd").iterdir()):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:  # another user's, or it has ended
            continue
    return None


def _inodes(port: int) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text("ascii").splitlines()[1:]
        except OSError:  # not Linux
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found
