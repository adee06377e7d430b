"""Work on a workspace with a loaded base: plan, train, score, study, chat."""
