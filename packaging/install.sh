#!/bin/sh
# Install hubbub from the wheels beside this file, without a network:  sh install.sh [FOLDER]
# The command is then FOLDER/bin/hubbub; the folder is /opt/hubbub unless another one is named.
set -eu
cd "$(dirname "$0")"
folder=${1:-/opt/hubbub}
${PYTHON:-python3} -m venv "$folder" || {
    echo "Python's module venv is missing (Debian and Ubuntu: the package python3-venv)." >&2
    exit 2
}
"$folder/bin/pip" install -q --disable-pip-version-check --no-index --find-links wheels 'hubbub[ssh]'
"$folder/bin/hubbub" --version
