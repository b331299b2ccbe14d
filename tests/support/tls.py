"""Certificates and their one key, made with openssl for tests alone; they protect nothing."""

from __future__ import annotations

import ssl
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

_GOOD = (
    "MIIBmzCCAUGgAwIBAgIUGG2mG+tkuzQoVX25hauY5QHMLjkwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2"
    "MTEyMTA4MzEyNVoYDzIxMjYxMDI4MDgzMTI1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC"
    "AARs08xmuIgSG8Blx8Qso0r52LTye7dYhW9fc6KrTo541+4AZnvKakclB8zlAcEKBQPwOpsc4lmniY3/imtjW23do28wbTAdBgNV"
    "HQ4EFgQUMlscYhlgtzyDL21SbaQmI7feoGswHwYDVR0jBBgwFoAUMlscYhlgtzyDL21SbaQmI7feoGswDwYDVR0TAQH/BAUwAwEB"
    "/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIgEfMsNTOkTqcEhO/y9nfJkX4IN+DIaJmKTpjF"
    "jIVbe3sCIQD8KXxHI1wNzekILf53YXtd87nmgx4iHRVy2QuuBZII2Q=="
)
_EXPIRED = (
    "MIIBZDCCAQugAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMTAyMDAw"
    "MDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARs08xmuIgSG8Blx8Qso0r52LTye7dYhW9f"
    "c6KrTo541+4AZnvKakclB8zlAcEKBQPwOpsc4lmniY3/imtjW23do04wTDAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwDwYDVR0T"
    "AQH/BAUwAwEB/zAdBgNVHQ4EFgQUMlscYhlgtzyDL21SbaQmI7feoGswCgYIKoZIzj0EAwIDRwAwRAIgITSEUwfJfVX/JmQiiKGLEgZl"
    "JBU0uRsXT8YPSQ8dMKACIAw5iDYcN4J9mn1X/Ew9U9y6TeItBk+Ro86K2QYSL19W"
)
_ELSEWHERE = (
    "MIIBrDCCAVOgAwIBAgIUUT1sTO+T1TL6MbOOpLB5ShtEjogwCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRZWxzZXdoZXJlLmludmFsaWQw"
    "IBcNMjYxMTIxMjAxMDU4WhgPMjEyNjEwMjgyMDEwNThaMBwxGjAYBgNVBAMMEWVsc2V3aGVyZS5pbnZhbGlkMFkwEwYHKoZIzj0CAQYI"
    "KoZIzj0DAQcDQgAEbNPMZriIEhvAZcfELKNK+di08nu3WIVvX3Oiq06OeNfuAGZ7ympHJQfM5QHBCgUD8DqbHOJZp4mN/4prY1tt3aNx"
    "MG8wHQYDVR0OBBYEFDJbHGIZYLc8gy9tUm2kJiO33qBrMB8GA1UdIwQYMBaAFDJbHGIZYLc8gy9tUm2kJiO33qBrMA8GA1UdEwEB/wQF"
    "MAMBAf8wHAYDVR0RBBUwE4IRZWxzZXdoZXJlLmludmFsaWQwCgYIKoZIzj0EAwIDRwAwRAIgXsbjqOj+YwBPXv+q1D8tBWWyWknqifGF"
    "G9yLjI217FwCIAKhCb4rB2t9IuS1MrODvwyhBETIPlaer8ooAMOPzKCm"
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


CERTIFICATES = {"good": _GOOD, "expired": _EXPIRED, "of somebody else": _ELSEWHERE}
"""For ``localhost`` and 127.0.0.1; the same, of a day of 2020; for ``elsewhere.invalid``. Each has signed itself."""


def write_tls(folder: Path, which: str = "good") -> Tls:
    """A certificate and the key in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.txt", folder / "key.txt"
    cert.write_text(_pem("CERTIFICATE", CERTIFICATES[which]))
    key.write_text(_pem("PRIVATE " + "KEY", _KEY))
    return Tls(cert, key, ssl.create_default_context(cafile=cert))


def _pem(what: str, text: str) -> str:
    return "\n".join([f"-----BEGIN {what}-----", *wrap(text, 64), f"-----END {what}-----", ""])
