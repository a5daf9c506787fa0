#!/usr/bin/env python3
"""Whether the modules of each crate import each other in a circle.

    python3 .ci/cycles.py                # every library, program and example of the workspace
    python3 .ci/cycles.py crates/tercet  # only those below this folder
    python3 .ci/cycles.py --imports      # also print every import: file, imported file, names

The exit status is 1 if a cycle exists. Each cycle is printed as a chain of modules, below each link the
files and names that make it.

# The rule

A file imports another file if its code names something that is *defined* there: a function, type, trait,
constant or macro. A path is followed through re-exports to the definition. `use super::Item`, where the
parent says `pub use other::Item`, imports `other.rs` and not the parent. `mod child;` and `use super::child;`
import nothing; `child::function()` does. `use` lines, expressions, types and macros count alike.

The children of one module, each taken with all that lies below it, must import each other in one direction.
This is the question that a reader asks of a folder: which of these parts can I understand without the others?
It also finds cycles that no two files show alone: `a/x.rs` uses `b/y.rs`, and `b/z.rs` uses `a/w.rs`.

A module's own file and its children are one part. `mod.rs` may define what its children share, and may call
them. A child that uses a definition of a module above it makes no link: privacy rules allow it for the same
reason, and a reader of the child has opened the parent already. Re-exports in the parent make no link either.

Not counted: anything under `#[cfg(test)]`, tests and benches, and other crates (Cargo refuses their cycles).
Not seen: the methods of a type. `reader.verify()` does not say in which file `verify` is written. But whoever
writes `impl Reader` in another file has imported `Reader` by name, and that is seen.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
      |(?P<text>[bc]?r(?P<hashes>\#*)"(?:.|\n)*?"(?P=hashes)|[bc]?"(?:\\(?:.|\n)|[^"\\])*"|b?'(?:\\(?:u\{[^}]*\}|.)[^']*|[^'\\])')
      |(?P<lifetime>'[A-Za-z_]\w*)
      |(?P<name>(?:r\#)?[A-Za-z_]\w*)
      |(?P<number>\d[\w.]*)
      |(?P<mark>::|=>|->|.)""",
    re.VERBOSE,
)
DEFINES = {"fn", "struct", "enum", "union", "trait", "type", "const", "static"}
ITEM_STARTS = DEFINES | {"mod", "impl", "use", "unsafe", "async", "extern", "macro_rules", "pub"}
ENDS_WITH_SEMICOLON = {"use", "const", "static", "type"}
CLOSING = {"{": "}", "(": ")", "[": "]"}


def tokens_of(source):
    """The names and marks of a source text; comments are left out, literals become one token."""
    found, at = [], 0
    while at < len(source):
        if source.startswith("/*", at):
            depth = 0
            while at < len(source):
                if source.startswith("/*", at):
                    depth, at = depth + 1, at + 2
                elif source.startswith("*/", at):
                    depth, at = depth - 1, at + 2
                    if depth == 0:
                        break
                else:
                    at += 1
            continue
        match = TOKEN.match(source, at)
        at = match.end()
        if match.lastgroup == "skip" or match.group("skip"):
            continue
        if match.group("text") or match.group("lifetime") or match.group("number"):
            found.append(match.group() if match.group("text") else "0")
        else:
            found.append(match.group().removeprefix("r#"))
    return found


def after_group(tokens, at):
    """The index behind the group that opens at `at`."""
    opening, closing, depth = tokens[at], CLOSING[tokens[at]], 0
    while at < len(tokens):
        depth += (tokens[at] == opening) - (tokens[at] == closing)
        at += 1
        if depth == 0:
            break
    return at


def after_item(tokens, at):
    """The index behind the item, field, arm or statement that starts at `at`, its attributes included."""
    while at < len(tokens) and tokens[at] == "#":
        at = after_group(tokens, at + 1)
    item = at < len(tokens) and tokens[at] in ITEM_STARTS
    if item and tokens[at] == "pub":
        at += 1
        if tokens[at] == "(":
            at = after_group(tokens, at)
    semicolon_only = item and tokens[at] in ENDS_WITH_SEMICOLON and tokens[at + 1] not in ("fn", "unsafe")
    while at < len(tokens):
        if tokens[at] in CLOSING:
            block = tokens[at] == "{"
            at = after_group(tokens, at)
            if block and not semicolon_only:
                return at
        elif tokens[at] == ";" or (tokens[at] == "," and not item):
            return at + 1
        elif tokens[at] in "})]":
            return at
        else:
            at += 1
    return at


def without_tests(tokens):
    """The tokens without what is compiled for tests only; None where that is the whole file."""
    kept, at = [], 0
    test = ["[", "cfg", "(", "test", ")", "]"]
    while at < len(tokens):
        if tokens[at] == "#" and tokens[at + 1 : at + 2] == ["!"] and tokens[at + 2 : at + 8] == test:
            return None
        if tokens[at] == "#" and tokens[at + 1 : at + 7] == test:
            at = after_item(tokens, at + 7)
        else:
            kept.append(tokens[at])
            at += 1
    return kept


class Module:
    """A module: a file, or a `mod name { … }` inside one."""

    def __init__(self, file, parent):
        self.file, self.parent = file, parent
        self.children = {}  # name -> modules: several where `cfg` chooses between files
        self.defined = set()
        self.aliases = {}  # name -> paths that `use` lines bind to it
        self.globs = []  # paths of `use path::*`
        self.paths = []  # other paths that the code names
        self.macros = set()  # invoked without a path
        self.defined_macros = set()
        self.exported_macros = set()  # `#[macro_export]`: named by a path from the root of the crate

    def all(self):
        yield self
        for modules in self.children.values():
            for module in modules:
                yield from module.all()


def use_tree(tokens, at, prefix):
    """The (name, path) pairs of a `use` tree and the index behind it; the name is "*" for a glob."""
    pairs, path = [], list(prefix)
    while True:
        token = tokens[at]
        if token == "{":
            at += 1
            while tokens[at] != "}":
                inner, at = use_tree(tokens, at, path)
                pairs += inner
                if tokens[at] == ",":
                    at += 1
            return pairs, at + 1
        if token == "*":
            return pairs + [("*", tuple(path))], at + 1
        if token == "::":
            if not path:
                path.append("::")  # a path from the outside, `use ::name`
            at += 1
            continue
        if token == "self" and path:
            name = path[-1]
        else:
            path.append(token)
            name = token
        at += 1
        if at < len(tokens) and tokens[at] == "::":
            continue
        if at < len(tokens) and tokens[at] == "as":
            name, at = tokens[at + 1], at + 2
        return pairs + [(name, tuple(path))], at


def child_files(file, folder, name, path):
    """Where the module `name` of a file may be written; `folder` holds the children of the file."""
    if path:
        return [file.parent / path]
    return [each for each in (folder / f"{name}.rs", folder / name / "mod.rs") if each.exists()]


def read_file(file, folder, parent):
    """The module of a file with all below it; None if it is there for tests only."""
    tokens = without_tests(tokens_of(file.read_text()))
    if tokens is None:
        return None
    module = Module(file, parent)
    read_items(tokens, module, folder)
    return module


def read_items(tokens, module, folder):
    at, depth, path_attribute = 0, 0, None
    while at < len(tokens):
        token = tokens[at]
        before = tokens[at - 1] if at else ""
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token == "#" and tokens[at + 1 : at + 4] == ["[", "path", "="]:
            path_attribute = tokens[at + 4].strip('"')
            at = after_group(tokens, at + 1)
        elif token == "mod" and before != "." and tokens[at + 2 : at + 3] == [";"]:
            for file in child_files(module.file, folder, following, path_attribute):
                own = file.parent if file.name == "mod.rs" or path_attribute else folder / following
                child = read_file(file, own, module)
                if child:
                    module.children.setdefault(following, []).append(child)
            path_attribute = None
            at += 3
        elif token == "mod" and tokens[at + 2 : at + 3] == ["{"]:
            end = after_group(tokens, at + 2)
            child = Module(module.file, module)
            module.children.setdefault(following, []).append(child)
            read_items(tokens[at + 3 : end - 1], child, folder / following)
            at = end
        elif token == "use" and following != "<" and before not in (".", "+"):
            pairs, at = use_tree(tokens, at + 1, ())
            for name, path in pairs:
                if name == "*":
                    module.globs.append(path)
                else:
                    module.aliases.setdefault(name, []).append(path)
        elif token == "macro_rules" and following == "!":
            module.defined_macros.add(tokens[at + 2])
            module.defined.add(tokens[at + 2])
            if tokens[max(at - 4, 0) : at] == ["#", "[", "macro_export", "]"]:
                module.exported_macros.add(tokens[at + 2])
            at += 3
        elif token in DEFINES and depth == 0 and re.match(r"\w", following):
            if following not in DEFINES | {"unsafe", "extern", "async", "_"}:
                module.defined.add(following)
            at += 1
        elif re.match(r"[A-Za-z_]", token) and before not in ("::", "."):
            path = [token]
            while tokens[at + 1 : at + 2] == ["::"] and re.match(r"[A-Za-z_]", (tokens[at + 2 : at + 3] or [""])[0]):
                path.append(tokens[at + 2])
                at += 2
            if len(path) > 1:
                module.paths.append(tuple(path))
            at += 1
            if len(path) == 1 and tokens[at : at + 1] == ["!"] and tokens[at + 1 : at + 2] != ["="]:
                module.macros.add(token)
                if depth == 0 and tokens[at + 1 : at + 2] == ["{"]:  # may write items: those are read as ours
                    inside = tokens[at + 2 : after_group(tokens, at + 1) - 1]
                    nested = 0
                    for index, each in enumerate(inside[:-1]):
                        nested += (each in CLOSING) - (each in CLOSING.values())
                        if nested == 0 and each in DEFINES and re.match(r"[A-Za-z_]", inside[index + 1]):
                            module.defined.add(inside[index + 1])
        else:
            depth += (token in CLOSING) - (token in CLOSING.values())
            at += 1


def resolve(module, path, seen=frozenset()):
    """What a path means: (modules, definitions), the latter as (file, name). Both are empty for other crates."""
    modules, rest = [module], path
    if path and path[0] == "crate":
        while modules[0].parent:
            modules = [modules[0].parent]
        rest = path[1:]
    elif path and path[0] in ("self", "super"):
        while rest and rest[0] in ("self", "super"):
            if rest[0] == "super" and modules[0].parent:
                modules = [modules[0].parent]
            rest = rest[1:]
    if not rest:
        return modules, []
    name, further = rest[0], rest[1:]
    found_modules, found = [], []
    for each in modules:
        if name in each.defined:
            found.append((each.file, name))
        elif each.parent is None and not further:
            found += [(module.file, name) for module in each.all() if name in module.exported_macros]
        if name in each.children:
            for child in each.children[name]:
                below = resolve(child, ("self", *further), seen)
                found_modules += below[0]
                found += below[1]
        elif name not in each.defined and name in each.aliases:
            for alias in each.aliases[name]:
                if (id(each), name, alias) in seen:
                    continue  # `use name::…` of another crate
                below = resolve(each, (*alias, *further), seen | {(id(each), name, alias)})
                found_modules += below[0]
                found += below[1]
        elif name not in each.defined:
            for glob in each.globs:
                if (id(each), "*", glob) in seen:
                    continue
                inside = seen | {(id(each), "*", glob)}
                for target in resolve(each, glob, inside)[0]:
                    below = resolve(target, ("self", *rest), inside)
                    found_modules += below[0]
                    found += below[1]
    return found_modules, found


def imports_of(root):
    """The imports of a crate, given its root module: {file: {imported file: names}}."""
    imports = {}
    for module in root.all():
        paths = module.paths + [path for paths in module.aliases.values() for path in paths]
        for path in paths:
            for file, name in resolve(module, path)[1]:
                if file != module.file:
                    imports.setdefault(module.file, {}).setdefault(file, set()).add(name)
        # A macro without a path is visible below the place of its definition.
        for macro in module.macros - module.defined_macros - module.aliases.keys():
            above = module.parent
            while above:
                if macro in above.defined_macros and above.file != module.file:
                    imports.setdefault(module.file, {}).setdefault(above.file, set()).add(macro + "!")
                above = above.parent
    return imports


def module_paths(root):
    """{file: names of the modules from the root down to it}."""
    paths = {root.file: ()}
    for module in root.all():
        for name, children in module.children.items():
            for child in children:
                paths.setdefault(child.file, (*paths[module.file], name))
    return paths


def links_between_siblings(root, imports):
    """{parent module: {child: {imported child: [(file, imported file, names)]}}}; children by their names."""
    links, paths = {}, module_paths(root)
    for file, targets in sorted(imports.items()):
        for target, names in sorted(targets.items()):
            common = 0
            while paths[file][common : common + 1] == paths[target][common : common + 1] != ():
                common += 1
            if common < min(len(paths[file]), len(paths[target])):
                parent, child, imported = paths[file][:common], paths[file][common], paths[target][common]
                below = links.setdefault(parent, {}).setdefault(child, {})
                below.setdefault(imported, []).append((file, target, sorted(names)))
    return links


def cycles(links):
    """Chains of names, first equal to last: a shortest one through each name that is in none so far."""
    left, found = set(links), []
    for start in sorted(links):
        if start not in left:
            continue
        reached, queue = {}, [start]
        while queue and start not in reached:
            name = queue.pop(0)
            for target in sorted(links.get(name, ())):
                if target not in reached:
                    reached[target] = name
                    queue.append(target)
        if start in reached:
            chain = [start]
            while len(chain) == 1 or chain[-1] != start:
                chain.append(reached[chain[-1]])
            found.append(chain[::-1])
            left -= set(chain)
    return found


def roots(workspace):
    """The root file of each library, program and example."""
    answer = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"],
        cwd=workspace, stdout=subprocess.PIPE, check=True, text=True,
    )
    for package in json.loads(answer.stdout)["packages"]:
        for target in package["targets"]:
            if not {"test", "bench", "custom-build"} & set(target["kind"]):
                yield Path(target["src_path"])


def main():
    workspace = Path(__file__).resolve().parent.parent
    only = [Path(word).resolve() for word in sys.argv[1:] if not word.startswith("-")]
    files, count = set(), 0

    def short(file):
        return file.relative_to(workspace)

    for root in roots(workspace):
        if only and not any(root.is_relative_to(folder) for folder in only):
            continue
        module = read_file(root, root.parent, None)
        files |= {each.file for each in module.all()}
        imports = imports_of(module)
        if "--imports" in sys.argv:
            for file, targets in sorted(imports.items()):
                for target, names in sorted(targets.items()):
                    print(f"{short(file)} imports {short(target)}: {', '.join(sorted(names))}")
        for parent, links in sorted(links_between_siblings(module, imports).items()):
            for chain in cycles(links):
                count += 1
                print(f"cycle in {'::'.join(('crate', *parent))} of {short(root)}: {' → '.join(chain)}")
                for child, imported in zip(chain, chain[1:]):
                    for file, target, names in links[child][imported]:
                        print(f"    {short(file)} imports {short(target)}: {', '.join(names)}")
    print(f"{len(files)} files, {count} import cycles")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
