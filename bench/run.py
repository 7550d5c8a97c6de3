"""`python bench/run.py [NAME …]`: run measurements and collect their rows. See bench/README.md."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Not this directory, where a queue.py would hide the standard library's.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from bench.harness.collecting import main

    sys.exit(main(sys.argv[1:]))
