"""Files that survive a kill, and the workspace of content-addressed results."""

from statllama.store.holder import Holder
from statllama.store.store import Entry, Store

__all__ = ["Entry", "Holder", "Store"]
