"""A certificate for ``localhost`` and its key, made with openssl for tests alone; they protect nothing."""

from __future__ import annotations

import ssl
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

_CERTIFICATE = (
    "MIIBmzCCAUGgAwIBAgIUGG2mG+tkuzQoVX25hauY5QHMLjkwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2"
    "MTEyMTA4MzEyNVoYDzIxMjYxMDI4MDgzMTI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC"
    "AARs08xmuIgSG8Blx8Qso0r52LTye7dYhW9fc6KrTo541+4AZnvKakclB8zlAcEKBQPwOpsc4lmniY3/imtjW23do28wbTAdBgNV"
    "HQ4EFgQUMlscYhlgtzyDL21SbaQmI7feoGswHwYDVR0jBBgwFoAUMlscYhlgtzyDL21SbaQmI7feoGswDwYDVR0TAQH/BAUwAwEB"
    "/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIgEfMsNTOkTqcEhO/y9nfJkX4IN+DIaJmKTpjF"
    "jIVbe3sCIQD8KXxHI1wNzekILf53YXtd87nmgx4iHRVy2QuuBZII2Q=="
)
_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8HpHZDfWq5jsKv8war2mcS4+DwB1F+bgjLi5HssCyUGhRANCAARs"
    "08xmuIgSG8Blx8Qso0r52LTye7dYhW9fc6KrTo541+4AZnvKakclB8zlAcEKBQPwOpsc4lmniY3/imtjW23d"
)


class Tls(NamedTuple):
    """The files, and a client's context that trusts the certificate and nothing else."""

    cert: Path
    key: Path
    trusted: ssl.SSLContext


def write_tls(folder: Path) -> Tls:
    """Both files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.txt", folder / "key.txt"
    cert.write_text(_pem("CERTIFICATE", _CERTIFICATE))
    key.write_text(_pem("PRIVATE " + "KEY", _KEY))
    return Tls(cert, key, ssl.create_default_context(cafile=cert))


def _pem(what: str, text: str) -> str:
    return "\n".join([f"-----BEGIN {what}-----", *wrap(text, 64), f"-----END {what}-----", ""])
