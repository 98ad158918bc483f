"""Counts per pixel and class, as sorted codes: of points, of the level above, and the most frequent class.

A code is the Morton code of a pixel, shifted left by 16, with the class in the low bits: the parent of a pixel is
its Morton code shifted right by two, so the entries of four neighbors lie together, each ascending by class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.kernels.numba_threads import Span, compiled

Codes = NDArray[np.uint64]
Counts = NDArray[np.uint32]
_FEW = 24
"""Entries of four neighbors that are sorted by insertion."""


@compiled
def _spread(value: int) -> int:
    """The bits of a number below 2^32, with a zero before each."""
    bits = (value | (value << 16)) & 0x0000FFFF0000FFFF
    bits = (bits | (bits << 8)) & 0x00FF00FF00FF00FF
    bits = (bits | (bits << 4)) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | (bits << 2)) & 0x3333333333333333
    return (bits | (bits << 1)) & 0x5555555555555555


@compiled
def point_codes(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    classes: NDArray[np.uint16],
    side: int,
    codes: Codes,
) -> None:
    """Write the codes of points: pixels are half-open, floor(coordinate × side)."""
    for point in range(len(codes)):
        column, row = int(np.float64(x[point]) * side), int(np.float64(y[point]) * side)
        pixel = _spread(column) | (_spread(row) << 1)
        codes[point] = (pixel << 16) | int(classes[point])


@compiled
def merge_counts(first: Codes, second: Codes) -> tuple[Codes, Counts]:
    """Two ascending lists of codes as one, each code once, with how often it is in both."""
    codes = np.empty(len(first) + len(second), np.uint64)
    counts = np.empty(len(codes), np.uint32)
    a, b, n = 0, 0, 0
    while a < len(first) or b < len(second):
        takes_first = b >= len(second) or (a < len(first) and first[a] <= second[b])
        code = first[a] if takes_first else second[b]
        count = 0
        while a < len(first) and first[a] == code:
            a += 1
            count += 1
        while b < len(second) and second[b] == code:
            b += 1
            count += 1
        codes[n] = code
        counts[n] = count
        n += 1
    return codes[:n].copy(), counts[:n].copy()


@compiled
def _merge_runs(codes: Codes, counts: Counts, span: Span, out: tuple[Codes, Counts], n: int) -> int:
    """Sum the entries of up to four neighbors, each ascending by class, by merging; where the next entry goes."""
    above, sums = out
    heads, ends = np.empty(4, np.int64), np.empty(4, np.int64)
    parts = 0
    for at in range(span.start, span.stop):
        if at == span.start or codes[at] >> np.uint64(16) != codes[at - 1] >> np.uint64(16):
            heads[parts] = at
            parts += 1
        ends[parts - 1] = at + 1
    base = (codes[span.start] >> np.uint64(18)) << np.uint64(16)
    left = span.stop - span.start
    while left:
        smallest = np.uint64(1 << 16)
        for part in range(parts):
            if heads[part] < ends[part]:
                smallest = min(smallest, codes[heads[part]] & np.uint64(0xFFFF))
        total = np.uint32(0)
        for part in range(parts):
            head = heads[part]
            if head < ends[part] and codes[head] & np.uint64(0xFFFF) == smallest:
                total += counts[head]
                heads[part] += 1
                left -= 1
        above[n] = base | smallest
        sums[n] = total
        n += 1
    return n


@compiled
def parent_counts(codes: Codes, counts: Counts) -> tuple[Codes, Counts]:
    """The next coarser level: sums of four neighbors, per class."""
    above = np.empty(len(codes), np.uint64)
    sums = np.empty(len(codes), np.uint32)
    start, n = 0, 0
    while start < len(codes):
        parent = codes[start] >> np.uint64(18)
        at = start + 1
        while at < len(codes) and codes[at] >> np.uint64(18) == parent:
            at += 1
        if at - start > _FEW:
            n = _merge_runs(codes, counts, Span(0, start, at), (above, sums), n)
            start = at
            continue
        first, base = n, parent << np.uint64(16)
        for entry in range(start, at):
            code = base | (codes[entry] & np.uint64(0xFFFF))
            place = n
            while place > first and above[place - 1] > code:
                place -= 1
            if place > first and above[place - 1] == code:
                sums[place - 1] += counts[entry]
                continue
            for moved in range(n, place, -1):
                above[moved] = above[moved - 1]
                sums[moved] = sums[moved - 1]
            above[place] = code
            sums[place] = counts[entry]
            n += 1
        start = at
    return above[:n].copy(), sums[:n].copy()


@compiled
def largest_of_pixels(
    codes: Codes, counts: Counts
) -> tuple[Codes, Counts, NDArray[np.uint16], Counts]:
    """Per occupied pixel: its code, count, most frequent class (the first of equals) and that class's count."""
    pixels = np.empty(len(codes), np.uint64)
    totals, tops = np.empty(len(codes), np.uint32), np.empty(len(codes), np.uint32)
    classes = np.empty(len(codes), np.uint16)
    n = -1
    for place in range(len(codes)):
        pixel = codes[place] >> np.uint64(16)
        if n < 0 or pixel != pixels[n]:
            n += 1
            pixels[n] = pixel
            totals[n] = 0
            tops[n] = 0
        totals[n] += counts[place]
        if counts[place] > tops[n]:
            tops[n] = counts[place]
            classes[n] = codes[place] & np.uint64(0xFFFF)
    n += 1
    return pixels[:n], totals[:n], classes[:n], tops[:n]
