# make demo         scores the sample slide and, where there is a screen, shows it in napari
# make test         runs the tests, on Debian as root with the system libraries they need
# make lint         style, types and the contracts between the floors
# make fuzz         reads 100,000 damaged files; faults end it with an error
# make screenshots  the pictures in docs/images; PAGES="evidence annotate" for some
# make site         the documentation as a site, in site/; warnings are errors
# make env          the environment with everything, in .venv
#
# Each creates .venv first if need be. Another Python: make PYTHON=python3.12 demo
export PYTHON

# Tests at once; files stay whole, as tests in one share what is slow to make. What is compiled is
# written to disk whatever the environment says, as tests start many programs of their own.
WORKERS ?= 2

# Installing again is only worth it when one of these changes.
INSTALLED_BY := pyproject.toml .ci/constraints.txt scripts/make_environment.sh
USER_ENV := .venv/.installed-all
FULL_ENV := .venv/.installed-all,train,test,dev
SITE_ENV := .venv/.installed-docs

# Screenshots need a screen, if only a virtual one.
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,$(if $(filter Linux,$(shell uname -s)),xvfb-run --auto-servernum --server-args="-screen 0 1600x1000x24"))

# Damaged files of each of 31 kinds.
EACH ?= 4000

# Pages of the documentation that have pictures of the viewer.
PAGES ?= $(filter-out __init__ viewer,$(basename $(notdir $(wildcard docs/screenshots/*.py))))

.PHONY: demo test lint fuzz screenshots site env clean

demo: $(USER_ENV)
	scripts/demo.sh

test: $(FULL_ENV)
	scripts/system_libraries.sh
	PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: $(FULL_ENV)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

fuzz: $(FULL_ENV)
	cd tests && OMP_NUM_THREADS=1 ../.venv/bin/python -m fuzz --each $(EACH)

screenshots: $(FULL_ENV)
	scripts/system_libraries.sh
	for page in $(PAGES); do $(SCREEN) .venv/bin/python -m docs.screenshots.$$page || exit 1; done

# Made anew each time: the reference comes from the source, which Sphinx does not watch.
site: $(SITE_ENV)
	rm -rf site
	.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet --doctree-dir build/doctrees docs site
	@echo "The site is in site/: open site/index.html"

env: $(FULL_ENV)

clean:
	rm -rf .venv demo_output dist build site

$(FULL_ENV): $(INSTALLED_BY)
	scripts/make_environment.sh all,train,test,dev
	touch $(FULL_ENV) $(USER_ENV)

$(USER_ENV): $(INSTALLED_BY)
	scripts/make_environment.sh all
	touch $(USER_ENV)

$(SITE_ENV): $(INSTALLED_BY)
	scripts/make_environment.sh docs
	touch $(SITE_ENV)
