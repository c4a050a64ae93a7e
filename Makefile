# One command each. `make demo` and `make test` are the two a newcomer needs.
SHELL := /bin/bash
CARGO ?= cargo
ARGS ?=

.PHONY: demo test soak lint run bench lab fmt docs help

help: ## what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 8

demo: ## the S3 → Glue → Redshift → S3 pipeline with real data, offline (make demo ARGS=--exit ends by itself)
	@scripts/need compiler python postgres lab
	@$(CARGO) build --locked --bin windrose
	@scripts/demo $(ARGS)

test: ## every test, on SQLite and PostgreSQL, with the lab
	@scripts/need compiler python postgres git lab
	@scripts/test $(ARGS)

soak: ## property tests and simulated histories with new seeds (make soak ARGS=--minutes\ 30)
	@scripts/need compiler python
	@scripts/soak $(ARGS)

lint: ## formatting, clippy, dependency arrows, licences, unused dependencies, sizes
	@scripts/need compiler python lint
	@scripts/lint

run: ## serve the example DAGs that need no lab
	@scripts/need compiler python
	@$(CARGO) run --locked --bin windrose -- standalone --dags dags/local $(ARGS)

bench: ## the figures of docs/benchmarks.md, as ratios to raw baselines
	@scripts/need compiler python postgres
	@scripts/bench $(ARGS)

lab: ## the offline AWS alone; prints its endpoints as JSON
	@scripts/need python postgres lab
	@lab/lab $(ARGS)

fmt: ## format everything
	@$(CARGO) fmt --all

docs: ## write the generated pages anew
	@$(CARGO) run --locked --quiet --bin windrose -- operators docs > docs/operators.md
	@$(CARGO) run --locked --quiet --bin windrose -- dags schema > docs/dag.schema.json
