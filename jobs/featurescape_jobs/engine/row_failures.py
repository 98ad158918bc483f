"""The end of a job none of whose examples could be used: it FAILS with the commonest code of its error rows."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from featurescape_jobs.errors import AllRowsFailedError

_LOOKED_AT = 10_000
"""Error rows among which the first of each code is looked for."""
_NAMED_CODES = 4


def all_failed(errors: pa.Table, passed_over: str = "") -> AllRowsFailedError:
    """The error of such a job: each code with its first row, the commonest first.

    Args:
        errors: as `tables.ERRORS`; one row at least.
        passed_over: summary of what the listing passed over.
    """
    n = errors.num_rows
    codes = Counter(errors["code"].to_pylist()).most_common()
    firsts = {row["code"]: row for row in reversed(errors.slice(0, _LOOKED_AT).to_pylist())}
    said = []
    for code, count in codes[:_NAMED_CODES]:
        first = firsts.get(code)
        where = f" (first: {first['example_id'][:200]}: {first['message'][:200]})" if first else ""
        said.append(f"{count:,} {code}{where}")
    left_out = f"; {passed_over}" if passed_over else ""
    return AllRowsFailedError(
        f"none of {n:,} examples could be used: {', '.join(said)}{left_out}",
        row_code=codes[0][0],
        error_codes=dict(codes),
    )
