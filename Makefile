# `make lab` opens the labs, `make test` runs every test. Both first set up .venv, once.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UNFINISHED := $(VENV)/.unfinished
WORKERS ?= 2

# Override with `make PYTHON=/path/to/python3.12 lab`.
PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# An environment whose set-up was cut short, whose folder was moved, or whose Python is gone or
# too old or too new, is thrown away and made again. One that somebody else made is kept.
SICK := $(shell test -d $(VENV) && { test -e $(UNFINISHED) \
    || { test -e $(INSTALLED) && test "$$(cat $(INSTALLED))" != "$(CURDIR)"; } \
    || ! $(BIN)/python -c '$(IN_RANGE)' >/dev/null 2>&1; } && echo yes)

.DEFAULT_GOAL := help
.PHONY: help install lab test labs gallery class onnx format constraints again

help:
	@echo "make lab          open your copies of the labs in JupyterLab (sets everything up the first time)"
	@echo "make test         run every test"
	@echo "make install      only set up $(VENV)"
	@echo "make labs         rebuild the notebooks whose text in labs/src has changed"
	@echo "make gallery      write all labs as web pages into site/, to read without running"
	@echo "make class        add nbgrader, to mark learners' copies of the labs"
	@echo "make onnx         add what writes networks as ONNX files"
	@echo "make format       put the code into its standard form"
	@echo "make constraints  pin the dependencies of pyproject.toml again (needs uv)"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(wildcard etc/jupyter/*/*) $(if $(SICK),again)
	@if [ -n "$(SICK)" ] && [ ! -w $(VENV) ]; then echo "$(VENV) does not work for you and is not yours to remove: clone into a folder of your own." >&2; exit 1; fi
	@if [ ! -w "$$([ -e $(VENV) ] && echo $(VENV) || echo .)" ]; then echo "$(CURDIR) cannot be written, and its $(VENV) is missing or out of date: clone into a folder of your own, or ask the owner to run 'make install'." >&2; exit 1; fi
	@if [ -n "$(SICK)" ]; then echo "Making $(VENV) again: it was incomplete, moved, or lost its Python."; rm -rf $(VENV); fi
	@if [ ! -x $(BIN)/python ]; then \
	    for p in $(PYTHONS); do if "$$p" -c '$(IN_RANGE)' >/dev/null 2>&1; then found=$$p; break; fi; done; \
	    if [ -z "$$found" ]; then echo "cmlab needs Python 3.11, 3.12 or 3.13, which was not found as: $(PYTHONS); install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi; \
	    mkdir -p $(VENV) && touch $(UNFINISHED) && "$$found" -m venv $(VENV); fi
	@touch $(UNFINISHED)
	@echo "Installing into $(VENV): a few minutes the first time."
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]' \
	    || { test ! -e $@ || rm -f $(UNFINISHED); exit 1; }
	@echo "$(CURDIR)" > $@ && rm -f $(UNFINISHED)

# Learners work on copies in work/. Where there can be none, the labs open and cannot be saved.
# As `default_url`, the first lab is also in the address that is printed where there is no browser.
lab: install
	@if $(BIN)/cmlab labs work; then folder=work; else folder=labs; fi; \
	exec $(BIN)/python -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) \
	    --LabApp.default_url=/lab/tree/$$folder/00_start_here.ipynb

# One run of pytest checks the package, the style, the types, the notebooks and the browser, so that
# one closing line tells all. A file stays on one worker: a notebook's cells share a kernel.
test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

labs: install
	$(BIN)/cmlab labs sync
	$(BIN)/cmlab labs run

# SOURCE is the address at which the files of this repository can be read, if there is one.
gallery: install
	$(BIN)/cmlab gallery --out site $(if $(SOURCE),--source '$(SOURCE)')

class: install
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[class]'

onnx: install
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[onnx]'

format: install
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

constraints:
	uv pip compile --quiet --universal --extra test --extra class --extra onnx --no-annotate --no-header \
	    pyproject.toml -o constraints.txt
