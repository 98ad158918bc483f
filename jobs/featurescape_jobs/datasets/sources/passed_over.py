"""Files below a dataset's root that are no examples, and columns of its tables that are no attributes, counted by
reason so that none vanishes in silence.

A reason is a noun phrase with its article, as `images.signatures` names a kind of file ("a HEIC image"), and,
behind a colon, what can be done. Holds `MAX_REASONS` reasons with `MAX_NAMES` names each, whatever is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from featurescape_jobs.artifacts import PassedOverFiles, PassedOverReason
from featurescape_jobs.datasets.sources.names import text

MAX_NAMES = 5
MAX_REASONS = 50
_MAX_NAME_CHARACTERS = 200
_MAX_REASON_CHARACTERS = 120

HIDDEN_FILE = "a hidden file"
HIDDEN_FOLDER = "a hidden folder"
SYSTEM_FILE = "a system file"
SYSTEM_FOLDER = "a system folder"
SPECIAL_FILE = "a pipe, socket or device"
OTHER_REASON = "a file of another kind"
NESTED_COLUMN = "a column of lists, records or bytes: such values are no attributes"

SYSTEM_FOLDERS = frozenset({
    "@eadir", "@tmp", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "lost+found",
    "system volume information", ".trashes", ".trash-1000", ".spotlight-v100", ".fseventsd",
    ".thumbnails",
})  # fmt: skip
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".directory"})
"""What file managers, disk stations and archivers leave beside people's files; in lower case."""
_APPLE_DOUBLE = "._"


def exclusion_reason(name: str, is_folder: bool) -> str | None:
    """Reason for which a file or folder is left out by its name alone; None where it is not."""
    lower = name.lower()
    if lower in (SYSTEM_FOLDERS if is_folder else SYSTEM_FILES):
        return SYSTEM_FOLDER if is_folder else SYSTEM_FILE
    if not name.startswith("."):
        return None
    if name.startswith(_APPLE_DOUBLE) and not is_folder:
        return SYSTEM_FILE
    return HIDDEN_FOLDER if is_folder else HIDDEN_FILE


@dataclass
class PassedOver:
    """Counts by reason, with the first names of each."""

    _counts: dict[str, int] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """Number of files passed over; a folder that is not entered counts once."""
        return sum(self._counts.values())

    def add(self, reason: str, name: str) -> None:
        """Count a file or folder; ``name`` is its path below the root, in any bytes. Or a column, by its name."""
        self._count(reason, 1, [name])

    def merge(self, other: PassedOver) -> None:
        """Count all that ``other`` has counted."""
        for reason, count in other._counts.items():
            self._count(reason, count, other._names[reason])

    def _count(self, reason: str, count: int, names: list[str]) -> None:
        reason = reason[:_MAX_REASON_CHARACTERS]
        if reason not in self._counts and len(self._counts) >= MAX_REASONS - 1:
            reason = OTHER_REASON
        self._counts[reason] = self._counts.get(reason, 0) + count
        known = self._names.setdefault(reason, [])
        known.extend(_shortened(name) for name in names[: MAX_NAMES - len(known)])

    def record(self) -> PassedOverFiles:
        """The counts as the manifest has them: the commonest reason first, else in the order of the words."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return PassedOverFiles(
            files=self.files,
            reasons=[
                PassedOverReason(reason=reason, count=count, names=self._names[reason])
                for reason, count in ordered
            ],
        )

    @classmethod
    def from_record(cls, record: PassedOverFiles) -> PassedOver:
        """Counts that `record` gave."""
        found = cls()
        for each in record.reasons:
            found._count(each.reason, each.count, each.names)
        return found


def _shortened(name: str) -> str:
    """Printable, and of a long path the end, which tells more than its start."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text(name))
    over = len(shown) > _MAX_NAME_CHARACTERS
    return f"…{shown[1 - _MAX_NAME_CHARACTERS :]}" if over else shown
