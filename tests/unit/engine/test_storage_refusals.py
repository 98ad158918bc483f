"""Which failures of a storage are waited for, by errno and by what S3 stores answer over HTTP."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from featurescape_jobs.engine.storage import Storage
from featurescape_jobs.engine.storage_pause import MAX_FAILURES, StoragePause
from featurescape_jobs.engine.storage_refusals import FULL, Refusal, refusal, refusal_called


class RefusingStore(ThreadingHTTPServer):
    """An S3 store that answers every request with one error."""

    status, code = 500, "InternalError"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        assert isinstance(self.server, RefusingStore)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = f"<Error><Code>{self.server.code}</Code><Message>not now</Message></Error>"
        body = b"" if self.command == "HEAD" else said.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_GET = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[RefusingStore]:
    server = RefusingStore(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (503, "SlowDown", "overloaded"),
        (503, "ServiceUnavailable", "overloaded"),
        (429, "TooManyRequests", "overloaded"),
        (507, "InsufficientStorage", "full"),
        (507, "XMinioStorageFull", "full"),
        (507, "AnyOtherName", "full"),
        (403, "QuotaExceeded", "over its quota"),
        (400, "XMinioAdminBucketQuotaExceeded", "over its quota"),
        (403, "AccessDenied", None),
        (404, "NoSuchBucket", None),
        (400, "MalformedXML", None),
    ],
)
def test_what_an_s3_store_answers(
    store: RefusingStore, status: int, code: str, word: str | None
) -> None:
    """The key has a telling name; what the store says counts alone."""
    store.status, store.code = status, code
    with pytest.raises(OSError, match="AWS Error") as caught:
        Storage("s3://maps/prefix").write("jobs/QuotaExceeded", b"x")
    found = refusal(caught.value)
    assert (found.word if found else None) == word


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "full"),
        (errno.EFBIG, "full"),
        (errno.EDQUOT, "over its quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, None),
        (errno.EACCES, None),
        (errno.ETIMEDOUT, None),
    ],
)
def test_what_a_file_system_answers(number: int, word: str | None) -> None:
    found = refusal(OSError(number, "as the system says"))
    assert (found.word if found else None) == word


def test_other_exceptions_are_no_refusals() -> None:
    said = "AWS Error SLOW_DOWN during PutObject operation: not now"
    assert refusal(OSError(said)) is not None
    assert refusal(ValueError(said)) is None
    assert refusal(OSError("SLOW_DOWN")) is None


def test_a_word_of_another_version_counts_as_full() -> None:
    assert refusal_called("read-only").goes_on == "the job goes on when it can be written to"
    assert refusal_called("asleep") is FULL
    assert refusal_called(None) is FULL


class Pause:
    """A pause whose storage and clock are the test's."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.storage, self.now = Storage(str(tmp_path)), 0.0
        self.fails: OSError | None = None
        self.said: list[str] = []
        write = self.storage.write

        def probed(path: str, data: bytes) -> object:
            if self.fails is not None:
                raise self.fails
            return write(path, data)

        monkeypatch.setattr(self.storage, "write", probed)
        monkeypatch.setattr(
            "featurescape_jobs.engine.storage_pause.time.monotonic", lambda: self.now
        )
        self.pause = StoragePause(self.storage, "work", self.said.append)

    def is_on_later(self) -> bool:
        self.now += 6.0
        return self.pause.is_on


@pytest.fixture
def paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pause:
    return Pause(tmp_path, monkeypatch)


def _raised(number: int) -> Callable[[], OSError]:
    return lambda: OSError(number, "as the system says")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_refusal_is_waited_for_as_long_as_it_lasts(paused: Pause, number: int) -> None:
    paused.fails = _raised(number)()
    why = refusal(paused.fails)
    assert isinstance(why, Refusal)
    paused.pause.begin(paused.fails)
    for _ in range(10 * MAX_FAILURES):
        assert paused.is_on_later()
        assert paused.pause.message == f"storage {why.word}: the job goes on when {why.until}"
    paused.fails = None
    assert not paused.is_on_later()
    assert paused.pause.message == ""


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_what_fails_although_a_file_can_be_written_is_tried_ten_times(
    paused: Pause, number: int
) -> None:
    """Of EROFS: it is another place that is read-only, and waiting mends nothing."""
    for _ in range(MAX_FAILURES):
        paused.pause.begin(_raised(number)())
        assert not paused.is_on_later()
    with pytest.raises(OSError, match="as the system says"):
        paused.pause.begin(_raised(number)())


def test_the_failures_of_many_workers_at_once_are_one(paused: Pause) -> None:
    for _ in range(5 * MAX_FAILURES):
        paused.pause.begin(_raised(errno.EIO)())
    assert not paused.is_on_later()


def test_a_storage_that_does_not_answer_is_given_up(paused: Pause) -> None:
    paused.fails = _raised(errno.EIO)()
    paused.pause.begin(paused.fails)
    assert all(paused.is_on_later() for _ in range(MAX_FAILURES - 1))
    with pytest.raises(OSError, match="as the system says"):
        paused.is_on_later()
