#!/bin/sh
# Load a server of its own on a free port with storage on, and print what it delivered.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
.venv/bin/hubbub serve --listen "127.0.0.1:$port" --data "$folder" --no-limits --log-level error &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server || true; rm -rf "$folder"' EXIT
until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do sleep 0.05; done
echo "as fast as it goes"
.venv/bin/hubbub bench "127.0.0.1:$port" --clients 200 --senders 20 --messages 5000
echo
echo "100 messages a second"
.venv/bin/hubbub bench "127.0.0.1:$port" --clients 200 --senders 20 --messages 500 --rate 100
