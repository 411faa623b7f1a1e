"""The one error that a request can answer with."""

from __future__ import annotations


class AgentError(Exception):
    """A request that cannot be served.

    Args:
        kind: "usage" (the request does not fit), "io" (a file cannot be read or written), "memory" (the
            device has too little of it) or "runtime".
        message: what happened, lower case, no full stop.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
