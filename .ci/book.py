#!/usr/bin/env python3
"""Checks the documentation: the book, and the pages beside the code.

    python3 .ci/book.py target/release/tercet

- Every page of the book is in its SUMMARY, and every entry of it is a page.
- Every relative link leads to a file, and every anchor to a heading.
- Every command line `tercet …` names a command and flags that exist by `tercet COMMAND --help`, and every
  flag that the book names belongs to some command. This needs a build with every feature.
- Every page of the book that the sources name exists.
"""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "docs/book/src"

# Flags of other programs that the pages name.
OTHER_FLAGS = {"--features", "--logdir", "--release"}

FENCE = re.compile(r"^(```+)(\w*).*?^\1\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


def pages():
    """Every page: the book, and what the repository shows beside code."""
    beside = [*ROOT.glob("*.md"), *ROOT.glob("crates/*/README.md"), *ROOT.glob("data/README.md")]
    beside += ROOT.glob("benches/peers/README.md")
    return sorted(BOOK.rglob("*.md")) + sorted(beside)


def shown(path):
    return path.relative_to(ROOT)


def without_code(text):
    return re.sub(r"(`+)(?!`).*?\1", "", FENCE.sub("", text), flags=re.DOTALL)


@functools.cache
def anchors(path):
    """The anchors of a page's headings, as mdBook and forges make them."""
    found = {}
    for line in FENCE.sub("", path.read_text(encoding="utf-8")).splitlines():
        heading = re.match(r"#{1,6}\s+(.*)", line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        slug = "".join(
            "-" if letter.isspace() else letter.lower()
            for letter in text.strip()
            if letter.isalnum() or letter in "-_" or letter.isspace()
        )
        count = found.get(slug, 0)
        found[slug] = count + 1
        if count:
            found[f"{slug}-{count}"] = 1
    return set(found)


def summary():
    """Pages without an entry, and entries without a page."""
    listed = set(LINK.findall((BOOK / "SUMMARY.md").read_text(encoding="utf-8")))
    there = {str(path.relative_to(BOOK)) for path in BOOK.rglob("*.md")} - {"SUMMARY.md"}
    for name in sorted(listed - there):
        yield f"docs/book/src/SUMMARY.md: there is no page {name}"
    for name in sorted(there - listed):
        yield f"docs/book/src/SUMMARY.md: {name} has no entry"


def links(path):
    for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists():
            yield f"{shown(path)}: the link {target} leads to no file"
        elif BOOK in path.parents and BOOK not in file.parents and file != BOOK:
            yield f"{shown(path)}: the link {target} leads out of the book"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
            yield f"{shown(path)}: the link {target} leads to no heading"


def help_of(tercet, *command):
    done = subprocess.run(
        [tercet, *command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return done.stdout if done.returncode == 0 else None


@functools.cache
def flags(tercet, command):
    """The flags of a command, long and short, and the commands below it."""
    text = help_of(tercet, *command)
    if text is None:
        return None
    found = set()
    for short, long in re.findall(r"^ {2,6}(?:(-\w), )?(--[\w-]+)", text, re.MULTILINE):
        found |= {short, long} - {""}
    below = re.search(r"^Commands:\n((?: .*\n)*)", text, re.MULTILINE)
    below = re.findall(r"^  ([a-z][\w-]*)", below[1], re.MULTILINE) if below else []
    if not command:  # commands in groups
        below = re.findall(r"^  ([a-z][\w-]*) ", text.split("\nOptions:")[0], re.MULTILINE)
    return found, tuple(name for name in below if name != "help")


def command_lines(text):
    """The words behind `tercet` of every command line in blocks of shell and in `code`."""
    lines = []
    for block in FENCE.finditer(text):
        if block[2] in ("sh", "bash"):
            lines += block[0].replace("\\\n", " ").splitlines()[1:-1]
    lines += re.findall(r"`(tercet [^`]*)`", FENCE.sub("", text).replace("\n", " "))
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            yield line, error
            continue
        if words[:1] == ["cargo"] or words[1:2] == ["cargo"]:
            if "run" not in words or "--" not in words or {"-p", "--example"} & set(words):
                continue
            words = words[words.index("--") + 1:]
        elif "tercet" in words:
            words = words[words.index("tercet") + 1:]
        else:
            continue
        ends = (at for at, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>&1"))
        yield line, words[:next(ends, len(words))]


def commands(path, tercet):
    for line, words in command_lines(path.read_text(encoding="utf-8")):
        line = " ".join(line.split())
        if isinstance(words, ValueError):
            yield f"{shown(path)}: `{line}`: {words}"
            continue
        command = ()
        while words and words[0] in flags(tercet, command)[1]:
            command, words = (*command, words[0]), words[1:]
        known, below = flags(tercet, command)
        if not command and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            yield f"{shown(path)}: `{line}`: there is no command {words[0]}"
        if command and below and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            yield f"{shown(path)}: `{line}`: tercet {command[0]} has no command {words[0]}"
        for word in words:
            flag = word.split("=")[0]
            if re.fullmatch(r"--?[a-z][\w-]*", flag) and flag not in known:
                yield f"{shown(path)}: `{line}`: tercet {' '.join(command)} has no {flag}"


def named_flags(path, tercet):
    """Flags in `code` that no command has."""
    every, left = set(OTHER_FLAGS), [()]
    while left:
        command = left.pop()
        known, below = flags(tercet, command)
        every |= known
        left += [(*command, name) for name in below]
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`]*)`", text):
        for flag in re.findall(r"(?:^|\s)(--[a-z][\w-]*)", code):
            if flag not in every:
                yield f"{shown(path)}: no command has {flag}"


def named_pages():
    """Pages of the book that the sources and the other pages name."""
    files = [*ROOT.glob("crates/**/*.rs"), *ROOT.glob("crates/**/*.html"), *ROOT.glob("*.md")]
    for path in files:
        text = path.read_text(encoding="utf-8")
        for name, anchor in re.findall(r"docs/book/src/([\w/-]+\.md)(?:#([\w-]+))?", text):
            if not (BOOK / name).is_file():
                yield f"{shown(path)}: names docs/book/src/{name}, which does not exist"
            elif anchor and anchor not in anchors(BOOK / name):
                yield f"{shown(path)}: names docs/book/src/{name}#{anchor}, which is no heading"
        if "GUIDE.md" in text and path.name != "CHANGELOG.md":
            yield f"{shown(path)}: names GUIDE.md, which the book has replaced"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python3 .ci/book.py TERCET, the program with every feature")
    tercet = sys.argv[1]
    if help_of(tercet) is None:
        sys.exit(f"{tercet} prints no help: build it with --features full")
    wrong = [*summary(), *named_pages()]
    checked = 0
    for path in pages():
        wrong += links(path)
        # The history of the program names flags that are gone.
        if path.name != "CHANGELOG.md":
            wrong += commands(path, tercet)
            checked += len(list(command_lines(path.read_text(encoding="utf-8"))))
        if BOOK in path.parents:
            wrong += named_flags(path, tercet)
    print("\n".join(wrong or [f"{len(pages())} pages, {checked} command lines: nothing wrong"]))
    sys.exit(bool(wrong))


main()
