"""`statllama init`: from a user's files to a recipe, a held-out split and a benchmark, in one new folder."""
