# make demo   install into .venv and register a pair of sample shapes into demo/
# make check  format, lint, types, layers, and the tests that take a minute or two
# make test   the whole test suite
# make test-gpu  the tests that need a CUDA device, and the laws of transport on it
# make gpu    test-gpu, then benchmarks/gpu.py. With GPU_PYTHON=python3 both run in an environment of yours, which has
#             what otreg[test] needs, and nothing is installed
# make bench  the scripts of benchmarks/ that need no GPU
# make clean  remove what make made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
PINS := pyproject.toml constraints.txt

# What runs on a GPU: the environment above, or the Python that is given as GPU_PYTHON.
ifndef GPU_PYTHON
GPU_PYTHON := $(BIN)/python
READY := $(VENV)/.stamp-test
endif
ON_GPU := PYTHONPATH="$(CURDIR):$(CURDIR)/cli:$$PYTHONPATH" $(GPU_PYTHON)

.PHONY: demo check test test-gpu gpu bench clean
.DELETE_ON_ERROR:

# The stamps live inside the environment, so that removing it forgets them. The install is editable: only new
# dependencies ask for a new one. Each stamp waits for the one before: two pips at once would spoil an environment.
$(VENV)/.stamp-run: $(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-run
	$(PIP_INSTALL) -e '.[test,vtk]'
	touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-test
	$(PIP_INSTALL) -e '.[dev]'
	touch $@

demo: $(VENV)/.stamp-run
	$(BIN)/otreg register sample_data/creature.ply sample_data/creature_bent.ply -m rigid,spline \
		--report -d demo --overwrite
	@echo "The results are in $(CURDIR)/demo: open report.html there in a browser."

check: $(VENV)/.stamp-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not slow" $(addprefix tests/, config shapes measures models quality records \
		losses jobs test_package.py test_sample_data.py)

test: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -q

# What needs a device, then the laws, solved there by every reduction that works: see tests/transport/generators.py.
# All of it runs whatever fails before: a device may not be had again soon.
test-gpu: $(READY)
	@$(ON_GPU) -c "import torch; torch.cuda.is_available() or exit('make test-gpu: PyTorch sees no CUDA device')"
	failed=0; \
	$(ON_GPU) -m pytest -q -m gpu tests/transport tests/losses tests/models tests/registration || failed=1; \
	$(ON_GPU) -m pytest -q tests/transport/test_triton.py || failed=1; \
	OTREG_TEST_DEVICE=cuda $(ON_GPU) -m pytest -q -k "dense or keops or triton" $(addprefix tests/transport/, \
		test_laws.py test_known_answers.py test_unbalanced.py test_degenerate.py test_costs.py) || failed=1; \
	exit $$failed

gpu: $(READY)
	failed=0; $(MAKE) test-gpu || failed=1; $(ON_GPU) benchmarks/gpu.py || failed=1; exit $$failed

bench: $(VENV)/.stamp-test
	set -e; for script in $(filter-out benchmarks/gpu.py, $(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
