"""Prints sizes of files and functions per crate; fails above the hard limits.

The code is formatted by rustfmt, so a function ends at the first closing brace in the column where it began.
"""

import re
import statistics
import subprocess
import sys

FILE_LIMIT = 500
TEST_FILE_LIMIT = 800
FUNCTION_LIMIT = 80
FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?(?:unsafe )?fn (\w+)")


def functions(lines: list) -> list:
    """(name, first line, length) of each function with a body."""
    found = []
    for number, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match:
            continue
        end_mark = match.group(1) + "}"
        for end in range(number, len(lines)):
            text = lines[end]
            if text.startswith(match.group(1) + "}") and text.rstrip() == end_mark:
                found.append((match.group(2), number + 1, end - number + 1))
                break
            if end == number and (text.rstrip().endswith("}") or text.rstrip().endswith(";")):
                found.append((match.group(2), number + 1, 1))
                break
    return found


def is_test(path: str) -> bool:
    return "/tests/" in path or path.startswith("testkit/") or path.endswith("/tests.rs")


def main() -> int:
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.rs", "*.py"], text=True).split()
    crates, wrong = {}, []
    for path in files:
        try:
            lines = open(path, encoding="utf-8").read().splitlines()
        except FileNotFoundError:
            continue
        limit = TEST_FILE_LIMIT if is_test(path) else FILE_LIMIT
        if len(lines) > limit:
            wrong.append(f"{path} has {len(lines)} lines; {limit} is the limit: find the concept that wants its own module")
        entry = crates.setdefault(path.split("/")[0], ([], []))
        entry[0].append(len(lines))
        if not path.endswith(".rs"):
            continue
        for name, first, length in functions(lines):
            entry[1].append(length)
            if length > FUNCTION_LIMIT and not is_test(path):
                wrong.append(f"{path}:{first} fn {name} has {length} lines; {FUNCTION_LIMIT} is the limit")
    print(f"{'':12}{'files':>6}{'lines':>8}{'median':>8}{'p90':>6}{'max':>6}   {'fns':>6}{'median':>8}{'p90':>6}{'max':>6}")
    for name, (sizes, lengths) in sorted(crates.items()):
        row = f"{name:12}{len(sizes):6}{sum(sizes):8}{spread(sizes)}   {len(lengths):6}{spread(lengths)}"
        print(row)
    for line in wrong:
        print(f"sizes: {line}")
    return 1 if wrong else 0


def spread(values: list) -> str:
    if not values:
        return f"{'-':>8}{'-':>6}{'-':>6}"
    ordered = sorted(values)
    return f"{statistics.median(ordered):8.0f}{ordered[int(len(ordered) * 0.9)] if len(ordered) > 1 else ordered[0]:6}{ordered[-1]:6}"


sys.exit(main())
