"""The one exception for mistakes that the user can correct."""


class UserError(ValueError):
    """Bad input: one clear sentence that names the culprit, what was expected, and what to do.

    The command lines print it without a traceback and exit with code 1.
    """
