"""The YAML that a user writes: fields of recipes and benchmarks, inheritance, overrides, errors with their lines."""
