#!/usr/bin/env python3
"""Fuzzes: `./dev fuzz` builds the targets and calls this.

    run.py [--time SECONDS] [--like-ci] [--merge] [TARGET...]

Each target (all, when none is named) starts from its stored inputs and runs for the given time, two at once. What it
finds on the way stays in build/fuzz/found/TARGET. An input that breaks a rule is made as small as it gets and stored
beside the others in tests/fuzz/corpus/TARGET, where the test fuzz-TARGET fails until it is mended; then the status
is 1. Each run searches elsewhere. With --like-ci it begins with one seed and nothing found before, and ends after
EXECUTIONS or the given time: nearly the same search each time, so that CI judges the change and hardly its luck.
--merge fuzzes nothing: it takes what was found and reaches code that no stored input reaches into the corpus.
"""
import argparse
import concurrent.futures
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "build" / "fuzz"
ALSO = {"config": [HERE.parent / "vectors" / "config" / name for name in ("good", "broken")]}  # read-only seeds
MINIMISE = 30  # seconds for making one input smaller
# What a machine of two cores does in 25 to 55 seconds (--like-ci).
EXECUTIONS = {"answer": 300_000, "audit_log": 5_000, "audit_record": 40_000, "channel": 900_000, "config": 60_000,
              "decide": 60_000, "envelope": 300_000, "names": 50_000, "request": 300_000}


def program(target: str) -> Path:
    return BUILD / "tests" / "fuzz" / f"fuzz-{target}"


def corpus(target: str) -> Path:
    return HERE / "corpus" / target


def found(target: str) -> Path:
    folder = BUILD / "found" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def last_number(pattern: str, text: str) -> int:
    numbers = re.findall(pattern, text)
    return int(numbers[-1]) if numbers else 0


def minimised(target: str, crash: Path) -> Path:
    """A smaller input that breaks a rule too, or the same."""
    smaller = crash.with_name("smaller-" + crash.name)
    # libFuzzer starts a process for each attempt, and one that hangs is not ended by its limit: timeout(1) ends all.
    subprocess.run(["timeout", "--kill-after=5", str(2 * MINIMISE),
                    str(program(target)), "-minimize_crash=1", f"-max_total_time={MINIMISE}",
                    f"-exact_artifact_path={smaller}", str(crash)],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return smaller if smaller.exists() else crash


def store(target: str, crash: Path) -> Path:
    content = minimised(target, crash).read_bytes()
    stored = corpus(target) / f"found-{hashlib.sha256(content).hexdigest()[:12]}"
    stored.write_bytes(content)
    return stored


def fuzz(target: str, seconds: int, like_ci: bool) -> Dict[str, object]:
    crashes = BUILD / "crashes" / target
    crashes.mkdir(parents=True, exist_ok=True)
    for old in crashes.iterdir():
        old.unlink()
    if like_ci:
        shutil.rmtree(found(target))
    before = len(list(found(target).iterdir()))
    search = ["-seed=1", f"-runs={EXECUTIONS[target]}"] if like_ci else []
    command = [str(program(target)), f"-max_total_time={seconds}", *search,
               f"-dict={HERE / 'dict' / (target + '.dict')}",
               f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-timeout=30", "-rss_limit_mb=2048",
               str(found(target)), str(corpus(target)), *map(str, ALSO.get(target, []))]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         check=False)
    log = run.stdout.decode(errors="replace")
    (crashes.parent / f"{target}.log").write_text(log, encoding="utf-8")
    broken = sorted(path for path in crashes.iterdir() if not path.name.startswith("slow-unit-"))
    return {"target": target, "status": run.returncode, "log": log,
            "executions": last_number(r"stat::number_of_executed_units:\s*(\d+)", log),
            "reached": last_number(r"cov: (\d+)", log), "new": len(list(found(target).iterdir())) - before,
            "broken": store(target, broken[0]) if broken else None}


def tell(result: Dict[str, object]) -> None:
    print(f"{result['target']:<14}{result['executions']:>12} executions, {result['reached']} edges reached, "
          f"{result['new']} new inputs", flush=True)
    if result["status"] == 0:
        return
    print("    " + "\n    ".join(str(result["log"]).splitlines()[-40:]))
    stored: Optional[object] = result["broken"]
    if stored is not None:
        print(f"{result['target']}: this input breaks a rule: {stored}\n"
              f"    once more:  {program(str(result['target']))} {stored}\n"
              f"    It is a test vector now: mend the product, and commit the two together.", flush=True)


def merge(target: str) -> None:
    before = len(list(corpus(target).iterdir()))
    # Edges count, not how often each was passed: few inputs, of which each reaches something of its own.
    subprocess.run([str(program(target)), "-merge=1", "-use_counters=0", str(corpus(target)), str(found(target)),
                    *map(str, ALSO.get(target, []))], stderr=subprocess.DEVNULL, check=True)
    print(f"{target}: {len(list(corpus(target).iterdir())) - before} inputs taken into {corpus(target)}", flush=True)


def main() -> int:
    names: List[str] = sorted(path.name for path in (HERE / "corpus").iterdir())
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="Fuzzes the targets of tests/fuzz.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(names))
    parser.add_argument("--time", type=int, default=60, metavar="SECONDS", help="for each target (60)")
    parser.add_argument("--like-ci", action="store_true", help="nearly the same search each time")
    parser.add_argument("--merge", action="store_true", help="take what was found into the stored inputs")
    asked = parser.parse_args()
    unknown = sorted(set(asked.targets) - set(names))
    if unknown or asked.time < 1:
        parser.error(f"no such target: {', '.join(unknown)}" if unknown else "--time is at least 1")
    targets = asked.targets or names
    if asked.merge:
        for target in targets:
            merge(target)
        return 0
    failed = False
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as two_at_once:
        for result in two_at_once.map(lambda target: fuzz(target, asked.time, asked.like_ci), targets):
            tell(result)
            failed = failed or result["status"] != 0
    if not failed:
        print(f"no rule was broken. New inputs are in {BUILD / 'found'}; ./dev fuzz --merge keeps the useful ones")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
