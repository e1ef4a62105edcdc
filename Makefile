# Everything happens in .venv; nothing is installed outside this folder (models: the user's cache).
PYTHON ?= python3
PYTHON313 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python) python3.13)
PYTHON310 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python) python3.10)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=

.PHONY: help install demo test lint format bench dashboards peers-env ncs2-env ov2022-env ha-env quantize-env lock clean

help:
	@echo "make install   make .venv with the project and everything needed"
	@echo "make demo      watch the sample clip being analysed, in the browser"
	@echo "make test      run all tests (PYTEST_ARGS='-m \"not slow\"' for the quick ones)"
	@echo "make lint      ruff (lint, format) and mypy strict"
	@echo "make bench     measure speed and accuracy (needs ../shared/data)"
	@echo "make dashboards  write deploy/grafana/dashboards anew from tools/dashboards"
	@echo "make peers-env install other trackers for 'python -m bench.tracking' to compare with"
	@echo "make ncs2-env  make .venv-ncs2 for a Neural Compute Stick 2 on x86-64"
	@echo "make ov2022-env make .venv-ov2022: OpenVINO 2022.3, as on a Pi with the stick, for tests"
	@echo "make ha-env    make .venv-ha: Home Assistant, for a test"
	@echo "make quantize-env make .venv-quantize: NNCF, for tools/quantize"
	@echo "make lock      renew requirements.lock"

install: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Posewire needs Python 3.10 or newer: make install PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "no venv module: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: install
	$(BIN)/posewire demo $(ARGS)

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	@# HOTA is TrackEval's; with its dependencies it would bring an OpenCV that clashes with ours.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "trackeval==1.3.0" \
	  || echo "TrackEval cannot be had: no HOTA"
	$(BIN)/python -m bench $(ARGS)

# Grafana's dashboards from their description; needs Python 3.11.
dashboards: install
	$(BIN)/python tools/dashboards $(ARGS)

# Other trackers to compare with; their OpenCV clashes with ours, so in an environment of their own.
peers-env:
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check "trackers==2.6.1"

# The stick's own environments: OpenVINO and OpenCV of 2022, NumPy 1 (docs/deploy-ncs2.md).
ncs2-env:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
	  || { echo "NumPy 1 wants Python 3.10 to 3.12: make ncs2-env PYTHON=python3.12"; exit 1; }
	@test "$$(uname -m)" = x86_64 \
	  || { echo "this OpenCV is for x86-64; on a Raspberry Pi: docs/deploy-ncs2.md"; exit 1; }
	test -x .venv-ncs2/bin/python || $(PYTHON) -m venv .venv-ncs2
	.venv-ncs2/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r deploy/requirements/ncs2.txt
	.venv-ncs2/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@/sbin/ldconfig -p | grep -q 'libusb-1\.0\.so\.0' \
	  || echo "the stick needs libusb besides: apt-get install libusb-1.0-0"

ov2022-env:
	@$(PYTHON310) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null \
	  || { echo "OpenVINO 2022.3 wants Python 3.10: make ov2022-env PYTHON310=/path/to/it"; exit 1; }
	test -x .venv-ov2022/bin/python || $(PYTHON310) -m venv .venv-ov2022
	.venv-ov2022/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r deploy/requirements/ov2022.txt
	.venv-ov2022/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  "openvino==2022.3.2"
	.venv-ov2022/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .

# The last Home Assistant for any Python 3.13; it pins what it needs, but for these two, which it
# would install when it starts.
ha-env:
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
	  || { echo "Home Assistant wants Python 3.13: make ha-env PYTHON313=/path/to/it"; exit 1; }
	test -x .venv-ha/bin/python || $(PYTHON313) -m venv .venv-ha
	.venv-ha/bin/python -m pip install --quiet --disable-pip-version-check \
	  "homeassistant==2025.2.5" "home-assistant-frontend==20250221.0" "paho-mqtt==1.6.1"

# NNCF brings its own OpenVINO and much else besides, so in an environment of its own.
quantize-env:
	test -x .venv-quantize/bin/python || $(PYTHON) -m venv .venv-quantize
	.venv-quantize/bin/python -m pip install --quiet --disable-pip-version-check \
	  -r tools/quantize/requirements.txt -e ".[inference]"

lock:
	$(PYTHON) -m pip install --quiet --target .lock-tool uv
	.lock-tool/bin/uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 \
	  --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock
	for service in capture inference tracker api; do \
	  .lock-tool/bin/uv pip compile pyproject.toml --extra $$service --universal --python-version 3.10 \
	    --generate-hashes --no-annotate --no-header --quiet --output-file deploy/requirements/$$service.txt; done
	.lock-tool/bin/uv pip compile pyproject.toml deploy/requirements/ncs2.in \
	  --extra capture --extra inference --extra tracker --overrides deploy/requirements/ncs2.without \
	  --universal --python-version 3.10 --generate-hashes --no-annotate --no-header --quiet \
	  --output-file deploy/requirements/ncs2.txt
	.lock-tool/bin/uv pip compile pyproject.toml deploy/requirements/ov2022.in \
	  --extra inference --overrides deploy/requirements/ov2022.without \
	  --universal --python-version 3.10 --generate-hashes --no-annotate --no-header --quiet \
	  --output-file deploy/requirements/ov2022.txt
	.lock-tool/bin/uv pip compile pyproject.toml --extra capture --extra inference --extra tracker --extra api \
	  --universal --python-version 3.10 --generate-hashes --no-annotate --no-header --quiet --output-file deploy/requirements/pi.txt
	rm -rf .lock-tool

clean:
	rm -rf $(VENV) .venv-peers .venv-ncs2 .venv-ov2022 .venv-ha .venv-quantize .mypy_cache .ruff_cache .pytest_cache .hypothesis
