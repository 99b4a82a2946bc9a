"""No row without a test, no test without a row: the table of docs/security.md against the tests that it names."""

import glob
import os
import re
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
SYSTEM = os.path.join(SOURCE, "tests", "system", "CMakeLists.txt")
NUMBERS = [f"A{n:02}" for n in range(1, 45)]
COLUMNS = 5  # number, attack, where it was seen, what stops it here, test


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def rows():
    """The table's rows as lists of their cells."""
    found = [line.strip().strip("|").split("|") for line in read("docs", "security.md").splitlines()
             if re.match(r"\| A\d\d \|", line)]
    return [[cell.strip() for cell in row] for row in found]


def methods():
    """{file: [the numbers of its test methods]}"""
    return {os.path.basename(path): re.findall(r"^    def test_(A\d\d)_", read(path), re.MULTILINE)
            for path in glob.glob(os.path.join(HERE, "*_test.py"))}


class Numbers(unittest.TestCase):
    def test_each_number_is_a_row_once_and_in_order(self):
        """The table has A01 to A44, each once, in order, each row with all its cells."""
        self.assertEqual([row[0] for row in rows()], NUMBERS)
        for row in rows():
            self.assertEqual(len(row), COLUMNS, row)
            self.assertTrue(all(row), f"an empty cell: {row}")

    def test_each_number_has_a_test(self):
        """Each number has a test that needs no booted system, and there are no tests of other numbers."""
        self.assertEqual(sorted({number for found in methods().values() for number in found}), NUMBERS)

    def test_each_row_names_its_tests(self):
        """A row names the files that have a test of its number, all of them and no others, and stories that exist."""
        stories = read(SYSTEM)
        for row in rows():
            number, named = row[0], set(re.findall(r"`(\w+_test\.py)`", row[4]))
            self.assertEqual(named, {file for file, found in methods().items() if number in found}, number)
            for path in re.findall(r"`(tests/[\w./]+)`", row[4]):
                self.assertTrue(os.path.exists(os.path.join(SOURCE, path)), f"{number} names {path}")
            if f'"{number}: ' in stories:  # a story on the booted system besides
                self.assertIn("`tests/system/", row[4], number)

    def test_each_row_names_what_stops_it(self):
        """The source files that a row names exist."""
        for row in rows():
            named = re.findall(r"`([\w./-]+\.(?:cpp|h|service|socket))`", row[3])
            self.assertTrue(named, f"{row[0]} names no source file")
            for path in named:
                self.assertTrue(os.path.exists(os.path.join(SOURCE, path)), f"{row[0]} names {path}")

    def test_each_method_says_its_rule(self):
        """Each test of an attack has a line that states its rule."""
        for path in glob.glob(os.path.join(HERE, "*_test.py")):
            found = re.findall(r"^    def (test_A\d\d_\w+)\(self\):\n        (.*)$", read(path), re.MULTILINE)
            self.assertEqual(len(found), len(methods()[os.path.basename(path)]), path)
            for name, first in found:
                self.assertRegex(first, r'^""".+[.]"""$', f"{os.path.basename(path)}: {name}")

    @unittest.skipUnless(os.path.exists(os.path.join(SOURCE, "..", "shared", "design", "attacks.md")),
                         "the design is not beside this tree")
    def test_the_design_s_numbers_are_all_here(self):
        """The rows of the design's list are the rows of ours."""
        design = read("..", "shared", "design", "attacks.md")
        self.assertEqual(re.findall(r"^\| (A\d\d) \|", design, re.MULTILINE), NUMBERS)


if __name__ == "__main__":
    unittest.main(verbosity=1)
