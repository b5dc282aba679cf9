"""Texts, model, chat and wires are pure, so their own tests reach every branch of them.

Where this test runs, those tests run in it and not a second time: see conftest.py. What tests at random reach does not
count: it would be another branch each time. They run without the trace, in a third of the time.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from pure import PURE

TOP = Path(__file__).parent.parent
UNTRACED = "hypothesis or untraced"


def run(*command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command], cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.timeout(1800)
def test_pure_packages_are_covered_by_their_own_tests(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    tests = ["pytest", "-p", "no:cacheprovider", *(f"tests/{part}" for part in PURE), "-m"]
    run("coverage", "run", data, "-m", *tests, f"not ({UNTRACED})")
    run("coverage", "report", data, "--fail-under=100", "--skip-covered")
    run(*tests, UNTRACED)
