#!/bin/sh
# Install the clients that the tests drive, Debian's packages, when root; otherwise say what is missing.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends $missing; } >/dev/null || {
        echo "These packages could not be installed:$missing" >&2
        [ "${CI:-}" != true ] || exit 1
    }
else
    echo "Missing, so the tests that need them are skipped or slower:$missing  (apt install$missing)" >&2
fi
