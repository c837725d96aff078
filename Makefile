# Each target does all of its own set-up; `make demo` and `make test` are all that a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo

.PHONY: demo test faults lint docs clean

# installs only when the list of dependencies has changed
$(VENV)/.demo: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "adaptax needs Python >= 3.11; try: make PYTHON=python3.11"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[report,gymnasium]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "adaptax needs Python >= 3.11; try: make PYTHON=python3.11"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[report,gymnasium,dev]"
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## train RL2 on bandits, compare it with the exact optimum, write a report
	rm -rf $(RUN)
	$(BIN)/adaptax train rl2 bernoulli-bandit --preset demo --out $(RUN)
	$(BIN)/adaptax evaluate $(RUN) --tasks 20000
	$(BIN)/adaptax report $(RUN)
	@echo "next:   $(BIN)/adaptax adapt $(RUN) --task '[0.1, 0.2, 0.9, 0.3, 0.1]'"
	@echo "        $(BIN)/adaptax train maml point-navigation"
	@echo "        $(BIN)/adaptax list"

test: $(VENV)/.dev lint  ## all tests, lint and types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

faults: $(VENV)/.dev  ## all faults in full, twenty minutes; one of them: make faults TEST=F12
	$(BIN)/python -m pytest tests -n 2 --dist load -m fault --full \
		--reliability=benchmarks/results/reliability.json $(if $(TEST),--fault $(TEST))

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

docs: $(VENV)/.dev  ## pages of learners and environments, from their docstrings
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache
