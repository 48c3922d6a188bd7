"""The exception hierarchy. The core raises these errors; the API and the command line translate them."""

from __future__ import annotations


class AnatomendError(Exception):
    """Base class of all errors of this project, with a message for the user.

    Attributes:
        code: a stable machine-readable name, in snake_case.
        exit_code: exit status of the command line.
        allowed: accepted values, where they can be listed.
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
    """A parameter or a combination of parameters is invalid."""

    code = "invalid_request"
    exit_code = 2


class InvalidImage(AnatomendError):
    """The bytes are not a supported image: no image at all, truncated, or of an unsupported type."""

    code = "invalid_image"
    exit_code = 2


class TooLarge(AnatomendError):
    """Too many bytes or pixels."""

    code = "too_large"
    exit_code = 2


class NotFound(AnatomendError):
    """The image, model or job does not exist."""

    code = "not_found"
    exit_code = 2


class ModelUnavailable(AnatomendError):
    """A model cannot be loaded: missing, broken, or of an unsupported family."""

    code = "model_unavailable"
    exit_code = 3


class InvalidSettings(AnatomendError):
    """The environment variables hold an invalid setting."""

    code = "invalid_settings"
    exit_code = 2


class NotReady(AnatomendError):
    """The service is still loading its models or is shutting down."""

    code = "not_ready"
    exit_code = 4


class Unauthorized(AnatomendError):
    """The API key is missing or unknown."""

    code = "invalid_key"
    exit_code = 2


class Forbidden(AnatomendError):
    """The caller is not allowed to do this."""

    code = "missing_scope"
    exit_code = 2


class Conflict(AnatomendError):
    """The request conflicts with the current state of a resource."""

    code = "conflict"
    exit_code = 2


class QueueFull(AnatomendError):
    """The queue is full; the job was not stored."""

    code = "queue_full"
    exit_code = 4


class DatabaseUnavailable(AnatomendError):
    """The database is locked, full or out of reach."""

    code = "database_unavailable"
    exit_code = 4


class Unreadable(AnatomendError):
    """A stored record can no longer be read."""

    code = "unreadable_job"


class TimeLimit(AnatomendError):
    """The work was stopped because it exceeded the time limit of a job."""

    code = "time_limit"


class Cancelled(AnatomendError):
    """The work was cancelled by the caller."""

    code = "cancelled"
    exit_code = 1


class StorageFull(AnatomendError):
    """There is no space left to store a picture. Stored pictures are not affected."""

    code = "storage_full"


class StorageUnavailable(AnatomendError):
    """The picture store does not answer, or refuses the request."""

    code = "storage_unavailable"


class StorageDamaged(AnatomendError):
    """A stored picture is damaged: its file was truncated or overwritten."""

    code = "storage_damaged"


class Unreachable(AnatomendError):
    """The service that a client calls does not answer, or not in time."""

    code = "unreachable"
    exit_code = 4
