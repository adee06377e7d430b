"""What a user writes in YAML: fields of recipes and benchmarks, inheritance, overrides, errors with their lines."""
