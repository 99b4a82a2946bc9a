#!/usr/bin/env python3
"""The commands of the documentation. Of a man page's source (.scd) the fenced blocks under EXAMPLES; of a Markdown file
those of one language, under a heading or everywhere. Usage: commands.py FILE [LANGUAGE [HEADING]] prints one JSON object a
block: `text`, and `before`, the paragraph before it."""
import json
import re
import sys

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(text, heading):
    """The text under a heading, up to the next one of its level or above; a # in a block is no heading."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
    if not found:
        return ""
    rest = text[found.end():]
    outside = re.sub(FENCE, lambda block: re.sub(r"[^\n]", " ", block[0]), rest)
    end = re.search(rf"^#{{1,{len(found[1])}}} ", outside, re.MULTILINE)
    return rest[:end.start()] if end else rest


def blocks(path, language="sh", heading=None):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    is_page = str(path).endswith(".scd")
    if is_page or heading:
        text = section(text, heading or "EXAMPLES")
    for found in re.finditer(FENCE, text):
        if is_page or found[1] == language:
            before = [part for part in text[:found.start()].split("\n\n") if part.strip()]
            # In a man page's source a backslash is written twice.
            yield {"text": found[2].replace("\\\\", "\\") if is_page else found[2],
                   "before": before[-1].strip() if before else ""}


if __name__ == "__main__":
    for block in blocks(*sys.argv[1:4]):
        print(json.dumps(block))
