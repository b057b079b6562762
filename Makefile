# Two commands: `make demo` shows it work from nothing, `make test` proves it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# faiss-cpu or faiss-gpu, never both: make demo FAISS=gpu
FAISS ?= cpu

.PHONY: demo test lint install evaluate clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      install, index the sample gallery, query it, and say where the pictures are"
	@echo "make test      install, check types and style, run the tests"
	@echo "make evaluate  render the paper's data set and measure recall (needs FACE_MODEL=path, about 25 minutes)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

install: $(VENV)/.installed-$(FAISS)

$(VENV)/.installed-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*,synth,dev]'
	touch $@

demo: install
	$(BIN)/facesearch demo --out demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install lint
	$(BIN)/python -m pytest -q

evaluate: install
	@test -n "$(FACE_MODEL)" || { echo "give FACE_MODEL=path of the ICT Face Model Light"; exit 2; }
	$(BIN)/facesearch synth --face-model "$(FACE_MODEL)" --identities 249 --out data/synth
	$(BIN)/facesearch evaluate --data data/synth --out runs/evaluation --queries 2000

clean:
	rm -rf $(VENV) demo build dist
