"""What is listed of tars."""

from __future__ import annotations

from featurescape_jobs.datasets.sources.tar_index import Member, archive_in_memory, members


def listed(data: bytes) -> list[Member]:
    return list(members(archive_in_memory(data, "a.tar")))
