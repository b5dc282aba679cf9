#!/bin/sh
# Pin every dependency with its hashes, for all Pythons and systems, from pyproject.toml.
set -eu
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "lock.sh needs uv: pip install uv" >&2; exit 2; }
lock() { uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q "$@"; }
lock --extra build --extra ssh -o requirements/run.txt
lock --extra build --extra ssh --extra dev -o requirements/dev.txt
