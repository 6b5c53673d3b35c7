"""The generated parts of docs/gpu.md: profiles of every GPU model, and the maximal mixes of GPU instances."""

from __future__ import annotations

from fleet.gpu.catalogue.gpu_models import ROWS
from fleet.gpu.catalogue.mig_geometry import INSTANCE_PROFILES, Mix, maximal_mixes, mix_text
from fleet.gpu.catalogue.profiles import MIG, MIG_TIME_SLICED, TIME_SLICED, gpu_model


def models_table() -> str:
    """Every GPU model with its profiles and their maximum per GPU."""
    lines = ["| GPU | memory | MIG-backed (per GPU) | time-sliced, same size (per GPU) |", "|---|---|---|---|"]
    for row in ROWS:
        model = gpu_model(_tokens(row.tokens)[0])
        columns = [
            " ".join(f"{_type(p.stem, model.token)}:{p.max_per_gpu}" for p in model.profiles if p.backing == backing)
            for backing in (MIG, TIME_SLICED, MIG_TIME_SLICED)
        ]
        several = f"; several in one instance, not offered: {columns[2]}" if columns[2] else ""
        lines.append(
            f"| {', '.join(_tokens(row.tokens))} | {model.memory_gb} GB | {columns[0] or '—'}{several} | {columns[1] or '—'} |"
        )
    return "\n".join(lines)


def instances_table() -> str:
    """Which profile of a GPU model is which GPU instance, and how many maximal mixes it has."""
    lines = ["| GPU | slices | GPU instances | maximal mixes |", "|---|---|---|---|"]
    for row in ROWS:
        model = gpu_model(_tokens(row.tokens)[0])
        if not model.slices:
            continue
        names = ", ".join(
            f"{p.instance} = {_type(p.stem, model.token)}" for p in model.profiles if p.backing == MIG and not p.media
        )
        plain, double = len(maximal_mixes(model.slices)), len(maximal_mixes(model.slices, double=True))
        number = f"{plain}" if double == plain else f"{plain}, {double} with the double-memory 1g"
        lines.append(f"| {', '.join(_tokens(row.tokens))} | {model.slices} | {names} | {number} |")
    return "\n".join(lines)


def mixes_8() -> str:
    """The maximal mixes of GPUs with eight memory slices."""
    return _mixes(8, 7)


def mixes_4() -> str:
    """The maximal mixes of GPUs with four memory slices."""
    return _mixes(4, 4)


def _mixes(slices: int, compute: int) -> str:
    plain = set(maximal_mixes(slices))
    lines = ["| maximal mix | memory slices left | compute slices left | without double memory |", "|---|---|---|---|"]
    for mix in maximal_mixes(slices, double=True):
        memory, used = _sum(slices, mix)
        lines.append(f"| {mix_text(mix)} | {slices - memory} | {compute - used} | {'yes' if mix in plain else ''} |")
    return "\n".join(lines)


def _sum(slices: int, mix: Mix) -> tuple[int, int]:
    instances = [INSTANCE_PROFILES[slices][name] for name in mix]
    return sum(one.size for one in instances), sum(one.compute for one in instances)


def _tokens(text: str) -> list[str]:
    return [entry.partition("=")[0] for entry in text.split()]


def _type(stem: str, token: str) -> str:
    return stem[len(token) + 1 :].upper()


def fill_in(document: str) -> str:
    """A document with everything between ``<!-- generated: NAME -->`` and ``<!-- end -->`` generated again.

    Raises:
        ValueError: a mark is missing.
    """
    tables = {"cards": models_table, "instances": instances_table, "mixes-8": mixes_8, "mixes-4": mixes_4}
    for name, table in tables.items():
        head, mark, rest = document.partition(f"<!-- generated: {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        if not mark or not end:
            raise ValueError(f"docs/gpu.md lacks the mark <!-- generated: {name} --> or its end")
        document = f"{head}{mark}{table()}\n{end}{tail}"
    return document
