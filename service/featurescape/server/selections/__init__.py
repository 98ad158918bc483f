"""Selections of a map: sets of its rows, asked for by a query, summed up, saved by name and exported."""

from __future__ import annotations

from featurescape.server.selections.queries import SelectionQuery, parse_selection
from featurescape.server.selections.service import Selections

__all__ = ["SelectionQuery", "Selections", "parse_selection"]
