"""Typed options of `Client.map`: ``python docs/option_types.py`` writes `featurescape.map_options` from the specs.

An editor completes the fields, a type checker knows their names and values, and there is no second list of them
to keep: a test compares the module with what would be written.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from featurescape import map_request
from featurescape_jobs.specs import JOB_SPECS, BaseJobSpec, Spec

TARGET = Path(map_request.__file__).with_name("map_options.py")
_HEADER = '''"""Options of the jobs of a map, as `Client.map` takes them; by ``python docs/option_types.py``.

Each is a dict: ``EmbeddingOptions(metric="cosine")`` and ``{"metric": "cosine"}`` are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict
'''


def render() -> str:
    """The module as the specs have it now."""
    nested: dict[str, type[Spec]] = {}
    groups = [
        _typed_dict(f"{group.title()}Options", _own(group), f"Options of the {group} job.", nested)
        for group in map_request.GROUPS
    ]
    parts = list[str]()
    while nested:
        name, spec = nested.popitem()
        parts.insert(0, _typed_dict(name, spec.model_fields, spec.__doc__ or name, nested))
    text = "\n\n".join([_HEADER, *dict.fromkeys(parts), *groups])
    return _ruff(_ruff(text, "check", "--fix", "--quiet", "--select", "F401"), "format")


def _ruff(text: str, *command: str) -> str:
    options = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(options, input=text, capture_output=True, text=True, check=True).stdout


def _own(group: str) -> dict[str, FieldInfo]:
    """Fields of a job's spec but those that the map supplies: its own, then those of every job."""
    fields, common = JOB_SPECS[group].model_fields, BaseJobSpec.model_fields
    own = [name for name in fields if name not in (*common, *map_request.SUPPLIED[group])]
    return {name: fields[name] for name in (*own, *common) if name != "job"}


def _typed_dict(
    name: str, fields: dict[str, FieldInfo], about: str, nested: dict[str, type[Spec]]
) -> str:
    lines = [f"class {name}(TypedDict, total=False):", *_comment(about), ""]
    for field, info in fields.items():
        kind = _type(info.rebuild_annotation(), nested)
        lines.append(f"    {field}: {f'Required[{kind}]' if info.is_required() else kind}")
        lines += _comment(info.description or "")
    return "\n".join(lines) + "\n"


def _comment(about: str) -> list[str]:
    said = about.replace("\\", "\\\\").strip().split("\n\n")[0]
    indent = {"initial_indent": "    ", "subsequent_indent": "    "}
    return textwrap.wrap(f'"""{said}"""', 100, **indent) if said else []


def _type(kind: Any, nested: dict[str, type[Spec]]) -> str:
    """A field's type in Python; specs within it are noted for types of their own."""
    return " | ".join(dict.fromkeys(_members(kind, nested)))


def _members(kind: Any, nested: dict[str, type[Spec]]) -> Iterator[str]:
    """The members of a union, one after the other."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if any(_takes_one(each) for each in arguments[1:]):
            yield "str"
        yield from _members(arguments[0], nested)
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from _members(argument, nested)
    elif origin is Literal:
        said = (json.dumps(each) if isinstance(each, str) else repr(each) for each in arguments)
        yield f"Literal[{', '.join(said)}]"
    elif origin is tuple:
        kinds = {_type(each, nested) for each in arguments if each is not ...}
        yield f"Sequence[{' | '.join(sorted(kinds))}]"
    elif origin is dict:
        yield f"Mapping[{', '.join(_type(each, nested) for each in arguments)}]"
    elif isinstance(kind, type) and issubclass(kind, Spec):
        name = f"{kind.__name__.removesuffix('Spec')}Options"
        nested[name] = kind
        yield name
    else:
        yield "None" if kind is NoneType else getattr(kind, "__name__", "Any")


def _takes_one(metadata: Any) -> bool:
    """True of the validator that makes a list of a single name."""
    return isinstance(metadata, BeforeValidator) and "one_or_more" in getattr(
        metadata.func, "__name__", ""
    )


if __name__ == "__main__":
    TARGET.write_text(render())
    print(f"wrote {TARGET}")
