"""The one exception tree. The core raises these; the API and the command line translate them."""

from __future__ import annotations


class AnatomendError(Exception):
    """Anything this project refuses or fails at, with words for the user.

    Attributes:
        code: a stable machine-readable name, in snake_case.
        exit_code: what the command line exits with.
        allowed: what would have been accepted, where that can be said.
    """

    code = "error"
    exit_code = 1

    def __init__(self, detail: str, *, code: str | None = None, allowed: object = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.allowed = allowed
        if code is not None:
            self.code = code


class InvalidRequest(AnatomendError):
    """A parameter or a combination of them is not acceptable."""

    code = "invalid_request"
    exit_code = 2


class InvalidImage(AnatomendError):
    """The bytes are no image that we take: not an image, truncated, of an unsupported type."""

    code = "invalid_image"
    exit_code = 2


class TooLarge(AnatomendError):
    """Too many bytes or pixels."""

    code = "too_large"
    exit_code = 2


class NotFound(AnatomendError):
    """No such image, model or job."""

    code = "not_found"
    exit_code = 2


class ModelUnavailable(AnatomendError):
    """A model cannot be loaded: missing, broken, or of a family that we cannot drive."""

    code = "model_unavailable"
    exit_code = 3


class InvalidSettings(AnatomendError):
    """The environment asks for something that cannot be."""

    code = "invalid_settings"
    exit_code = 2


class NotReady(AnatomendError):
    """The service is still loading its models or is shutting down."""

    code = "not_ready"
    exit_code = 4


class Unauthorized(AnatomendError):
    """No key was sent where one is needed, or one that opens nothing."""

    code = "invalid_key"
    exit_code = 2


class Forbidden(AnatomendError):
    """Who asks is known, or need not be, but may not do this."""

    code = "missing_scope"
    exit_code = 2


class Conflict(AnatomendError):
    """What is asked for does not fit the state that something is in."""

    code = "conflict"
    exit_code = 2


class QueueFull(AnatomendError):
    """Too much is waiting already; nothing was written down."""

    code = "queue_full"
    exit_code = 4


class DatabaseUnavailable(AnatomendError):
    """The database is locked, full or out of reach."""

    code = "database_unavailable"
    exit_code = 4


class Unreadable(AnatomendError):
    """What was written down once cannot be read any more."""

    code = "unreadable_job"


class TimeLimit(AnatomendError):
    """The work was stopped, since it took longer than any job may."""

    code = "time_limit"


class Cancelled(AnatomendError):
    """Somebody asked for this work to end."""

    code = "cancelled"
    exit_code = 1


class StorageFull(AnatomendError):
    """There is no room left to keep a picture. What was kept before is untouched."""

    code = "storage_full"


class StorageUnavailable(AnatomendError):
    """The place where pictures are kept does not answer, or refuses."""

    code = "storage_unavailable"


class StorageDamaged(AnatomendError):
    """A picture is not what it was when it was put: its file was cut short, or written over."""

    code = "storage_damaged"


class Unreachable(AnatomendError):
    """A service that a client asks does not answer, or not in time."""

    code = "unreachable"
    exit_code = 4
