"""PNG streams of sparse RGB tiles: the deflate of what is not black, whatever the size of the canvas.

A tile's scanlines are runs of zeros between a few pixels. Runs of zeros become matches at distance 1, repeated
pixels matches at distance 3, all else literals; one block with Huffman codes of its own (RFC 1951), in a zlib
stream (RFC 1950) whose Adler-32 is summed over the bytes that are not zero. Scanlines have filter 0.

Memory: 4 bytes per pixel of the canvas, and at most 7 per byte of its scanlines, once per thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurescape_jobs.kernels.numba_threads import compiled

Bytes = NDArray[np.uint8]
Longs = NDArray[np.int64]

_ADLER = 65521
_END = 256
_LITERALS, _DISTANCES, _LENGTHS = 286, 30, 19
_MATCH = 512
"""Tokens below are bytes; above, 2 × length, odd for distance 3."""


def _length_codes() -> tuple[Longs, Longs, Longs]:
    """(259,) code, number of extra bits and extra bits of each match length (RFC 1951, 3.2.5)."""
    extra = [0] * 8 + [bits for bits in (1, 2, 3, 4, 5) for _ in range(4)]
    codes, bits, values = (np.zeros(259, np.int64) for _ in range(3))
    length = 3
    for number, width in enumerate(extra):
        for value in range(1 << width):
            if length < 258:
                codes[length], bits[length], values[length] = 257 + number, width, value
                length += 1
    codes[258] = 285
    return codes, bits, values


_LENGTH_CODE, _EXTRA_BITS, _EXTRA_VALUE = _length_codes()
_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)


@compiled
def _gather(code: int) -> int:
    """Every other bit of a Morton code."""
    bits = code & 0x5555555555555555
    bits = (bits | (bits >> 1)) & 0x3333333333333333
    bits = (bits | (bits >> 2)) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | (bits >> 4)) & 0x00FF00FF00FF00FF
    return (bits | (bits >> 8)) & 0xFFFF


@compiled
def _huffman(frequencies: Longs, longest: int) -> Longs:
    """Length of the code of each symbol that occurs, at most ``longest``; two symbols at least occur."""
    weights = frequencies.copy()
    lengths = np.zeros(len(weights), np.int64)
    while True:
        used = np.flatnonzero(weights)
        order = used[np.argsort(weights[used], kind="mergesort")]
        n = len(order)
        weight = np.empty(2 * n, np.int64)
        above = np.zeros(2 * n, np.int64)
        for place in range(n):
            weight[place] = weights[order[place]]
        leaf, inner = 0, n
        for node in range(n, 2 * n - 1):
            total = 0
            for _ in range(2):
                if leaf < n and (inner >= node or weight[leaf] <= weight[inner]):
                    child, leaf = leaf, leaf + 1
                else:
                    child, inner = inner, inner + 1
                total += weight[child]
                above[child] = node
            weight[node] = total
        depth = np.zeros(2 * n, np.int64)
        deepest = 0
        for node in range(2 * n - 3, -1, -1):
            depth[node] = depth[above[node]] + 1
            deepest = max(deepest, depth[node])
        if deepest <= longest:
            for place in range(n):
                lengths[order[place]] = depth[place]
            return lengths
        for symbol in used:
            weights[symbol] = (weights[symbol] + 1) // 2


@compiled
def _codes(lengths: Longs) -> Longs:
    """Canonical codes of these lengths, with their bits in the order in which they are written."""
    count = np.zeros(17, np.int64)
    for length in lengths:
        if length:
            count[length] += 1
    following = np.zeros(17, np.int64)
    code = 0
    for length in range(1, 16):
        code = (code + count[length - 1]) << 1
        following[length] = code
    codes = np.zeros(len(lengths), np.int64)
    for symbol in range(len(lengths)):
        length = lengths[symbol]
        if length:
            value = following[length]
            following[length] += 1
            turned = 0
            for _ in range(length):
                turned = (turned << 1) | (value & 1)
                value >>= 1
            codes[symbol] = turned
    return codes


@compiled
def _put(state: Longs, out: Bytes, value: int, bits: int) -> None:
    """Write some bits; the state is (bytes written, bits waiting, how many these are)."""
    held, count, at = state[1] | (value << state[2]), state[2] + bits, state[0]
    while count >= 8:
        out[at] = held & 255
        at += 1
        held >>= 8
        count -= 8
    state[0], state[1], state[2] = at, held, count


@compiled
def _zeros(tokens: NDArray[np.int32], at: int, run: int) -> int:
    """Tokens of a run of zeros."""
    if run < 4:
        for _ in range(run):
            tokens[at] = 0
            at += 1
        return at
    tokens[at] = 0
    at += 1
    run -= 1
    while run > 0:
        length = min(258, run)
        if 0 < run - length < 3:
            length = run - 3
        tokens[at] = _MATCH + 2 * length
        at += 1
        run -= length
    return at


@compiled
def _repeats(tokens: NDArray[np.int32], at: int, run: int) -> int:
    """Tokens of a pixel that is repeated ``run`` times."""
    while run > 0:
        pixels = min(86, run)
        tokens[at] = _MATCH + 2 * 3 * pixels + 1
        at += 1
        run -= pixels
    return at


@compiled
def _bytes(tokens: NDArray[np.int32], at: int, run: int, value: int) -> tuple[int, int]:
    """Tokens of a pixel behind a run of zeros; where the next one goes, and the zeros at the pixel's end."""
    for shift in (16, 8, 0):
        byte = (value >> shift) & 255
        if byte == 0:
            run += 1
            continue
        at = _zeros(tokens, at, run)
        run = 0
        tokens[at] = byte
        at += 1
    return at, run


@compiled
def _sums(row: NDArray[np.uint32], left: int) -> tuple[int, int]:
    """Sums for the Adler-32 of a scanline's pixels, before which ``left`` bytes are to come."""
    first, second = 0, 0
    for column in range(len(row)):
        value = int(row[column])
        if value:
            red, green, blue = value >> 16, (value >> 8) & 255, value & 255
            first += red + green + blue
            second += (left - 3 * column) * (red + green + blue) - green - 2 * blue
    return first, second


@compiled
def _row_tokens(
    row: NDArray[np.uint32], tokens: NDArray[np.int32], at: int, run: int
) -> tuple[int, int]:
    """Tokens of a scanline behind a run of zeros; where the next one goes, and the zeros at its end."""
    before, repeats = 0, 0
    for column in range(len(row)):
        value = int(row[column])
        if value != 0 and value == before:
            at = _zeros(tokens, at, run)
            run = 0
            repeats += 1
            continue
        at = _repeats(tokens, at, repeats)
        repeats = 0
        if value == 0:
            run += 3
        else:
            at, run = _bytes(tokens, at, run, value)
        before = value
    return _repeats(tokens, at, repeats), run


@compiled
def _tokens(
    canvas: NDArray[np.uint32], filled: NDArray[np.bool_], tokens: NDArray[np.int32]
) -> tuple[int, int]:
    """Write the tokens of the scanlines of a square canvas; how many they are, and the Adler-32."""
    side = len(filled)
    stride = 1 + 3 * side
    at, run, first, second = 0, 0, 1, side * stride % _ADLER
    for number in range(side):
        run += 1
        if not filled[number]:
            run += 3 * side
            continue
        row = canvas[number * side : (number + 1) * side]
        at, run = _row_tokens(row, tokens, at, run)
        more, weighted = _sums(row, (side - number) * stride - 1)
        first = (first + more) % _ADLER
        second = (second + weighted) % _ADLER
    return _zeros(tokens, at, run), (second << 16) | first


@compiled
def _used(lengths: Longs, least: int) -> int:
    """Symbols that are listed: up to the last that occurs, ``least`` at least."""
    n = len(lengths)
    while n > least and lengths[n - 1] == 0:
        n -= 1
    return n


@compiled
def _run_lengths(lengths: Longs, symbols: Longs, extras: Longs) -> int:
    """Write the symbols of a list of lengths, runs of zeros as one, and their extra values; how many there are."""
    n, at = 0, 0
    while at < len(lengths):
        end = at
        while end < len(lengths) and lengths[end] == lengths[at]:
            end += 1
        run = end - at
        if lengths[at] == 0 and run >= 3:
            run = min(run, 138)
            symbols[n] = 17 if run < 11 else 18
            extras[n] = run - 3 if run < 11 else run - 11
        else:
            symbols[n] = lengths[at]
            run = 1
        n += 1
        at += run
    return n


@compiled
def _header(literals: Longs, distances: Longs, state: Longs, out: Bytes) -> None:
    """The lengths of both codes, themselves coded with a third code."""
    n_literals, n_distances = _used(literals, 257), _used(distances, 1)
    lengths = np.concatenate((literals[:n_literals], distances[:n_distances]))
    symbols, extras = np.empty(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    n = _run_lengths(lengths, symbols, extras)
    frequencies = np.zeros(_LENGTHS, np.int64)
    for place in range(n):
        frequencies[symbols[place]] += 1
    own = _huffman(frequencies, 7)
    codes = _codes(own)
    n_own = _used(own[_ORDER], 4)
    _put(state, out, n_literals - 257, 5)
    _put(state, out, n_distances - 1, 5)
    _put(state, out, n_own - 4, 4)
    for place in range(n_own):
        _put(state, out, own[_ORDER[place]], 3)
    for place in range(n):
        symbol = symbols[place]
        _put(state, out, codes[symbol], own[symbol])
        if symbol >= 17:
            _put(state, out, extras[place], 3 if symbol == 17 else 7)


@compiled
def _frequencies(tokens: NDArray[np.int32]) -> tuple[Longs, Longs]:
    """Frequencies of literals and lengths, and a 1 for each distance that occurs."""
    frequencies = np.zeros(_LITERALS, np.int64)
    distances = np.zeros(_DISTANCES, np.int64)
    frequencies[_END] = 1
    for token in tokens:
        if token < _MATCH:
            frequencies[token] += 1
        else:
            frequencies[_LENGTH_CODE[(token - _MATCH) >> 1]] += 1
            distances[2 * (token & 1)] = 1
    if not (distances[0] or distances[2]):
        distances[0] = 1
    return frequencies, distances


@compiled
def _code_of(token: int, codes: Longs, lengths: Longs, distance_codes: Longs) -> tuple[int, int]:
    """The bits of a token, and how many they are."""
    if token < _MATCH:
        return codes[token], lengths[token]
    length = (token - _MATCH) >> 1
    symbol = _LENGTH_CODE[length]
    value, bits = codes[symbol], lengths[symbol]
    value |= _EXTRA_VALUE[length] << bits
    bits += _EXTRA_BITS[length]
    return value | (distance_codes[2 * (token & 1)] << bits), bits + 1


@compiled
def _deflate(tokens: NDArray[np.int32], checksum: int, out: Bytes) -> int:
    """Write the zlib stream of some tokens; its length."""
    frequencies, distances = _frequencies(tokens)
    lengths = _huffman(frequencies, 15)
    codes, distance_codes = _codes(lengths), _codes(distances)
    out[0], out[1] = 0x78, 0x01
    state = np.array([2, 0, 0], np.int64)
    _put(state, out, 5, 3)  # the last block, with codes of its own
    _header(lengths, distances, state, out)
    at, held, waiting = state[0], np.uint64(state[1]), np.uint64(state[2])
    for token in tokens:
        value, bits = _code_of(token, codes, lengths, distance_codes)
        held |= np.uint64(value) << waiting
        waiting += np.uint64(bits)
        if waiting >= np.uint64(32):
            for place in range(4):
                out[at + place] = held >> np.uint64(8 * place)
            at += 4
            held >>= np.uint64(32)
            waiting -= np.uint64(32)
    state[0], state[1], state[2] = at, np.int64(held), np.int64(waiting)
    _put(state, out, codes[_END], lengths[_END])
    _put(state, out, 0, (8 - state[2]) % 8)
    at = int(state[0])
    for place in range(4):
        out[at + place] = (checksum >> (24 - 8 * place)) & 255
    return at + 4


@compiled
def _stream(canvas: NDArray[np.uint32], filled: NDArray[np.bool_], pixels: int) -> Bytes:
    """The zlib stream of the scanlines of a square canvas."""
    side = len(filled)
    total = side * (1 + 3 * side)
    tokens = np.empty(min(18 * pixels + total // 258 + 16, total + 16), np.int32)
    n, checksum = _tokens(canvas, filled, tokens)
    out = np.empty(3 * n + 1024, np.uint8)
    return out[: _deflate(tokens[:n], checksum, out)].copy()


@compiled
def tile_streams(
    codes: NDArray[np.uint64], rgb: Bytes, starts: Longs, ends: Longs, side: int
) -> tuple[Bytes, Longs]:
    """Streams of several tiles, one after the other, and the end of each.

    Args:
        codes: (P,) Morton codes of pixels, of which the lower bits are the place in a tile.
        rgb: (P, 3) their values.
        starts, ends: (T,) which of the pixels lie in each tile.
        side: of a tile in pixels, a power of two.
    """
    canvas = np.zeros(side * side, np.uint32)
    filled = np.zeros(side, np.bool_)
    inside = side * side - 1
    held = np.empty(1 << 16, np.uint8)
    stops = np.empty(len(starts), np.int64)
    size = 0
    for tile in range(len(starts)):
        for place in range(starts[tile], ends[tile]):
            code = int(codes[place]) & inside
            row, column = _gather(code >> 1), _gather(code)
            value = (np.uint32(rgb[place, 0]) << 16) | (np.uint32(rgb[place, 1]) << 8)
            canvas[row * side + column] = value | np.uint32(rgb[place, 2])
            filled[row] = True
        stream = _stream(canvas, filled, ends[tile] - starts[tile])
        while size + len(stream) > len(held):
            more = np.empty(2 * len(held), np.uint8)
            more[:size] = held[:size]
            held = more
        held[size : size + len(stream)] = stream
        size += len(stream)
        stops[tile] = size
        for row in range(side):
            if filled[row]:
                canvas[row * side : (row + 1) * side] = 0
                filled[row] = False
    return held[:size], stops
