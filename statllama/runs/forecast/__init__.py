"""What a stage will need before it runs: memory, disk and time, each figure with its basis. Loads no torch."""
