"""What failed in a run of ctest(1), from its JUnit file: the end of each failed test's output.

usage: failures.py FILE
"""

import sys
import xml.etree.ElementTree

SHOWN = 60  # lines of each


def main():
    for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"):
        skipped = case.find("skipped")  # a program that is not there is reported so too, with another reason
        if case.get("status") != "fail" and (skipped is None or (skipped.get("message") or "").startswith("SKIP_")):
            continue
        print(f"\n== failed: {case.get('name')} ({case.get('time')} s)")
        print("\n".join((case.findtext("system-out") or "").splitlines()[-SHOWN:]), flush=True)


if __name__ == "__main__":
    main()
