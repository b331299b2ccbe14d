"""Every error the router raises on purpose, in one tree.

    RouterError
    ├── Refused                 a client's request that is answered with an error; knows its HTTP status
    │   ├── BadRequest              400  the body or the URL is wrong
    │   │   ├── FormatUnsupported   400  the target speaks no wire format that the request can be brought into
    │   │   ├── Untranslatable      400  something the client asked for can't be said in the target's wire format
    │   │   └── DuplicateKey        400  a field we read occurs twice
    │   ├── Unauthorized            401  the client's router key is missing or unknown
    │   ├── Forbidden               403  a rule of the server forbids it (Origin, …)
    │   │   └── NoCredential        403  no candidate has a usable provider key
    │   ├── NotFound                404  no such path or profile
    │   │   └── NoRoute             404  no rule, default or catalog entry takes the request
    │   ├── MethodNotAllowed        405
    │   ├── RequestTimeout          408  the head or the body came too slowly
    │   ├── PayloadTooLarge         413
    │   ├── UnsupportedMediaType    415  a body compressed in a way we don't know
    │   ├── Misdirected             421  the Host header names somebody else
    │   ├── UpgradeRequired         426  a WebSocket upgrade where only POST is served
    │   ├── TooManyRequests         429  a limit; carries retry_after_s
    │   ├── BudgetExceeded          429  what may be spent is spent; knows when that changes
    │   └── Unavailable             503  draining, ledger out of order
    │       └── Halted              503  the profile is stopped or disabled
    ├── UpstreamError           one attempt at a provider failed; knows its error class
    ├── CredentialMissing       a provider's key isn't where its reference points
    ├── ConfigError             wrong files or options                        (exit status 2)
    ├── LedgerError             the ledger can't be opened or written         (exit status 3)
    ├── AlreadyRunning          another server holds this home                (exit status 4)
    └── ListenError             an address can't be listened on               (exit status 5)

An error knows its status and a short stable ``code``; how it looks in a wire format is decided by
``server/replies.py``, how it looks in a terminal by ``cli/``.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar


class RouterError(Exception):
    """Base of all errors raised on purpose. ``str(error)`` is one clear line for a person."""

    exit_status: ClassVar[int] = 1


class Refused(RouterError):
    """A client's request is answered with an error instead of being forwarded."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid_request"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadRequest(Refused):
    """The body or the URL is wrong."""


class FormatUnsupported(BadRequest):
    """The chosen target speaks no wire format that the request can be brought into."""

    code = "format_unsupported"


class Untranslatable(BadRequest):
    """Something the client asked for can't be said in the target's wire format, and leaving it out would change the
    meaning of the request."""

    code = "not_translatable"


class DuplicateKey(BadRequest):
    """A field that we read occurs twice, so we and the provider could disagree about it."""

    code = "duplicate_key"


class Unauthorized(Refused):
    """The client's router key is missing or unknown."""

    status = 401
    code = "unauthorized"


class Forbidden(Refused):
    """A rule of the server forbids the request."""

    status = 403
    code = "forbidden"


class NoCredential(Forbidden):
    """No candidate has a usable provider key."""

    code = "no_credential"


class NotFound(Refused):
    """No such path or profile."""

    status = 404
    code = "not_found"


class NoRoute(NotFound):
    """No rule, default or catalog entry takes the request."""

    code = "no_route"


class MethodNotAllowed(Refused):
    """The path exists, the method doesn't."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(Refused):
    """The head or the body of the request came too slowly."""

    status = 408
    code = "request_timeout"


class PayloadTooLarge(Refused):
    """The body is larger than ``[server] max-body``."""

    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(Refused):
    """The body is compressed in a way we don't know."""

    status = 415
    code = "unsupported_media_type"


class Misdirected(Refused):
    """The Host header names somebody else (a web page talking through DNS rebinding)."""

    status = 421
    code = "misdirected"


class UpgradeRequired(Refused):
    """A WebSocket upgrade where only POST is served."""

    status = 426
    code = "upgrade_required"


class TooManyRequests(Refused):
    """A limit was reached; ``retry_after_s`` says when to come back."""

    status = 429
    code = "too_many_requests"


class BudgetExceeded(Refused):
    """A budget doesn't allow a call; it is allowed again at ``resets_at`` (UTC)."""

    status = 429
    code = "budget_exceeded"

    def __init__(self, message: str, *, resets_at: datetime, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s: float = retry_after_s
        self.resets_at = resets_at


class Unavailable(Refused):
    """The server drains, or the ledger is out of order."""

    status = 503
    code = "unavailable"


class Halted(Unavailable):
    """The profile is stopped or disabled, and only a person changes that: repeating the request is of no use."""


class UpstreamError(RouterError):
    """One attempt at a provider failed before an answer was there.

    ``error_class`` is a name of ``health.classes``; ``status`` the provider's HTTP status where there was one;
    ``maybe_billed`` says that the provider may have worked (and charged) although we got no answer; ``wait_s`` is the
    wait that it asked for.
    """

    def __init__(
        self,
        message: str,
        *,
        error_class: str,
        status: int | None = None,
        maybe_billed: bool = False,
        wait_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.error_class = error_class
        self.status = status
        self.maybe_billed = maybe_billed


class CredentialMissing(RouterError):
    """A provider's key isn't where its reference points. The message says what to do and never holds a key."""


class ConfigError(RouterError):
    """A file or an option is wrong. The message may have several lines, one a problem."""

    exit_status = 2


class LedgerError(RouterError):
    """The ledger can't be opened or written."""

    exit_status = 3


class AlreadyRunning(RouterError):
    """Another server holds this home."""

    exit_status = 4


class ListenError(RouterError):
    """An address can't be listened on."""

    exit_status = 5
