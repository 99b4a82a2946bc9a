#!/usr/bin/env python3
"""Takes out one defence after the other and demands that its attack test notices.

Usage: run.py [--check] [PATTERN...]. Each *.patch here removes one defence; its head says in words what is gone
("Removes:"), which numbers must go red ("Red: A09, A14"), and what is to be built beside daemon and healctl ("Build:").
For each whose name has a PATTERN in it: the patch is applied to a copy of the sources in build/mutation/tree, the
daemon is built, the numbers' tests are run there; then it is taken back. Exits 1 unless every test was green before its
defence was gone, and red after. --check only asks whether the patches apply. Standard library, git, cmake.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
SCRATCH = SOURCE / "build" / "mutation"
TREE = SCRATCH / "tree"
BUILD = TREE / "build" / "dev"
ALWAYS_BUILT = ["luminous-healingd", "healctl"]
PATIENCE = 900  # seconds; ends a build or a run that hangs


@dataclass
class Mutation:
    """One defence to be taken out."""
    path: Path
    removes: str
    red: list[str]
    build: list[str]
    touched: list[str]

    @property
    def name(self) -> str:
        return self.path.stem


class Broken(Exception):
    """A patch, or the tree, that cannot be tested at all."""


def read(path: Path) -> Mutation:
    text = path.read_text(encoding="utf-8")
    head = {key: " ".join(value.split())
            for key, value in re.findall(r"^(Removes|Red|Build): (.*(?:\n  .*)*)", text, re.MULTILINE)}
    touched = re.findall(r"^\+\+\+ b/(\S+)", text, re.MULTILINE)
    red = re.findall(r"A\d\d", head.get("Red", ""))
    if "Removes" not in head or not red or not touched:
        raise Broken(f"{path.name}: its head needs Removes: and Red: A.., its body a diff")
    if any(file.startswith("tests/") for file in touched):
        raise Broken(f"{path.name}: changes a test; a defence is in the sources")
    return Mutation(path, head["Removes"], red, head.get("Build", "").split(), touched)


def git_apply(where: Path, patch: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # Where `where` is no repository itself, one around it is none of ours: git would skip the files silently.
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(where.parent)}
    return subprocess.run(["git", "apply", *options, str(patch)], cwd=where, env=outside, text=True,
                          capture_output=True, check=False)


def check(mutations: list[Mutation]) -> bool:
    tests = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / "tests" / "attacks").glob("*_test.py"))
    good = True
    for mutation in mutations:
        done = git_apply(SOURCE, mutation.path, "--check")
        missing = [number for number in mutation.red if f"    def test_{number}_" not in tests]
        if done.returncode != 0:
            print(f"{mutation.path.name} does not apply:\n{done.stderr}", end="")
        for number in missing:
            print(f"{mutation.path.name}: there is no test of {number}")
        good = good and done.returncode == 0 and not missing
    print(f"{len(mutations)} patches")
    return good and bool(mutations)


def mirror() -> None:
    """Makes the copy equal to the tree. What is equal already keeps its time, so that little is built anew."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=SOURCE,
                            capture_output=True, check=True).stdout.decode()
    wanted = {Path(name) for name in listed.split("\0") if name and (SOURCE / name).is_file()}
    for relative in sorted(wanted):
        source, copy = SOURCE / relative, TREE / relative
        if not copy.exists() or source.read_bytes() != copy.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
        shutil.copymode(source, copy)
    for path in list(TREE.rglob("*")):
        if path.is_file() and BUILD.parent not in path.parents and path.relative_to(TREE) not in wanted:
            path.unlink()


def run(command: list[str], log: Path) -> int:
    cached = {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache", "CCACHE_BASEDIR": str(TREE), "CCACHE_NOHASHDIR": "1"}
    environment = {**os.environ, **(cached if shutil.which("ccache") else {}), "LUMINOUS_BUILD": str(BUILD)}
    with open(log, "w", encoding="utf-8") as file:
        try:
            return subprocess.run(command, cwd=TREE, env=environment, stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=subprocess.STDOUT, timeout=PATIENCE, check=False).returncode
        except subprocess.TimeoutExpired:
            return -1


def build(targets: list[str], log: Path) -> None:
    if not (BUILD / "build.ninja").exists() and run(["cmake", "--preset", "dev", "-Wno-dev"], log) != 0:
        raise Broken(f"cannot be configured: {log}")
    if run(["cmake", "--build", "--preset", "dev", "--target", *ALWAYS_BUILT, *targets], log) != 0:
        raise Broken(f"does not build: {log}")


def tests(numbers: list[str], log: Path) -> dict[str, str]:
    """{test: "run" or "fail" or what ctest else says} of the tests of these numbers."""
    report = log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    run(["ctest", "--test-dir", str(BUILD), "-L", "attack", "-R", f"^({'|'.join(numbers)}): ", "--output-on-failure",
         "--output-junit", str(report)], log)
    if not report.exists():
        raise Broken(f"ctest did not run: {log}")
    return {case.get("name", ""): case.get("status", "") for case in ElementTree.parse(report).iter("testcase")}


def those_of(number: str, found: dict[str, str], status: str) -> list[str]:
    return [name for name, was in found.items() if name.startswith(number + ":") and was == status]


def try_one(mutation: Mutation) -> tuple[str, str]:
    """(verdict, the tests that failed)"""
    log = SCRATCH / f"{mutation.name}.log"
    done = git_apply(TREE, mutation.path)
    if done.returncode != 0:
        return "DOES NOT APPLY", done.stderr.strip()
    try:
        build(mutation.build, log)
        found = tests(mutation.red, log)
    except Broken as broken:
        return "BROKEN", str(broken)
    finally:
        for file in mutation.touched:
            shutil.copy(SOURCE / file, TREE / file)
    unseen = [number for number in mutation.red if not those_of(number, found, "fail")]
    if unseen:
        return "NOT NOTICED", f"by {', '.join(unseen)}: {log}"
    return "red", "; ".join(name for name, was in found.items() if was == "fail")


def baseline(mutations: list[Mutation]) -> bool:
    """A test that is red anyhow, or skipped, shows nothing."""
    log = SCRATCH / "baseline.log"
    build(sorted({target for mutation in mutations for target in mutation.build}), log)
    numbers = sorted({number for mutation in mutations for number in mutation.red})
    found = tests(numbers, log)
    bad = [f"{name}: {was}" for name, was in found.items() if was == "fail"]
    bad += [f"{number}: no test ran" for number in numbers if not those_of(number, found, "run")]
    print(f"before: {len(found)} tests of {len(numbers)} numbers, {len(bad)} not green", flush=True)
    for line in bad:
        print(f"  {line}")
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(description="Takes out one defence after the other; its attack test must go red.")
    parser.add_argument("--check", action="store_true", help="only whether the patches apply")
    parser.add_argument("pattern", nargs="*", help="part of a patch's name")
    options = parser.parse_args()
    try:
        mutations = [read(path) for path in sorted(HERE.glob("*.patch"))
                     if not options.pattern or any(part in path.stem for part in options.pattern)]
        if options.check:
            return 0 if check(mutations) else 1
        if not mutations:
            raise Broken("no patch has such a name")
        SCRATCH.mkdir(parents=True, exist_ok=True)
        mirror()
        if not baseline(mutations):
            return 1
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    unnoticed = 0
    width = max(len(mutation.name) for mutation in mutations)
    for mutation in mutations:
        began = time.monotonic()
        verdict, what = try_one(mutation)
        unnoticed += verdict != "red"
        print(f"{mutation.name:{width}}  {verdict:11}  {time.monotonic() - began:5.0f} s  {what}", flush=True)
    print(f"{len(mutations)} defences taken out, {len(mutations) - unnoticed} noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
