"""Every error a caller can meet, with its stable code and HTTP status.

::

    FeaturescapeError                         code                     status
    ├── SpecError                             invalid_spec             422   a field of the spec is wrong
    │   ├── UnknownNameError                  unknown_name             422   not in a registry; says the nearest
    │   ├── DatasetError                      dataset_error            422   root missing, empty, not allowed
    │   ├── LayerError                        unknown_layer            422   lists the layers there are
    │   └── WeightsError                      weights_error            422   missing, wrong sha256, wrong shapes
    ├── InputJobError                         input_job                409   an input job is missing or failed
    ├── ArtifactError                         artifact_error           500   a committed file is damaged
    ├── JobStoppedError                       job_stopped              409   stopped on request
    ├── JobFailedError                        job_failed               500   what `wait` raises in the client
    ├── AllRowsFailedError                    all_rows_failed          422   no example of a job could be used
    ├── WorkerLostError                       worker_lost              500   worker processes keep dying
    ├── NotFoundError                         not_found                404
    ├── ConflictError                         conflict                 409   same idempotency key, other body
    ├── RequestError                          bad_request              400   the request, not the spec, is wrong
    │   ├── ForbiddenError                        forbidden                403   comes from another web page
    │   ├── MethodError                           method_not_allowed       405
    │   ├── RequestTimeoutError                   request_timeout          408   came too slowly
    │   ├── TooLargeError                         too_large                413   the body exceeds the limit
    │   ├── MediaTypeError                        unsupported_media_type   415   not application/json
    │   ├── RangeError                            range_not_satisfiable    416   outside the file, or several
    │   └── ImageError                          bad_image              422   an upload that is no image
    ├── AuthenticationError                   unauthorized             401
    ├── StorageFullError                      storage_full             507   no room, or read-only
    └── ServiceUnavailableError               service_unavailable      503   nobody answers, or not now
        └── LiveUnavailableError                  live_unavailable         503   no network for the live page

A job that fails raises one of these. A row that fails is data: see :data:`ROW_ERROR_CODES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from featurescape_jobs.printable import printable_lines

ROW_ERROR_CODES: dict[str, str] = {
    "not_found": "The file was listed when the job started and is gone now.",
    "empty_file": "The file has no bytes.",
    "not_an_image": "The bytes are in no image format on the allow-list.",
    "not_a_mesh": "The file is in no mesh format that is read.",
    "truncated": "The file ends before its data does.",
    "decode_error": "The decoder refused the bytes.",
    "too_many_pixels": "The header announces more pixels than the cap, or than memory is there for.",
    "too_many_bytes": "The file is larger than the cap.",
    "too_many_frames": "An animation with more frames than the cap.",
    "too_many_faces": "A mesh with more triangles or parts than the cap.",
    "no_surface": "A mesh without triangles, without extent, or with coordinates that are no numbers.",
    "too_small": "The image is smaller than the network's layer takes.",
    "not_finite": "The network gives, or its vector has, values that are no finite numbers.",
    "empty_text": "There is nothing in the text but spaces, digits and punctuation.",
    "not_text": "The bytes are no UTF-8, or have NUL in them.",
    "no_vector": "The row has no vector.",
    "wrong_length": "Its vector has another number of components than the others.",
    "zero_vector": "All components of its vector are zero, and the spec asks for a direction.",
    "refused": "A link outside the allowed roots, or an archive's entry that is no file inside it: a link, a "
    "device, a name with '..'.",
    "no_coordinates": "It has no number in an attribute that is taken as a coordinate.",
    "bad_label": "The label has no place in the dataset's classes.",
    "crash": "This row ended the worker process each time it was tried.",
    "out_of_memory": "This row took more memory than its worker may have.",
    "timeout": "This row did not finish within the time a row may take.",
}
PASSING_ROW_ERRORS = frozenset({"not_found", "crash", "out_of_memory", "timeout"})
"""Codes of rows that may come out well another time, as they follow from the machine too."""


class FeaturescapeError(Exception):
    """Base of every error with a code. ``message`` says what came and what to do."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, **detail: Any) -> None:
        message = printable_lines(message)  # it may echo what a user or a file says
        super().__init__(message)
        self.message = message
        self.detail: dict[str, Any] = detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled whole: workers raise these across process borders."""
        return _rebuild, (type(self), self.message, self.detail)

    def to_json(self) -> dict[str, Any]:
        """The one JSON shape: ``{"error": {"code", "message", "detail"}}``."""
        return {"error": {"code": self.code, "message": self.message, "detail": self.detail}}


def _rebuild(
    kind: type[FeaturescapeError], message: str, detail: dict[str, Any]
) -> FeaturescapeError:
    return kind(message, **detail)


class SpecError(FeaturescapeError):
    """A field of the spec is wrong. ``detail["field"]`` names it."""

    code = "invalid_spec"
    status = 422


class UnknownNameError(SpecError):
    """A name that is not in a registry; ``detail["known"]`` lists the names there are."""

    code = "unknown_name"


class DatasetError(SpecError):
    """The dataset cannot be read: root missing, empty, not allowed, or of the wrong shape."""

    code = "dataset_error"


class LayerError(SpecError):
    """The model has no such layer; ``detail["layers"]`` lists those it has."""

    code = "unknown_layer"


class WeightsError(SpecError):
    """Weights are missing, have the wrong sha256 or do not fit the model."""

    code = "weights_error"


class InputJobError(FeaturescapeError):
    """A job named as input does not exist, is of the wrong type or did not succeed."""

    code = "input_job"
    status = 409


class ArtifactError(FeaturescapeError):
    """A committed file is missing, short or does not match its checksum."""

    code = "artifact_error"


class JobStoppedError(FeaturescapeError):
    """The job was stopped on request."""

    code = "job_stopped"
    status = 409


class JobFailedError(FeaturescapeError):
    """The job ended FAILED; the message is the job's own reason."""

    code = "job_failed"


class AllRowsFailedError(FeaturescapeError):
    """Every example came out as an error row; ``detail["row_code"]`` is the commonest of their codes."""

    code = "all_rows_failed"
    status = 422


class WorkerLostError(FeaturescapeError):
    """Worker processes died more often than a job may lose them."""

    code = "worker_lost"


class NotFoundError(FeaturescapeError):
    """No such job, artifact, file or example."""

    code = "not_found"
    status = 404


class ConflictError(FeaturescapeError):
    """The same idempotency key came with another body."""

    code = "conflict"
    status = 409


class RequestError(FeaturescapeError):
    """The request itself cannot be understood."""

    code = "bad_request"
    status = 400


class ForbiddenError(RequestError):
    """A request that changes something came from a page of another origin."""

    code = "forbidden"
    status = 403


class MethodError(RequestError):
    """The address does not take this HTTP method."""

    code = "method_not_allowed"
    status = 405


class RequestTimeoutError(RequestError):
    """The head or the body of the request did not come in time."""

    code = "request_timeout"
    status = 408


class TooLargeError(RequestError):
    """The body of the request is larger than the service takes."""

    code = "too_large"
    status = 413


class MediaTypeError(RequestError):
    """The body is not announced as what the address takes, mostly JSON."""

    code = "unsupported_media_type"
    status = 415


class RangeError(RequestError):
    """The bytes asked for lie outside the file, or are more than one range."""

    code = "range_not_satisfiable"
    status = 416


class ImageError(RequestError):
    """The uploaded bytes are no image that is read; ``detail["reason"]`` is the row error's code."""

    code = "bad_image"
    status = 422


class AuthenticationError(FeaturescapeError):
    """No token, or a wrong one."""

    code = "unauthorized"
    status = 401


class StorageFullError(FeaturescapeError):
    """Storage or job record are full, read-only or overloaded. What was asked for has changed nothing."""

    code = "storage_full"
    status = 507


class ServiceUnavailableError(FeaturescapeError):
    """No featurescape service answers at the address, or it cannot at the moment."""

    code = "service_unavailable"
    status = 503


class LiveUnavailableError(ServiceUnavailableError):
    """No network can answer the live page now: Ray is not there, all are busy, or it does not start."""

    code = "live_unavailable"


def _tree(cls: type[FeaturescapeError]) -> list[type[FeaturescapeError]]:
    return [cls, *(kind for sub in cls.__subclasses__() for kind in _tree(sub))]


def error_classes() -> dict[str, type[FeaturescapeError]]:
    """Every error class by its code."""
    return {kind.code: kind for kind in _tree(FeaturescapeError)}


def from_json(body: Any, fallback: str) -> FeaturescapeError:
    """The exception that ``to_json`` described; the base class for an unknown code."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return FeaturescapeError(fallback)
    kind = error_classes().get(str(error.get("code")), FeaturescapeError)
    detail = error.get("detail")
    return kind(str(error.get("message", fallback)), **(detail if isinstance(detail, dict) else {}))


@contextmanager
def under_field(name: str, instead: str) -> Iterator[None]:
    """Let an error that names the field ``name`` or one below it name ``instead``.

    For a spec with two parts of one kind, whose checks know only the first one's name.
    """
    try:
        yield
    except FeaturescapeError as error:
        message, field = error.message, str(error.detail.get("field", name))
        if message.startswith(name):
            message = instead + message.removeprefix(name)
        if field.partition(".")[0] == name:
            field = instead + field.removeprefix(name)
        raise type(error)(message, **{**error.detail, "field": field}) from None


class RowError(Exception):
    """One example cannot be read. ``code`` is one of `ROW_ERROR_CODES`."""

    def __init__(self, code: str, message: str) -> None:
        message = printable_lines(message)
        super().__init__(message)
        self.code = code
        self.message = message
