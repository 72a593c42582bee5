# Two commands are enough: `make demo` and `make test`. Each installs what is missing, builds, and runs.
# Everything they make is in build/ and rust/target/.

SHELL = /bin/sh
export KEYCAP_TARGET_DIR := $(CURDIR)/build/rust
export KEYCAP_LIBRARY := $(CURDIR)/build/library

.PHONY: help demo test docs dist dist-check platforms install setup locks authors soak clean

help:
	@echo 'make demo        the road from a token name to a tested token, against the sandbox'
	@echo 'make test        everything that must hold: the core, the package, its check'
	@echo 'make docs        man/ and NAMESPACE from the comments in R/'
	@echo 'make dist        the source tarball with vendored crates, in build/dist/'
	@echo 'make dist-check  checks that tarball without a network'
	@echo 'make platforms   compiles that tarball for Windows, macOS and Linux on ARM'
	@echo 'make bench       speed and memory against other clients; writes bench/results.md (QUICK=1: whether it runs)'
	@echo 'make soak        10,000 calls in one session; writes bench/soak.md'
	@echo 'make locks       brings src/rust/Cargo.lock and inst/AUTHORS in line with rust/Cargo.lock'
	@echo 'make adversary   1 GB of data that is nearly a token, through the pipeline, byte for byte'
	@echo 'make fuzz        a million inputs for each fuzz target'
	@echo 'make compare     exports of 57 MB and less, cell by cell against another parser'
	@echo 'make audit       kills, faults, attacks and many processes against the audit log; writes bench/audit.md'
	@echo 'make mutants     faults injected on purpose: each has to make its test fail'
	@echo 'make clean       removes what was built'

demo: install
	@sh tools/with-r.sh Rscript --vanilla tools/demo.R

test:
	@sh tools/setup.sh test
	@sh tools/test.sh

# The package in a library of its own, not in the user's.
install:
	@sh tools/setup.sh demo
	@sh tools/install.sh

docs: install
	@sh tools/setup.sh docs
	@sh tools/with-r.sh Rscript --vanilla tools/docs.R

dist:
	@sh tools/setup.sh dist
	@sh tools/dist.sh

dist-check: dist
	@sh tools/dist-check.sh

platforms: dist
	@sh tools/platforms.sh

# Some minutes on a machine that does nothing else.
.PHONY: bench
bench:
	@sh tools/setup.sh $(if $(QUICK),demo,bench)
	@sh tools/install.sh
	@$(if $(QUICK),:,$(MAKE) --no-print-directory dist)
	@sh tools/with-r.sh python3 -B bench/run.py $(if $(QUICK),--quick)

# Some minutes; the short one is among the package's tests.
soak: install
	@sh tools/with-r.sh Rscript --vanilla tools/soak.R

setup:
	@sh tools/setup.sh test

locks:
	@sh tools/locks.sh --update
	@sh tools/authors.sh

authors:
	@sh tools/authors.sh

# The long runs; their figures stand in bench/.
.PHONY: adversary audit compare fuzz mutants

adversary:
	@sh tools/setup.sh demo
	@cd rust && KEYCAP_ADVERSARY_MB=1000 sh ../tools/with-r.sh cargo test --locked --lib -- \
	  redcap::tests::data::data_rich_in_digits --nocapture

audit: install
	@sh tests/audit/run.sh

compare: install
	@sh tests/pycap/run.sh
	@sh tests/compare/run.sh S,M,L readers

fuzz:
	@sh tools/setup.sh demo
	@sh tools/fuzz.sh

mutants:
	@sh tools/setup.sh demo
	@sh tests/mutants/run.sh

clean:
	sh cleanup
	rm -rf build rust/target rust/fuzz/target src/rust/core
