"""`semlink codecs`: what --codec takes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Console

from semlink.flowgraphs.specs import CodecGroup, codec_groups


def run_codecs(*, as_json: bool) -> None:
    """Print every name that --codec takes, and the forms of those that are made of parts."""
    groups = codec_groups()
    if as_json:
        told = [{"group": one.title, "form": one.form, "names": dict(one.names)} for one in groups]
        print(json.dumps(told, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    for group in groups:
        console.print(group.title, style="bold")
        for line in _lines(group):
            console.print(line)
        console.print()


def _lines(group: CodecGroup) -> Iterator[str]:
    if group.form:
        yield f"  {group.form}"
    wide = max((len(name) for name in group.names), default=0)
    for name, said in group.names.items():
        yield f"  {name:{wide}}  {said}".rstrip()
