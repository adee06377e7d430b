"""Workers beside this process, on Ray: they publish what a run lacks, and the run then finds it in the workspace.

`fill` is the way in. Only `engine` and `board` import Ray, and nothing imports them before Ray is asked for.
"""
