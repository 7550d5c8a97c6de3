"""Plants each defect into a copy of the source and proves that the tests which must see it fail: `make planted`.

A test that has never failed proves nothing. Each entry of `defects.toml` is one defect that a system before this one
had (`source`), as a change of one place, and the tests that must fail with it. They must pass without it, which
`make test` shows. Only a failed test counts: one that could not be collected has not seen the defect.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.planted.defects import ROOT, Defect, read_defects

FAILED = 1
SECONDS_MAX = 300


def main(wanted: list[str]) -> int:
    """Exits 0 when each defect that is named, or each of all, was seen."""
    defects = [each for each in read_defects() if not wanted or each.id in wanted or each.id.split(".")[0] in wanted]
    unseen = [each for each in defects if not _is_seen(each)]
    print(f"{len(defects) - len(unseen)} of {len(defects)} planted defects were seen")
    return 1 if unseen or not defects else 0


def _is_seen(defect: Defect) -> bool:
    with tempfile.TemporaryDirectory(prefix="rota-planted-") as directory:
        source = Path(directory) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        place = Path(directory) / defect.file
        place.write_text(place.read_text().replace(defect.find, defect.replace, 1))
        unseeing = [test for test in defect.tests if _verdict(test, source) != FAILED]
    for test in unseeing:
        print(f"{defect.id}: {defect.defect}: NOT SEEN by {test}", flush=True)
    if not unseeing:
        print(f"{defect.id}: {defect.defect}: seen", flush=True)
    return not unseeing


def _verdict(test: str, source: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-n", "0", test]
    surroundings = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if done.returncode == FAILED and " failed" not in done.stdout.splitlines()[-1]:
        return -1
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
