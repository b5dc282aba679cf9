# make serve: run it.  make test: run all tests.  Both set up what they need.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# What the tests call besides Python: Debian's names.
DEBIAN := netcat-openbsd netcat-traditional ncat telnet socat openssl curl gcc libc6-dev irssi weechat-curses chromium systemd putty-tools openssh-client dropbear-bin
# With it the tests of the page take half the time: the same engine, without the windows. Chromium will do.
LIGHTER := chromium-headless-shell

.PHONY: help install serve test soak cluster check fix bench bundle lock picture screenshots clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

.venv/run: requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("hubbub needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

install: .venv/run ## build .venv with the command hubbub in it

serve: .venv/run ## run the server: nc 127.0.0.1 8888; another port: make serve PORT=9000
	@exec $(BIN)/hubbub serve $(if $(PORT),--listen 127.0.0.1:$(PORT))

test: .venv/dev ## run all tests; installs their clients when root
	@scripts/clients.sh $(DEBIAN)
	@CI= timeout 120 scripts/clients.sh $(LIGHTER) || true
	@# With bytecode kept, a worker loads all tests in a quarter of the time, and starts a server in half of it.
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

soak: .venv/dev ## try the faults of a cluster for longer, and under more load
	SOAK=1 $(BIN)/pytest tests/cluster -o timeout=3600 -o faulthandler_timeout=3660

cluster: .venv/dev ## run three nodes on three NATS servers, to try it: nc 127.0.0.1 8881
	@$(BIN)/python scripts/cluster.py

check: .venv/dev ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: .venv/dev ## format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/run ## load a server of its own, and print what it delivers
	@scripts/bench.sh

bundle: .venv/run ## pack all that an installation without a network needs, into dist/
	@scripts/bundle.sh

lock: ## pin the dependencies anew (needs uv)
	@scripts/lock.sh

picture: .venv/dev ## draw docs/terminal.svg from a real session
	$(BIN)/python scripts/picture.py

screenshots: .venv/dev ## draw docs/page-*.png from a real conversation
	$(BIN)/python scripts/screenshots.py

clean: ## forget what was built; never the data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage dist
