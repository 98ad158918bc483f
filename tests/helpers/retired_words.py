"""Words that the code does not use, and the field's terms in their place.

A word may be banned wherever it is a name (`ANYWHERE`), or only where a class, function, parameter or field has
it (`DEFINED`), because it is also a common word of English or a name of another library's.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
LIBRARY = "jobs/featurescape_jobs/"
FOLDERS = ("benchmarks", "deploy", "docs", "examples", "jobs", "service", "tests")
SUFFIXES = {".css", ".html", ".md", ".py", ".toml", ".ts"}
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_ABOUT_WORDS = {"tests/helpers/retired_words.py", "tests/unit/repository/test_words.py"}
_NOT_OURS = {"node_modules", "static", "__pycache__", ".mypy_cache", ".ruff_cache"}

ANYWHERE = {
    "Alone": "SingleProcess",
    "asked_for": "select_examples",
    "Captioned": "CaptionedExamples",
    "Desk": "ShardOutput",
    "Explained": "AttributionInputs",
    "Fitting": "TrainingLoop",
    "glances": "per_iteration_callbacks",
    "Hoisted": "PrecomputedWeights",
    "Lesson": "Task",
    "look_at": "load_image",
    "Looked": "WeightsAndContexts",
    "Looks": "BatchedAttention",
    "Maker": "FeatureVisualizer",
    "needs_rectifiers": "needs_relus",
    "Preferred": "Visualizations",
    "prevailing": "majority_class",
    "seen_otherwise": "augment",
    "Tagging": "WordDetectorTask",
    "Team": "ProcessGroup",
    "Telling": "CaptionTask",
    "Together": "DistributedProcess",
    "Told": "DecoderOutput",
    "whole_left_out": "global_dropout",
    "why_not": "unsupported_reason",
}
"""The names that are gone, without leading underscores."""


class Retired(NamedTuple):
    """A name that nothing is called any more in a part of the code."""

    term: str
    """The field's."""
    where: str = LIBRARY


DEFINED = {
    "after": Retired("padding_bottom_right", LIBRARY + "kernels/"),
    "ask": Retired("evidence_gate", LIBRARY + "models/"),
    "before": Retired("padding_top_left", LIBRARY + "kernels/"),
    "begin": Retired("init_state", LIBRARY + "models/"),
    "cut": Retired("batched, truncated"),
    "deviation": Retired("std"),
    "Drawn": Retired("LayerSummary"),
    "even": Retired("with_symmetric_padding"),
    "falling": Retired("warmup_cosine"),
    "given": Retired("the noun that it is", LIBRARY + "rnn_analysis/"),
    "grown": Retired("grad_output"),
    "how": Retired("hyperparameters"),
    "Kept": Retired("CachedTensor, LRUCache"),
    "laid_out": Retired("channels_last", LIBRARY + "kernels/"),
    "learn": Retired("train_decoder"),
    "left_out": Retired("dropout", LIBRARY + "trainers/"),
    "Look": Retired("transform, PreparedImage"),
    "Measured": Retired("BatchLoss, MeasuredMode"),
    "Memory": Retired("DecoderStates"),
    "numbers": Retired("indices", LIBRARY + "trainers/loop.py"),
    "Numbers": Retired("Indices"),
    "Piece": Retired("Chunk"),
    "place": Retired("transform", LIBRARY + "layouts/"),
    "placed": Retired("resolved", LIBRARY + "specs/"),
    "replay": Retired("forced_decode"),
    "screen": Retired("linear_to_srgb", LIBRARY + "rendering/"),
    "see": Retired("encode, cache_encoder_outputs"),
    "seen": Retired("open_cache, denormalized"),
    "Seen": Retired("EncodedImage"),
    "settle": Retired("agree"),
    "shorten": Retired("shortcut"),
    "spread": Retired("evenly_subsample", LIBRARY + "datasets/"),
    "Steps": Retired("IncrementalDecoder", LIBRARY + "sequences/"),
    "sums": Retired("all_reduce_sum", LIBRARY + "trainers/"),
    "tell": Retired("output_logits", LIBRARY + "models/"),
    "tune": Retired("finetune_encoder"),
    "turned": Retired("flipped, rotated"),
    "weigh": Retired("word_evidence, getsizeof"),
    "Whole": Retired("BatchSize"),
}
"""Names, without leading underscores."""

PARTICIPLES = {"_drawn", "_explained", "_finished", "_kept", "_said", "_taken"}
"""Functions whose name does not say what is drawn, kept or said."""

PICTURE = re.compile(r"picture", re.IGNORECASE)
"""The data type is an image: in specs, columns, code, pages and texts."""
PICTURES_ALLOWED = {
    "~/Pictures": "the folder of a user",
    '"Pictures"': "the folder of a user",
    "`picture` is `image`": "the changelog says what changed",
    "| picture |": "the glossary says what is not used",
}


class Found(NamedTuple):
    """A word that is used again."""

    file: str
    line: int
    word: str


def files() -> Iterator[tuple[str, str]]:
    """All texts of the project below `FOLDERS` and at the top, by path, but for those about words."""
    below = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    for path in sorted([*ROOT.glob("*"), *below]):
        parts = path.relative_to(ROOT).parts
        if path.suffix not in SUFFIXES or _NOT_OURS & {*parts} or not path.is_file():
            continue
        if (name := "/".join(parts)) not in _ABOUT_WORDS:
            yield name, path.read_text("utf-8")


def retired(file: str, text: str) -> Iterator[Found]:
    """The retired words of a file: in its path, its names and, of images, in all of its text."""
    if PICTURE.search(file):
        yield Found(file, 0, "picture")
    for number, line in enumerate(text.splitlines(), 1):
        for allowed in PICTURES_ALLOWED:
            line = line.replace(allowed, "")
        if PICTURE.search(line):
            yield Found(file, number, "picture")
    if file.endswith(".py"):
        yield from _names(file, text)
        yield from _definitions(file, text)


def _names(file: str, text: str) -> Iterator[Found]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string.lstrip("_") in ANYWHERE:
            yield Found(file, token.start[0], token.string)


def _definitions(file: str, text: str) -> Iterator[Found]:
    for node in ast.walk(ast.parse(text)):
        for name in _defined(node):
            entry = DEFINED.get(name.lstrip("_"))
            is_gone = entry is not None and file.startswith(entry.where)
            if is_gone or (isinstance(node, _FUNCTION) and name in PARTICIPLES):
                yield Found(file, getattr(node, "lineno", 0), name)


def _defined(node: ast.AST) -> Iterator[str]:
    """What a node gives a name to: a class, a function, its parameters, a field, an attribute of ``self``."""
    match node:
        case ast.ClassDef():
            yield node.name
            for statement in node.body:
                match statement:
                    case ast.AnnAssign(target=ast.Name(id=name)):
                        yield name
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name
        case ast.arg():
            yield node.arg
        case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
            yield node.attr
