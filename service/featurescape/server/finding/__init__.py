"""Finding examples of a map by words and by conditions on their attributes.

`finder` has the questions and the answers; `building` makes the index of a map, which is `words` (SQLite's
FTS5, and the bits of `frequent` words) and `columns` (an Arrow file); `letters` says what a word is, `language`
and `conditions` what a condition is.
"""

from __future__ import annotations

from featurescape.server.finding.asked import FindQuery as FindQuery
from featurescape.server.finding.finder import Finding as Finding
