"""State of a job as the service said it last: what `Job` and `AsyncJob` know without asking."""

from __future__ import annotations

from typing import Any, cast

from featurescape import notebook
from featurescape_jobs.artifacts import TERMINAL, Manifest, Progress, Status
from featurescape_jobs.errors import FeaturescapeError, from_json


class JobState:
    """A submitted job. ``status`` and the like are what the service said last: see `refresh`."""

    def __init__(self, url: str, state: dict[str, Any]) -> None:
        self._url = url
        self._state = state
        self._found: Manifest | None = None
        """The manifest, where it was read."""

    @property
    def id(self) -> str:
        return str(self._state["id"])

    @property
    def job(self) -> str:
        """The job type: training, features, embedding, tiles."""
        return str(self._state["job"])

    @property
    def title(self) -> str | None:
        return cast("str | None", self._state["title"])

    @property
    def status(self) -> Status:
        """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED, when the service was asked last."""
        return cast(Status, self._state["status"])

    @property
    def ended(self) -> bool:
        """True if the status is final."""
        return self.status in TERMINAL

    @property
    def spec(self) -> dict[str, Any]:
        return dict(self._state["spec"])

    @property
    def inputs(self) -> dict[str, str]:
        """Field of the spec → id of the job it names."""
        return dict(self._state["inputs"])

    @property
    def progress(self) -> Progress | None:
        """Progress of the job; None before its first sign of life."""
        found = self._state["progress"]
        return None if found is None else Progress.model_validate(found)

    @property
    def rows(self) -> int | None:
        """Examples in the output; None until it SUCCEEDED."""
        return cast("int | None", self._state["rows"])

    @property
    def error_rows(self) -> int | None:
        """Examples that could not be read; `errors` lists them. None until it SUCCEEDED."""
        return cast("int | None", self._state["error_rows"])

    @property
    def reused_from(self) -> str | None:
        """The earlier job whose artifact this is, of the same spec, input and code; None: its own."""
        return cast("str | None", self._state.get("reused_from"))

    @property
    def reason(self) -> FeaturescapeError | None:
        """Reason for which it FAILED or was STOPPED, as the exception it would be; None otherwise."""
        found = self._state["reason"]
        return None if found is None else from_json({"error": found}, "unknown")

    @property
    def state(self) -> dict[str, Any]:
        """All that the service said last, as in its JSON."""
        return dict(self._state)

    @property
    def url(self) -> str:
        """The job's page in the viewer."""
        return f"{self._url}/jobs/{self.id}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        return notebook.job_html(self._state, self.url)
