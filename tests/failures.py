"""What failed in a run of ctest(1), from its JUnit file: the end of each failed test's output.

usage: failures.py FILE
"""

import sys
import xml.etree.ElementTree

SHOWN = 60  # lines of each


def main():
    for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"):
        if case.get("status") not in ("fail", "notrun"):
            continue
        print(f"\n== failed: {case.get('name')} ({case.get('time')} s)")
        print("\n".join((case.findtext("system-out") or "").splitlines()[-SHOWN:]), flush=True)


if __name__ == "__main__":
    main()
