"""What `pointsman models add` says: what was understood of a model, and what to do next."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.cli.output import print_table
from gateway.execution.checking.steps import Step
from router.spec.spec import ArmRef
from runtimes.manifest import Manifest, TensorSpec

_COLUMNS_SHOWN = 6


class Published(NamedTuple):
    """A version that was checked and, unless `is_dry`, published. `aliases` has the version that each named before."""

    ref: ArmRef
    manifest: Manifest
    steps: Sequence[Step]
    remarks: Sequence[str]
    aliases: Mapping[str, str | None]
    registry: str
    is_dry: bool
    is_new: bool

    def detail_of(self, step: str) -> str:
        """Return what a step found, or an empty text."""
        return next((each.detail for each in self.steps if each.step == step), "")


def understood_lines(published: Published) -> list[str]:
    """Return what was understood, a line for each fact."""
    manifest = published.manifest
    files = "" if not manifest.files else f" and {len(manifest.files)} more"
    lines = [
        f"{published.ref} is a model of the kind {manifest.runtime}: {manifest.file}{files}.",
        *(f"  input   {tensor_text(spec)}" for spec in manifest.inputs),
        *(f"  output  {tensor_text(spec)}" for spec in manifest.outputs),
        f"  {instances_text(manifest)}; {published.detail_of('batching')}",
        f"  packages: {published.detail_of('packages')}",
        f"  tried: {published.detail_of('warm-up')}; {published.detail_of('time')}; {published.detail_of('memory')}",
        f"  golden requests: {published.detail_of('golden requests made') or published.detail_of('golden requests')}",
        *(f"  remark: {remark}" for remark in published.remarks),
    ]
    if published.is_dry:
        return [*lines, "Nothing was written (--dry-run)."]
    return [*lines, *_published_lines(published)]


def _published_lines(published: Published) -> list[str]:
    ref = published.ref
    place = f"{published.registry}/{ref.model}/{ref.version}"
    lines = [
        f"Published in {place}." if published.is_new else f"It was there already, in {place}: nothing was changed."
    ]
    return [*lines, *(alias_line(alias, str(ref.version), before) for alias, before in published.aliases.items())]


def alias_line(alias: str, version: str, before: str | None) -> str:
    """Say what an alias names, and what it named before."""
    was = "" if before in (None, version) else f"; before, it named {before}"
    return f"The alias {alias} names {version}{was}."


def next_steps(published: Published) -> list[str]:
    """Return what to do next."""
    ref = published.ref
    named = f"{ref.model}@{next(iter(published.aliases))}" if published.aliases else str(ref)
    return [
        f"Next: write a route that names it, such as {ref.model}.yaml:",
        f"  route: {ref.model}",
        f"  arms: {{stable: {named}}}",
        "  split: {stable: 100%}",
        f"and declare it: pointsman apply -f {ref.model}.yaml",
        *_trust(published.manifest),
    ]


def _trust(manifest: Manifest) -> list[str]:
    types = ",".join(manifest.trusted_types)
    return [f"The gateway loads it only if it trusts these types: POINTSMAN_TRUSTED_TYPES={types}"] if types else []


def print_steps(steps: Sequence[tuple[str, str, float, str]]) -> None:
    """Print the steps of a check: name, state, seconds, and what was found or why it failed."""
    print_table(
        ["STEP", "STATE", "SECONDS", "REASON"],
        [(step, state, f"{took_s:.2f}", detail) for step, state, took_s, detail in steps],
    )


def tensor_text(spec: TensorSpec) -> str:
    """Write a tensor on one line."""
    text = f"{spec.name}  {spec.datatype} {list(spec.shape)}"
    if spec.source:
        text += f"  (in the model: {spec.source})"
    if spec.columns:
        shown = ", ".join(spec.columns[:_COLUMNS_SHOWN])
        text += f"  {shown}{', …' if len(spec.columns) > _COLUMNS_SHOWN else ''}"
    if spec.example is not None:
        text += "  with an example"
    return text


def instances_text(manifest: Manifest) -> str:
    """Say if a request may hold several instances, and why not."""
    if manifest.signature.takes_several:
        return "a request may hold several instances (its first dimension)"
    because = "batch is none" if manifest.batch == "none" else "no input's first dimension varies"
    return f"each request is one instance ({because})"
