#!/usr/bin/env python3
"""Says how many lines of protocol/, policy/ and audit/ were run: `./dev coverage` runs the tests and calls this.

    coverage.py BUILD [--missing]

Reads BUILD/profiles. --missing prints each line that never ran. Exits 1 below 90 % of all lines together. Only the three
libraries are counted: a function that a header holds counts where a source of theirs calls it, not where others do.
"""
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

FOLDERS = ("protocol", "policy", "audit")
WANTED = 90.0  # percent
ROOT = Path(__file__).resolve().parent.parent


def tool(name: str, *arguments: object) -> str:
    return subprocess.run([f"{name}-16", *map(str, arguments)], stdout=subprocess.PIPE, check=True).stdout.decode()


def programs(build: Path) -> List[Path]:
    made = [build / "executor" / "luminous-healingd", build / "healctl" / "healctl"]
    made += sorted((build / "tests").glob("unit-*")) + sorted((build / "tests" / "fuzz").glob("fuzz-*"))
    return [path for path in made if path.is_file() and path.suffix == ""]


def never_run(build: Path, common: List[object]) -> None:
    shown = tool("llvm-cov", "show", "--show-line-counts-or-regions=0", *common)
    for line in shown.splitlines():
        if line.endswith(".cpp:") or line.endswith(".h:"):
            print(line)
        elif "|      0|" in line:
            print(line)


def main() -> int:
    build = Path(sys.argv[1]).resolve()
    profiles = sorted((build / "profiles").glob("*.profraw"))
    if not profiles:
        sys.exit(f"no profiles in {build / 'profiles'}: ./dev coverage makes them")
    merged = build / "profiles" / "merged.profdata"
    tool("llvm-profdata", "merge", "--failure-mode=all", "-o", merged, *profiles)
    first, *others = programs(build)
    sources = [path for folder in FOLDERS for path in sorted((ROOT / folder).iterdir())
               if path.suffix in (".cpp", ".h")]
    common: List[object] = [f"-instr-profile={merged}", first]
    for other in others:
        common += ["-object", other]
    common += sources
    if "--missing" in sys.argv:
        never_run(build, common)
    found: Dict[str, Any] = json.loads(tool("llvm-cov", "export", "-summary-only", *common))
    totals = {folder: [0, 0] for folder in FOLDERS}
    for file in found["data"][0]["files"]:
        path = Path(file["filename"]).resolve()
        lines = file["summary"]["lines"]
        covered, count = lines["covered"], lines["count"]
        for index, number in enumerate((covered, count)):
            totals[path.relative_to(ROOT).parts[0]][index] += number
        print(f"{100 * covered / max(count, 1):7.1f} %  {covered:5} of {count:5}  {path.relative_to(ROOT)}")
    print()
    totals["together"] = [sum(covered for covered, _ in totals.values()), sum(count for _, count in totals.values())]
    for folder, (covered, count) in totals.items():
        print(f"{100 * covered / max(count, 1):7.1f} %  {covered:5} of {count:5}  {folder}")
    covered, count = totals["together"]
    return 0 if count > 0 and 100 * covered / count >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
