"""Asking a model for replies: requests, the server that answers them, what it said before, what it may cost.

`asking.py` says what a request, a reply and an `Ask` are; `client.py` is the `Ask` of a server with OpenAI's chat
completions; `answering.py` puts the memory of responses (`responses.py`) and the budget (`budget.py`) before any `Ask`.
"""
