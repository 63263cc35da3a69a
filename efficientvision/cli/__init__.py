"""Command lines: parsing, help, error messages and exit codes."""

from __future__ import annotations

import errno
import io
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags as absl_flags

from efficientvision.cli.console import on_terminal, with_flags
from efficientvision.errors import UserError
from efficientvision.files import is_no_space
from efficientvision.registry import nearest_names

INTERRUPTED = 130
# The messages of `int` and `float`.
_NO_NUMBER = re.compile(
    r"(?:(?P<whole>invalid literal for int\(\) with base \d+)|could not convert string to float)"
    r": '.*'$"
)
_FILE_ERRORS = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError),
    FileExistsError,
)
# Name too long, symlink loop, read-only file system, file too large.
_FILE_CODES = (errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EFBIG)
_ADVICE = {
    errno.EFBIG: " The disk (4 GB per file on FAT32) or a limit (ulimit -f) does not allow larger "
    "files: write to another disk, or split records into more files (--num_shards)."
}


def run_main(
    main: Callable[[list[str]], Any],
    argv: Sequence[str] | None = None,
    *,
    flag_values: absl_flags.FlagValues = absl_flags.FLAGS,
    translate: Callable[[list[str]], list[str]] = list,
    takes_arguments: bool = False,
    check: Callable[[list[str]], Any] | None = None,
    about: str | None = None,
    help_text: Callable[[], str] | None = None,
    more_names: Sequence[str] = (),
    argument_names: Mapping[str, str] | None = None,
) -> None:
    """Parses the flags, runs a program and exits with its exit code.

    Mistakes of the user end as one line `error: ...` on stderr (plus the lines of a `UserError`);
    only bugs show a traceback.

    Args:
        main: Called with the program's name in a list, as absl does. If it returns an int, that
            is the exit code.
        argv: Command line with the program's name first; `sys.argv` by default.
        flag_values: The flags that the program declared.
        translate: Rewrites the command line before it is parsed.
        takes_arguments: Whether positional arguments are allowed; `main` gets them.
        check: Checks the positional arguments, if they are allowed: an error in them is one of the
            command line.
        about: First part of the text of `--help`; by default the docstring of `main`'s module.
        help_text: Returns the text of `--help`; by default it is made from the flags.
        more_names: Names that are no flags but may be meant by a mistyped one, read when needed.
        argument_names: Option, as messages name it -> positional argument that stands for it.

    Raises:
        SystemExit: Always. 0: success; 1: bad input; 2: bad flags; 130: interrupted.
    """
    _write_any_text()
    argv = list(sys.argv if argv is None else argv)
    if {"--help", "-help", "-h", "--helpshort", "--helpfull"} & set(argv[1:]):
        text = help_text() if help_text else _help_text(main, flag_values, about)
        print(with_flags(text, flag_values, argument_names))
        sys.exit(0)

    def fail(sentence: str, code: int, lines: Sequence[str] = ()) -> NoReturn:
        text = "\n".join([f"error: {' '.join(sentence.split())}", *lines])
        sys.stdout.flush()
        print(with_flags(text, flag_values, argument_names), file=sys.stderr)
        sys.exit(code)

    try:
        rest = flag_values(translate(argv))
        if check is not None:
            check(rest)
        elif rest[1:] and not takes_arguments:
            raise UserError(f"Unexpected argument {rest[1]!r}: write options as --name=value.")
    except absl_flags.UnrecognizedFlagError as error:
        fail(_unknown_flag(error.flagname, flag_values, more_names), code=2)
    except (absl_flags.Error, UserError) as error:
        fail(_NO_NUMBER.sub(_number_wanted, str(error)), code=2)
    try:
        with on_terminal(flag_values, argument_names):
            code = main(rest)
    except UserError as error:
        fail(error.sentence, code=1, lines=error.lines)
    except OSError as error:
        if not is_users_mistake(error):
            raise
        text = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
        fail(text + _ADVICE.get(error.errno, ""), code=1)
    except KeyboardInterrupt:
        fail("interrupted", code=INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _write_any_text() -> None:
    """Escapes characters as \\u.... where the console or file cannot encode them."""
    for stream in (sys.stdout, sys.stderr):
        # Notebooks and tests replace the streams by ones that accept any text.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def is_users_mistake(error: BaseException) -> bool:
    """Whether the user can fix the cause of an error; otherwise it is a bug."""
    if isinstance(error, OSError):
        return isinstance(error, _FILE_ERRORS) or error.errno in _FILE_CODES or is_no_space(error)
    return isinstance(error, UserError)


def _number_wanted(match: re.Match) -> str:
    kind = "a whole number (1000, not 1e3)" if match["whole"] else "a number"
    return f"expected {kind}"


def _unknown_flag(name: str, flag_values: absl_flags.FlagValues, more_names: Sequence[str]) -> str:
    own = [*(flag.name for flag in _own_flags(flag_values)), *more_names]
    hint = nearest_names(name, own).replace(" are ", " are --").replace("mean ", "mean --")
    return f"Unknown flag --{name}. {hint.replace(', ', ', --')} See --help."


def _own_flags(flag_values: absl_flags.FlagValues) -> list[absl_flags.Flag]:
    by_name = {
        flag.name: flag
        for module, module_flags in flag_values.flags_by_module_dict().items()
        if not module.startswith("absl")
        for flag in module_flags
    }
    return [by_name[name] for name in sorted(by_name)]


def _help_text(main: Callable, flag_values: absl_flags.FlagValues, about: str | None) -> str:
    about = about or sys.modules[main.__module__].__doc__ or main.__doc__ or ""
    lines = [about.strip(), "", "Flags:"]
    for flag in _own_flags(flag_values):
        text = (flag.default_as_str or "").strip("'")
        default = "" if flag.default in (None, "") else f" (default: {text})"
        lines.append(f"  --{flag.name}")
        lines += textwrap.wrap(
            " ".join(flag.help.replace("<|", "<", 1).split()) + default,
            92,
            initial_indent="      ",
            subsequent_indent="      ",
        )
    return "\n".join(lines)
