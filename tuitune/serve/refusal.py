"""What a client is told when its request is not answered, in the shape that OpenAI's clients read."""

from __future__ import annotations

from typing import Any

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "timeout_error",
}


class Refusal(Exception):
    """A request that is not answered.

    status: of HTTP. message: in words for the client's user; it may quote the request, and goes back only to whoever
    sent it. param: the part of the request that is meant. code: a word for programs.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def kind(self) -> str:
        """OpenAI's word for the kind of error."""
        return _KINDS.get(self.status, "invalid_request_error")

    def body(self) -> dict[str, Any]:
        """Return the answer's JSON."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """What belongs in the answer's head."""
        match self.status:
            case 401:
                return {"WWW-Authenticate": "Bearer"}
            case 429 | 503:
                return {"Retry-After": "1"}
        return {}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Return the refusal of a request that cannot mean what it says."""
    return Refusal(422, message, param=param, code=code)
