"""Texts, model, chat and wires are pure, so their own tests reach every branch of them.

Where this test runs, those tests run in it and not a second time: see conftest.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from pure import PURE

TOP = Path(__file__).parent.parent


@pytest.mark.timeout(1800)
def test_pure_packages_are_covered_by_their_own_tests(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    coverage = [sys.executable, "-m", "coverage"]
    run = [*coverage, "run", data, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{part}" for part in PURE)]
    tests = subprocess.run(run, cwd=TOP, capture_output=True, text=True)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    report = subprocess.run(
        [*coverage, "report", data, "--fail-under=100", "--skip-covered"], cwd=TOP, capture_output=True, text=True
    )
    assert report.returncode == 0, report.stdout
