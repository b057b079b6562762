# Two commands: `make demo` shows it work from nothing, `make test` proves it. Versions are those of constraints.txt.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# faiss-cpu or faiss-gpu, never both: make demo FAISS=gpu
FAISS ?= cpu

PIP := $(BIN)/python -m pip
MILVUS := $(VENV)-milvus/bin/milvus-server

.PHONY: help demo demo-page test fast test-all test-cluster lint install develop docs constraints bench evaluate reproduce clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      install, index the sample gallery, query it, and say where the pictures are"
	@echo "make demo-page the same gallery as a page in the browser: see, turn the head, find"
	@echo "make test      install, check types and style, run the fast tests"
	@echo "make test-all  the same with every test"
	@echo "make test-cluster  install a PostgreSQL, Milvus (Lite, and a server), Ray and an S3 for tests, and run those that need a real server"
	@echo "make docs      write docs/commands.md and docs/house.md anew, from the commands and the modules themselves"
	@echo "make bench     measure describing, indexing, querying and searching (20 minutes and 4 GB of disk; DATA=data/synth)"
	@echo "make reproduce render the paper's data set and measure everything in its section 4 (FACE_MODEL=path, about an hour)"
	@echo "make evaluate  render the paper's data set and measure recall (needs FACE_MODEL=path, about 25 minutes)"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The two Faiss packages provide the same module and must never both be installed.
$(VENV)/.faiss-$(FAISS): pyproject.toml constraints.txt | $(BIN)/python
	rm -f $(VENV)/.faiss-* $(VENV)/.developer
	$(PIP) uninstall --quiet --yes faiss-cpu faiss-gpu 2>/dev/null
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(FAISS)]'
	touch $@

$(VENV)/.developer: $(VENV)/.faiss-$(FAISS)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(FAISS),heic,synth,photos,identity,serve,postgres,dev]'
	touch $@

install: $(VENV)/.faiss-$(FAISS)

develop: $(VENV)/.developer

demo-page: install
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(FAISS),photos,serve]'
	$(BIN)/facesearch serve --demo --open

demo: install
	$(BIN)/facesearch demo --out demo

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# processes of one thread each: more threads than cores slow each other down many times
ONE := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0
# What is compiled is kept: else every process that tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

# Types and style, which take one core, beside the tests: three processes on two cores, since tests wait for one another's
# disks and clocks too, and each takes from the others what it has not begun.
test: develop
	@$(MAKE) --no-print-directory -j 2 lint fast

fast: develop
	$(ONE) $(BIN)/python -m pytest -q -m "not slow and not cluster" -n 3 --dist worksteal

test-all: lint
	$(ONE) $(BIN)/python -m pytest -q -m "not cluster" -n 2 --dist loadfile

test-cluster: develop
	$(PIP) install --quiet --constraint constraints.txt --editable '.[$(FAISS),postgres,milvus,ray,store,test-cluster,dev]'
	-@test "$$(uname -sm)" = "Linux x86_64" && $(MAKE) --no-print-directory $(MILVUS) || echo "without a Milvus server"
	$(ONE) $(BIN)/python -m pytest -q -m cluster -n 2 --dist loadfile

# A real server in a wheel: it needs an older setuptools than all else.
$(MILVUS): | $(BIN)/python
	rm -rf $(VENV)-milvus
	$(PYTHON) -m venv $(VENV)-milvus
	$(VENV)-milvus/bin/python -m pip install --quiet 'setuptools<81' milvus==2.3.5

docs: develop
	PYTHONPATH=. $(BIN)/python docs/make_commands.py
	PYTHONPATH=. $(BIN)/python docs/make_house.py

# The newest versions that pyproject.toml allows, from a virtual environment of their own: try them with make test-all.
# A build's own suffix (torch 2.13.0+cpu) goes: another machine takes another build of the same version.
constraints:
	rm -rf $(VENV)-newest
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --editable '.[cpu,heic,synth,photos,identity,serve,postgres,milvus,ray,store,test-cluster,dev]'
	$(VENV)-newest/bin/python -m pip freeze --exclude-editable | sed 's/+.*//' > constraints.txt
	rm -rf $(VENV)-newest

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
