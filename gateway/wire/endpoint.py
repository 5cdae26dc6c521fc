"""Which kind of call a path names."""

from __future__ import annotations

OTHER = "other"


def endpoint_of(path: str) -> str:
    """Return the kind of call that `path` names, judged by its last segments; `other` if it is none of ours.

    Args:
        path: as the caller sent it, with or without a query, below any provider's name or base path.
    """
    parent, _, name = path.partition("?")[0].rstrip("/").rpartition("/")
    if name == "completions":
        return "chat.completions" if parent.endswith("/chat") else "completions"
    if name == "responses" or name == "embeddings":
        return name
    # Threads and stored completions have lists of messages too; those are a level deeper.
    if name == "messages" and (parent.endswith("/v1") or parent.rfind("/") == 0):
        return name
    return OTHER
