"""Docstrings, messages and documentation use plain words: bad phrases and their alternatives.

Each pattern is wrong in any context. A space in a pattern also matches a line break in a docstring,
a comment or a string of several pieces.
"""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
FILES = sorted(
    path
    for pattern in (
        "efficientvision/**/*.py",
        "efficientvision/**/*.html",
        "dataset/*",
        "docs/**/*",
    )
    for path in REPOSITORY.glob(pattern)
    if path.suffix in (".py", ".sh", ".md", ".html")
) + sorted(REPOSITORY.glob("*.md"))

# Pattern -> what to write instead.
DOCSTRINGS = {
    r'"""(?:What|Which) ': "say what it is or does: 'Returns the ...', 'The ... of ...'",
    r'"""How (?!to )': "say what it is or does: 'Returns the number of ...', 'Measures ...'",
    r'"""(?:Of|Those) ': "begin with a verb or the noun itself",
    r"\n +[a-z_]+(?:, [a-z_]+)*: [Oo]f (?:the|a|an|its|this|that|each|all) ": (
        "repeat the noun: 'name: Model name.', not 'name: of the model.'"
    ),
}
PHRASES = {
    r"\b(?:is|are|was|were) left off\b|\bwhere left off\b|\bto leave off\b": "was cancelled, stop",
    r"\bworks? off\b": "process (gradient accumulation: number of micro-batches per step)",
    r"\b(?:at|in|after|about|over|within|first|most|keep|by) so many\b": "this many, number of",
    r"\bso many times\b": "a multiple of",
    r"\btold by\b": "inferred from, recognised by",
    r"\bis told as\b|\bis said (?:in|once|where|at|there)\b": "is reported",
    r"\banew\b": "again, re-create, re-split",
    r"\bhow many (?:of them )?there are\b|\bhow many of them\b": "the number of",
    r"\btakes what\b": "accepts",
    r"\b(?:go|goes|going|gone|went) on from\b": "resume from",
    r"\bas (?:it|they|\w+ Runtime|the runtime|the format|OpenVINO) likes?\b": "0 = runtime default",
    r"\b(?:what|none) hangs on\b|\bhangs on the last\b": "depends on",
    r"\b(?:may )?look on while\b|\blooks on\b": "callback",
    r"\b(?:will|would|metrics) flatter\b": "are optimistic",
    r"\bno \w+'s business\b|\bnobody else's\b": "say it directly: 'private', 'ignored'",
    r"\b(?:is|are) of (?:another|other) (?:networks?|tasks?|models?)\b": "does not apply to ...",
    r"\bof other makers\b|\bother makers\b": "not written by this library, from other tools",
    r"\b(?:is|are) none of (?:ours|this library)\b": "was not written by this library",
    r"\b(?:that|which) (?:is|are) none(?: |[.,;:)])": "that is not one, invalid",
    r"\b(?:says?|said|tells?) of (?:it|itself|a|an|the|its)\b": "the metadata of, describes",
    r"\bslips? of the\b": "error (an annotation error, a typo)",
    r"\bof fewer (?:images|photos) than\b": "evaluated on fewer images",
    r"\bmistakes? of the (?:user|program)\b": "user error, programming error",
    r"\bbe there such\b": "if there is one",
    r"\bas `?[\w.]+`? has (?:it|them)\b": "as in ...",
    r"\b(?:a|one) (?:row|line|file|folder|name|value|weight|label|number) an? "
    r"(?:row|line|epoch|class|photo|image|step|record|name|file|box|place)\b": "one ... per ...",
    r"(?<!here\s)\b(?:is|was) no (?:text|folder|file|picture|model|photo|number|checkpoint|"
    r"detector|classifier|segmenter|YAML|JSON|list|mask|mapping|class|part|UTF-8)\b": "is not a",
    r"\bwhat is no \b": "anything that is not",
    r"\bfor what is said\b": "for messages",
}


def _compiled(patterns: dict[str, str]) -> dict[re.Pattern, str]:
    """Compiles patterns so that a space also matches the gap between two lines."""
    gap = r'\s["\s#]*(?:f")?'
    return {re.compile(text.replace(" ", gap)): plain for text, plain in patterns.items()}


# Texts that the tests of hostile files hold.
KEPT = {("efficientvision/weights/hdf5_texts.py", "is no text")}

_PHRASES = _compiled(PHRASES)
_DOCSTRINGS = {re.compile(text): plain for text, plain in DOCSTRINGS.items()}


def hits(text: str, *, is_python: bool) -> list[tuple[int, str, str]]:
    """Returns line number, words and plain alternative of each bad phrase in a text."""
    patterns = {**_PHRASES, **(_DOCSTRINGS if is_python else {})}
    found = [
        (text.count("\n", 0, match.end()) + 1, " ".join(match[0].split()), plain)
        for pattern, plain in patterns.items()
        for match in pattern.finditer(text)
    ]
    return sorted(found)


def test_plain_words():
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {words!r} -> {plain}"
        for path in FILES
        for line, words, plain in hits(path.read_text("utf8"), is_python=path.suffix == ".py")
        if (str(path.relative_to(REPOSITORY)), words) not in KEPT
    ]
    assert not found, "\n".join(found)


def test_phrases_are_found_across_lines():
    text = '"""What it is.\n\n    name: of the model.\n"""\n# by so\n# many\nf("by so "\n  f"many")'
    assert [line for line, *_ in hits(text, is_python=True)] == [1, 3, 6, 8]
    assert not hits("what it is for; how many images there may be", is_python=False)
