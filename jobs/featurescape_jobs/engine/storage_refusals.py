"""Storages that take no writes for now, known by errno and by what S3 stores answer.

Who cannot write for one of these reasons waits and goes on; nobody is to blame, and nothing else can be done.
Drivers wait in place (`featurescape_jobs.engine.storage_pause`); the service starts attempts again that ended by
it, and refuses with 507. The table below is all that tells these errors from others.

Sources: errno(3); Amazon S3's error responses; the names that Ceph, MinIO and SeaweedFS answer with; pyarrow's
words for them ("AWS Error NAME during …", "AWS Error UNKNOWN (HTTP status …) … ExceptionName: NAME").
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Reason for which a storage takes no writes."""

    word: str
    """As in "the storage is full"."""
    until: str
    """As in "the job goes on when there is room"."""
    is_total: bool = False
    """Whether no write succeeds meanwhile, however small: then one that does shows that it is over."""

    @property
    def message(self) -> str:
        """Message of a job that waits."""
        return f"storage {self.word}: {self.goes_on}"

    @property
    def goes_on(self) -> str:
        """The end of the message alone."""
        return f"the job goes on when {self.until}"


FULL = Refusal("full", "there is room")
QUOTA = Refusal("over its quota", "there is room")
READ_ONLY = Refusal("read-only", "it can be written to", is_total=True)
BUSY = Refusal("overloaded", "it takes writes again")

_BY_ERRNO = {
    errno.ENOSPC: FULL,
    errno.EFBIG: FULL,
    errno.EDQUOT: QUOTA,
    errno.EROFS: READ_ONLY,
}
_BY_NAME = {
    "InsufficientStorage": FULL,
    "XMinioStorageFull": FULL,
    "QuotaExceeded": QUOTA,
    "XMinioAdminBucketQuotaExceeded": QUOTA,
    "SLOW_DOWN": BUSY,
    "SERVICE_UNAVAILABLE": BUSY,
    "THROTTLING": BUSY,
    "TooManyRequests": BUSY,
}
_BY_STATUS = {"429": BUSY, "503": BUSY, "507": FULL}
_S3 = re.compile(
    r"AWS Error (?P<kind>[A-Z_0-9]+)(?: \(HTTP status (?P<status>\d+)\))? during \w+ operation: "
    r"(?:Unable to parse ExceptionName: (?P<name>\w+) )?"
)


def refusal(error: BaseException) -> Refusal | None:
    """Reason for which the storage took no write; None: another one, which waiting may not mend."""
    if not isinstance(error, OSError):
        return None
    if error.errno is not None:
        return _BY_ERRNO.get(error.errno)
    said = _S3.search(str(error))
    if said is None:
        return None
    by_name = _BY_NAME.get(said["name"] or said["kind"])
    return by_name or _BY_STATUS.get(said["status"] or "")


def refusal_called(word: object) -> Refusal:
    """The refusal with that word, `FULL` where none has it: of records of another version."""
    known = (*_BY_ERRNO.values(), *_BY_NAME.values())
    return next((one for one in known if one.word == word), FULL)
