"""Errors that are sentences to the person who can mend them.

The command line prints `message` and `hint` and exits with `exit_code`; it never shows a traceback for these.
"""


class BatutaError(Exception):
    """Something went wrong that a person can mend; `message` says what, `hint` says how."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def sentence(self) -> str:
        """What is wrong and how to mend it, on one line."""
        if not self.hint:
            return self.message
        return f"{self.message.rstrip('.')}{';' if self.hint[0].islower() else '.'} {self.hint}"


class UsageError(BatutaError):
    """The command, its arguments or its settings were wrong."""

    exit_code = 2
