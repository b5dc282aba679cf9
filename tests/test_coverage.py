"""Texts, model, chat and wires are pure, so their own tests reach every branch of them."""

import subprocess
import sys
from pathlib import Path

PURE = ("text", "model", "chat", "wire")
TOP = Path(__file__).parent.parent


def test_core_and_wire_are_covered_by_their_own_tests(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    coverage = [sys.executable, "-m", "coverage"]
    run = [*coverage, "run", data, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{part}" for part in PURE)]
    subprocess.run(run, cwd=TOP, check=True, capture_output=True, timeout=900)
    report = subprocess.run(
        [*coverage, "report", data, "--fail-under=100", "--skip-covered"],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert report.returncode == 0, report.stdout
