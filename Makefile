# `make bench` measures, `make test` tests; both do all the set-up first. `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SUITE ?= quick
RUNNERS ?=
OUT ?=
DASK ?=
RESUME ?=
IMAGES ?=

VENV := .venv
REQUIREMENTS := requirements.txt
BIN := $(VENV)/bin
STUBS := proto/runner_api/v1/runner_pb2.py

.DEFAULT_GOAL := help

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

.PHONY: bench
bench: setup images ## Measure: make bench [SUITE=quick|FILE] [RUNNERS=FILE] [OUT=DIR] [DASK=tcp://HOST:PORT], or go on: make bench RESUME=DIR
	$(BIN)/portbench run $(if $(RESUME),--resume "$(RESUME)","$(SUITE)") $(if $(RUNNERS),--runners "$(RUNNERS)") $(if $(OUT),--out "$(OUT)") $(if $(DASK),--dask "$(DASK)")

.PHONY: study
study: ## The study, or with SUITE=study-small a reduced one: make study [SUITE=study-small] [RUNNERS=FILE] [OUT=DIR]
	$(MAKE) bench SUITE=$(if $(filter file,$(origin SUITE)),study,$(SUITE))

.PHONY: extended
extended: setup images ## Over 40 architectures of other packages through every converter and runner; hours: make extended [OUT=DIR]
	$(BIN)/python -m pip install --quiet --requirement requirements-extended.txt --constraint $(REQUIREMENTS)
	$(MAKE) bench SUITE=extended

.PHONY: test
test: setup images ## Lint, type check and test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not alone and not study and not torture"
	$(BIN)/pytest -m alone

.PHONY: test-study
test-study: setup ## Every network of the study to every format, with hardly any training; a quarter of an hour
	$(BIN)/pytest -m study

.PHONY: torture
torture: setup images ## Faults and mutated artifacts in full counts, again with PORTBENCH_SEED=N; hours
	$(BIN)/pytest -m torture -s

.PHONY: gpu-check
gpu-check: ## The runners for GPUs on this machine, without .venv and engine: make gpu-check PYTHON=/path/to/python [OUT=FILE]
	@PYTHONPATH="$(CURDIR):$(CURDIR)/proto$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) -m tests.gpu_check $(OUT)

.PHONY: benchmarks
benchmarks: setup ## What the harness itself costs, as JSON: make benchmarks [OUT=FILE]
	$(BIN)/python -m benchmarks $(if $(OUT),--out $(OUT))

.PHONY: setup
setup: $(VENV)/.installed proto ## Make .venv with everything in it; quick when nothing changed

$(VENV)/.installed: $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11; name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --requirement $(REQUIREMENTS)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: proto
proto: $(STUBS) ## Generate the stubs of the contract

$(STUBS): proto/runner_api/v1/runner.proto $(VENV)/.installed
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=proto --pyi_out=proto --grpc_python_out=proto $<
	touch $@

.PHONY: images
images: setup ## Build the runners' images that changed, where a Docker engine answers: make images [IMAGES="pytorch-cuda ..."]
	$(BIN)/python -m orchestrator.launch.images $(IMAGES)

.PHONY: manifests
manifests: setup ## Write Compose's files and Kubernetes' manifests anew, from the table of runners
	$(BIN)/python -m orchestrator.launch.manifests

# Core ML's runner lives on a Mac, outside of a container; it listens where LISTEN says, with the certificates in CERTS.
LISTEN ?= 0.0.0.0:50051
CERTS ?=
STORE ?= $(HOME)/.cache/portbench/store
COREML := .venv-coreml
ON_A_MAC = $(if $(filter Darwin,$(shell uname -s)),,$(error Core ML runs on macOS only))
ARGUMENTS = coreml --listen "$(LISTEN)" --store "$(STORE)" $(if $(CERTS),--certs "$(CERTS)")

.PHONY: runner-coreml
runner-coreml: setup-coreml ## On a Mac, serve Core ML until Ctrl-C: make runner-coreml CERTS=DIR [LISTEN=HOST:PORT] [STORE=DIR]
	$(COREML)/bin/python -m runners $(ARGUMENTS)

.PHONY: runner-coreml-install
runner-coreml-install: setup-coreml ## The same from now on, at every login (a launchd agent)
	$(COREML)/bin/python -m runners.launchd install $(ARGUMENTS)

.PHONY: runner-coreml-remove
runner-coreml-remove: setup-coreml ## Not any more
	$(COREML)/bin/python -m runners.launchd remove coreml

.PHONY: setup-coreml
setup-coreml:
	$(ON_A_MAC)@$(MAKE) --silent VENV=$(COREML) REQUIREMENTS=docker/requirements/coreml.txt proto

.PHONY: licences
licences: setup ## Every package of the build host with its version and licence
	$(BIN)/pip-licenses --from=mixed --order=license

.PHONY: audit
audit: ## Known weaknesses in the pinned packages; asks the advisories of the package index
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet pip-audit==2.10.1
	for pins in $(REQUIREMENTS) docker/requirements/*.txt; do \
		build/audit/bin/pip-audit --no-deps --disable-pip --requirement $$pins || exit 1; done

.PHONY: lock
lock: setup ## Resolve the pinned requirements of the build host and of every image anew
	docker/lock.sh

.PHONY: clean
clean: ## Remove what was made here, but not the results
	rm -rf $(VENV) $(COREML) build *.egg-info proto/runner_api/v1/*_pb2*
