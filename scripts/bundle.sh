#!/bin/sh
# Put all that an installation needs into dist/hubbub-VERSION-offline.tar.gz, for machines without a network.
# It fits this machine's kind (system, processor) and this Python's version.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
version=$("$python" -c 'import importlib.metadata as m; print(m.version("hubbub"))')
top="$build/hubbub-$version"
mkdir -p "$top" dist
# Wheels alone: source packages would need a compiler, and their own tools from the network.
"$python" -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$top/wheels" .
"$python" -m pip download -q --disable-pip-version-check --only-binary :all: --require-hashes \
    -r requirements/run.txt -d "$top/wheels"
cp packaging/install.sh packaging/hubbub.service packaging/hubbub.toml LICENSE "$top/"
tar -C "$build" -czf "dist/hubbub-$version-offline.tar.gz" "hubbub-$version"
echo "dist/hubbub-$version-offline.tar.gz"
