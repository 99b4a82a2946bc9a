#!/usr/bin/env python3
"""Keeps the architecture (design: "Folders and layers"): which folder may include which, behind which fence a
third-party header stays, how long a file may be, and that includes are never circular.

Usage: layers.py [ROOT]. Prints "file:line: what" for each breach and exits 1, or exits 0. Standard library only.
"""
import re
import sys
from pathlib import Path

# A folder may include itself and these. clients/cpp stands beside executor but sees the wire alone.
MAY_INCLUDE = {
    "base": set(),
    "protocol": {"base"},
    "policy": {"base", "protocol"},
    "actions": {"base", "protocol", "policy"},
    "audit": {"base", "protocol", "policy"},
    "executor": {"base", "protocol", "policy", "actions", "audit"},
    "clients/cpp": {"base", "protocol"},
    "healctl": {"base", "protocol", "policy", "actions", "audit", "executor", "clients/cpp"},
}

# A header of this kind, and the files (a glob below the root) that may include it.
FENCES = [
    ("simdjson", r"simdjson(\.h|/)", ["protocol/json_reader.cpp"]),
    ("RapidJSON", r"rapidjson/", ["protocol/json_writer.cpp"]),
    ("OpenSSL", r"openssl/", ["protocol/mac.cpp", "protocol/secret_memory.cpp", "audit/chain.cpp"]),
    ("toml++", r"toml(\+\+/|\.hpp)", ["executor/config_document.cpp"]),
    ("libcap", r"sys/capability\.h", ["executor/privileges*.cpp", "executor/confinement*.cpp"]),
    ("sd-bus", r"systemd/sd-bus", ["actions/system_bus.cpp", "actions/bus_*"]),
    ("spdlog", r"(spdlog|fmt)/", ["executor/*", "healctl/*"]),
    ("CLI11", r"CLI/", ["healctl/*"]),
    ("doctest", r"doctest", []),
    ("what starts threads", r"(thread|future|execution|pthread\.h|threads\.h|spdlog/async\w*\.h)$", []),
]

SUFFIXES = {".h", ".hpp", ".cpp", ".cc"}
MAX_LINES = 500
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    """The folder of MAY_INCLUDE that a path below the root lies in, or None."""
    return next((f for f in sorted(MAY_INCLUDE, key=len, reverse=True) if path.startswith(f + "/")), None)


def sources(root):
    for folder in MAY_INCLUDE:
        if (root / folder).is_dir():
            yield from sorted(p for p in (root / folder).rglob("*") if p.suffix in SUFFIXES)


def includes_of(path):
    """(line number, "<" or '"', name) of each include outside a block comment."""
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if inside:
            inside = "*/" not in line
            continue
        match = INCLUDE.match(line)
        if match:
            yield number, match[1], match[2]
        elif line.lstrip().startswith("/*"):
            inside = "*/" not in line


def ours(root, path, name):
    """The path below the root of an included file of this project, or None. Relative ones count too."""
    for candidate in (root / name, path.parent / name):
        if candidate.is_file() and candidate.resolve().is_relative_to(root):
            return candidate.resolve().relative_to(root).as_posix()
    return None


def breach_of_layer(folder, target):
    other = folder_of(target)
    if other is None:
        return f"{folder}/ includes {target}, which is in no layer"
    if other != folder and other not in MAY_INCLUDE[folder]:
        return f"{folder}/ may not include {other}/ ({target})"
    return None


def breach_of_fence(path, name):
    for library, header, allowed in FENCES:
        if re.match(header, name) and not any(Path(path).match(glob) for glob in allowed):
            where = ", ".join(allowed) or "the tests"
            return f"{library} stays in {where}, and not here (<{name}>)"
    return None


def check_file(root, path, graph):
    relative = path.relative_to(root).as_posix()
    folder = folder_of(relative)
    length = len(path.read_text(encoding="utf-8").splitlines())
    if length > MAX_LINES:
        yield f"{relative}:{MAX_LINES + 1}: {length} lines; a file has at most {MAX_LINES}"
    for number, bracket, name in includes_of(path):
        target = ours(root, path, name)
        if target is not None:
            graph.setdefault(relative, []).append((target, number))
        breach = breach_of_fence(relative, name)
        if breach is None and target is not None:
            breach = breach_of_layer(folder, target)
        if breach is None and target is None and bracket == '"':
            breach = f'"{name}" is no file of ours; system headers stand in <>'
        if breach is not None:
            yield f"{relative}:{number}: {breach}"


def circles(graph):
    """One report for each include that closes a circle (depth first search, without recursion)."""
    done = set()
    for start in sorted(graph):
        if start in done:
            continue
        path, pending = [start], [iter(graph.get(start, []))]
        while path:
            for target, number in pending[-1]:
                if target in path:
                    chain = path[path.index(target):] + [target]
                    yield f"{path[-1]}:{number}: circular include: {' -> '.join(chain)}"
                elif target not in done:
                    path.append(target)
                    pending.append(iter(graph.get(target, [])))
                    break
            else:
                done.add(path.pop())
                pending.pop()


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    graph, breaches, count = {}, [], 0
    for path in sources(root):
        count += 1
        breaches += check_file(root, path, graph)
    breaches += circles(graph)
    for breach in breaches:
        print(breach)
    if count == 0:
        print(f"{root}: no sources found, so nothing was checked")
    return 1 if breaches or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
