"""Files that survive a kill, and the workspace of content-addressed results."""

from statllama.store.store import Entry, Holder, Store

__all__ = ["Entry", "Holder", "Store"]
