"""Workers beside this process, on Ray: they publish what a run lacks, and the run then finds it in the workspace.

`fill` is the way in. `engine`, `survey`, `crew`, `slot` and `connection` use Ray, which is loaded once it is asked for.
"""
