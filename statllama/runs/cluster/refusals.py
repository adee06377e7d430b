"""What is said when a work could never start on a cluster: what it needs, what there is, what would help."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from statllama.errors import UsageError
from statllama.runs.cluster.crew import Terms, need_of
from statllama.runs.cluster.placement import Host, described, possible
from statllama.runs.cluster.work import Work
from statllama.train.memory import GIB


def require_devices(devices: int, there: int, workers: int | None, terms: Terms, at: str) -> None:
    """Raise UsageError: a work takes more devices at once than there are."""
    if terms.device == "GPU":
        what, remedy = f"{devices} GPUs", "start Ray on more hosts with GPUs"
    else:
        threads = terms.threads
        what = f"{devices * threads} cores" + (f" ({threads} for each of {devices} devices)" if threads > 1 else "")
        remedy = "start Ray on more hosts" if threads == 1 else "compute with fewer threads, which moves rounding: "
        remedy += "" if threads == 1 else "OMP_NUM_THREADS=1 before the command"
    limit = "" if workers is None else f" (--workers {workers})"
    least = "; or lower `train.devices`" if devices > 1 else ""
    raise UsageError(f"a stage needs {what} at once, and {at} has {there}{limit}", remedy=remedy + least)


def require_place(work: Work, hosts: Sequence[Host], workers: int | None, at: str) -> None:
    """Raise UsageError when no card of these hosts has the memory that a work needs, or too few have."""
    need = need_of(work)
    if possible(need, hosts, workers):
        return
    cores = all(host.shared for host in hosts)
    one = need.devices == 1
    each = ("of memory" if one else "in each process") if cores else ("of a GPU" if one else "of each GPU")
    kind = "" if one or cores else f" on {need.devices} GPUs of one kind"
    limit = "" if workers is None else f" (--workers {workers})"
    larger = "a host with more memory" if cores else "a host with a larger GPU"
    lines = [f"start Ray on {larger}"]
    if work.kind == "train":
        lines.append(f"or lower what the stage needs: `statllama plan ... --on {_card(hosts)}` says which settings do,")
        lines.append(f"such as --set stages.{work.name}.train.gradient_checkpointing=true or a shorter max_length")
        lines.append("(train.micro_tokens is no way out: that much is for one row at a time)")
    if need.devices > 1:
        lines.append("or lower `train.devices`")
    raise UsageError(
        f"{work} needs {size(need.least)} {each} at least{kind}, by the forecast, and {at} has "
        f"{described(hosts, size)}{limit}",
        remedy="\n     ".join(lines),
    )


def size(count: float) -> str:
    """Return bytes in words."""
    return f"{count / GIB:.1f} GiB"


def _card(hosts: Sequence[Host]) -> str:
    """Return what `plan --on` calls the largest card."""
    if all(host.shared for host in hosts):
        return "cpu"
    most = max((card.bytes for host in hosts for card in host.cards), default=0.0)
    return f"{max(1, ceil(most / GIB - 0.5))}GB"
