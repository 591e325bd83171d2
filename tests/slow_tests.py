"""`python tests/slow_tests.py RUN.xml`: write slow.txt, the tests that `make test-fast` leaves out beside those marked.

RUN.xml is of a whole run: `pytest --junitxml=RUN.xml`. A test is slow that took longer than `MOST_S` there, whatever it
is of; where `make test-fast` takes more than two and a half minutes on two idle cores, `MOST_S` is lowered.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

LIST = Path(__file__).with_name("slow.txt")
MOST_S = 1.0
"""What a test may take, all its parameters together, and be among the fast ones."""


def main() -> None:
    taken: Counter[str] = Counter()
    for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
        name = case.attrib["classname"].replace(".", "/") + ".py::" + case.attrib["name"].split("[")[0]
        taken[name] += float(case.attrib["time"])  # type: ignore[assignment]  # seconds
    LIST.write_text("".join(f"{name}\n" for name in sorted(taken) if taken[name] > MOST_S))


if __name__ == "__main__":
    main()
