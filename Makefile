# Two commands: `make demo` shows it work from nothing, `make test` proves it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# faiss-cpu or faiss-gpu, never both: make demo FAISS=gpu
FAISS ?= cpu

.PHONY: help demo test lint install develop bench evaluate reproduce clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      install, index the sample gallery, query it, and say where the pictures are"
	@echo "make test      install, check types and style, run the tests"
	@echo "make bench     measure describing, indexing, querying and searching (20 minutes and 4 GB of disk; DATA=data/synth)"
	@echo "make reproduce render the paper's data set and measure everything in its section 4 (FACE_MODEL=path, about an hour)"
	@echo "make evaluate  render the paper's data set and measure recall (needs FACE_MODEL=path, about 25 minutes)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The two Faiss packages provide the same module and must never both be installed.
$(VENV)/.faiss-$(FAISS): pyproject.toml | $(BIN)/python
	rm -f $(VENV)/.faiss-* $(VENV)/.developer
	$(BIN)/python -m pip uninstall --quiet --yes faiss-cpu faiss-gpu 2>/dev/null
	$(BIN)/python -m pip install --quiet --editable '.[$(FAISS)]'
	touch $@

$(VENV)/.developer: $(VENV)/.faiss-$(FAISS)
	$(BIN)/python -m pip install --quiet --editable '.[$(FAISS),synth,dev]'
	touch $@

install: $(VENV)/.faiss-$(FAISS)

develop: $(VENV)/.developer

demo: install
	$(BIN)/facesearch demo --out demo

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q

# DATA: a data set to take the pictures from; ROWS: sizes of generated galleries
ROWS ?= 20000 1000000
bench: develop
	OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 PYTHONPATH=. $(BIN)/python benchmarks/speed.py $(if $(DATA),--data "$(DATA)")
	OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 PYTHONPATH=. $(BIN)/python benchmarks/search.py --rows $(ROWS) $(if $(DATA),--data "$(DATA)")

evaluate: develop
	@test -n "$(FACE_MODEL)" || { echo "give FACE_MODEL=path of the ICT Face Model Light"; exit 2; }
	$(BIN)/facesearch synth --face-model "$(FACE_MODEL)" --identities 249 --out data/synth
	$(BIN)/facesearch evaluate --data data/synth --out runs/evaluation --queries 2000

reproduce: develop
	@test -n "$(FACE_MODEL)" || { echo "give FACE_MODEL=path of the ICT Face Model Light"; exit 2; }
	$(BIN)/facesearch synth --face-model "$(FACE_MODEL)" --identities 249 --out data/synth
	$(BIN)/facesearch reproduce --data data/synth --out runs/reproduction

clean:
	rm -rf $(VENV) demo build dist
