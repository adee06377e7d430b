"""A driver in a process of its own: has acts done on the cluster at an address and prints a line for each news.

    python driving.py ADDRESS WORKSPACE ACT...

ADDRESS `here`: a cluster of this machine's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray

from statllama.errors import StatllamaError
from statllama.runs.cluster.engine import connect
from statllama.runs.cluster.work import Ended, Lost, Told
from tests.runs.cluster import acts


def main(address: str, workspace: str, *wanted: str) -> int:
    """Drive; 1 when the cluster is gone or does not take the driver."""
    ray.cloudpickle.register_pickle_by_value(acts)
    there = None if address == "here" else address
    options = {"threads": 1, "workers": None, "devices": 1, "perform": acts.perform}
    try:
        with connect(
            there, Path(workspace), [], note=lambda text: print("note", text, flush=True), **options
        ) as cluster:
            print("connected", cluster.devices(), flush=True)
            waiting = [acts.act(name) for name in wanted]
            running: dict[str, acts.Act] = {}
            while waiting or running:
                while waiting and cluster.room(waiting[0]):
                    act = waiting.pop(0)
                    running[act.id] = act
                    cluster.submit(act)
                for news in cluster.heard(1.0):
                    print(type(news).__name__.lower(), news.work, news.where, end=" ", sep="|")
                    match news:
                        case Told(arguments=arguments):
                            print(*arguments, sep="|", flush=True)
                        case Ended(error=error):
                            print(repr(error), flush=True)
                            del running[news.work]
                        case Lost(why=why):
                            print(why, flush=True)
                            waiting.append(running.pop(news.work))
                        case _:
                            print(flush=True)
    except StatllamaError as error:
        print("error", type(error).__name__, str(error).replace("\n", " "), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
