"""The token that opens a server: made anew at each start unless the environment has one, and never printed twice."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuitune.errors import UsageError

NAMES = ("TUITUNE_API_KEY", "API_KEY")
_SHORTEST = 8  # characters of a token that somebody chose
_HIDDEN = "[token]"


@dataclass(frozen=True)
class Secret:
    """A token; source: the environment variable that it came from, "" for a generated one."""

    value: str = field(repr=False)
    source: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Secret:
        """Return the token of the environment, or a new one. Raises UsageError for one that is easily guessed."""
        environ = os.environ if environ is None else environ
        for name in NAMES:
            value = environ.get(name, "").strip()
            if not value:
                continue
            if len(value) < _SHORTEST or not value.isascii() or not value.isprintable() or " " in value:
                raise UsageError(
                    f"{name} is no good token: it needs at least {_SHORTEST} letters, digits or signs, without spaces",
                    f"unset {name} to have one made",
                )
            return cls(value, name)
        return cls(f"tt-{secrets.token_urlsafe(32)}")

    def opens(self, offered: bytes) -> bool:
        """Return whether `offered` is the token, in a time that does not tell how much of it is right."""
        # Hashed, so that not even the length shows.
        ours, theirs = (hashlib.sha256(text).digest() for text in (self.value.encode(), offered))
        return hmac.compare_digest(ours, theirs)

    def hide(self, text: str) -> str:
        """Return `text` without the token, for whatever is written down."""
        return text.replace(self.value, _HIDDEN)
