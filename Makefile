PYTHON_BIN := .venv/bin/python
WORKERS ?= 2
SECONDS ?= 600

# What the checks need of an installation that is not there: nothing below connects to anything.
ANYWHERE := env -u CROSSWIRE_CLOCK_FILE SECRET_KEY=for-the-checks-alone-0123456789-abcdefghijklmnopqrstuvwxyz
SCRATCH := $(ANYWHERE) DATABASE_URL=sqlite://:memory:
PRODUCTION := $(ANYWHERE) PUBLIC_URL=https://bus.example.com DATABASE_URL=postgres://user:password@db.invalid/crosswire \
	REDIS_URL=redis://redis.invalid:6379/0 MAIL_HOST=smtp.invalid MAIL_FROM=bus@example.com

PYTEST := $(PYTHON_BIN) -m pytest -n $(WORKERS)
COMPILE := uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-header --no-annotate pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help env run test quick agents bench soak check format lock clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

env: ## Make .venv as requirements-dev.lock says; does nothing when it is up to date
	@scripts/env.sh

run: env ## Start CrossWire here with a demo workspace (PORT=8000)
	@$(PYTHON_BIN) manage.py run

test: env check ## Run everything: the checks, then all tests on SQLite and on PostgreSQL with Redis
	@scripts/browser.sh
	$(PYTEST) --home sqlite
	$(PYTEST) --home postgres

quick: env ## Run the tests that take no browser and little time, on SQLite
	$(PYTEST) --home sqlite -m "not slow"

agents: env ## Try the real Claude Code, Codex and Gemini CLI (downloads them; AGENTS="claude --transcript FILE")
	$(PYTHON_BIN) -m tests.agents.run $(AGENTS)

bench: env ## Measure waiting, idle waits and pruning (30 minutes; BENCH=waiting, BENCH=idle or BENCH=prune)
	@for each in $(or $(BENCH),waiting idle prune); do $(PYTHON_BIN) -m tests.bench.$$each $(BENCH_ARGS) || exit 1; done

soak: env ## Let agents talk while servers and Redis die, for SECONDS=600; nothing may be lost or left over
	CROSSWIRE_SOAK_SECONDS=$(SECONDS) $(PYTHON_BIN) -m pytest -n 0 -s -p no:logging --home postgres tests/soak

check: env ## Check format, lint, types, import order, templates, migrations and production settings
	$(PYTHON_BIN) -m ruff format --check --quiet .
	$(PYTHON_BIN) -m ruff check --quiet .
	$(PYTHON_BIN) -m djlint --quiet --check --lint templates
	$(PYTHON_BIN) .venv/bin/lint-imports --no-logo
	$(SCRATCH) $(PYTHON_BIN) -m mypy
	$(SCRATCH) $(PYTHON_BIN) manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(PYTHON_BIN) manage.py check --deploy --fail-level WARNING

format: env ## Put the code and the templates into shape
	$(PYTHON_BIN) -m ruff format .
	$(PYTHON_BIN) -m ruff check --fix .
	$(PYTHON_BIN) -m djlint --quiet --reformat templates

lock: ## Write the lock files anew from pyproject.toml (UPGRADE=--upgrade takes newer versions)
	$(COMPILE) $(UPGRADE) --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --extra dev --output-file requirements-dev.lock

clean: ## Remove what can be made again; var/ with your data stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
