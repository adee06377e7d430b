"""A workspace in order: what lies in it, what no run uses, earlier records of a run, runs as files to carry."""
