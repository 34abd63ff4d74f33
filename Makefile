# Two commands do all the set-up: `make hello` builds, installs and runs a first container; `make test` runs every test.
#
#   PREFIX   where to install (default ~/.local)      DESTDIR  put before PREFIX by packagers
#   NAME     the name of the front program (default ctr; containerd's debug client has that name too)

PREFIX ?= $(HOME)/.local
DESTDIR ?=
NAME ?= ctr
# Which commit the programs are of, so that two builds are told apart; a tree without git has none.
COMMIT = $(or $(CTR_COMMIT),$(if $(wildcard .git),$(shell git describe --always --exclude='*' --abbrev=12 --dirty 2>/dev/null)))
export PREFIX DESTDIR NAME

.PHONY: help hello build install uninstall test check fuzz guards bench flags generated clean

help:
	@echo 'make hello     build, install to PREFIX and run a first container'
	@echo 'make test      set up, then run every check and test (as root: as an unprivileged user it makes)'
	@echo 'make check     format, lints, licences and sources of dependencies'
	@echo 'make fuzz      a bounded run of every fuzz target (FUZZ_SECONDS=N for N s each)'
	@echo 'make guards    take each guard against hostile images out, and see a test notice'
	@echo 'make bench     compare with bwrap and podman, print the ratios'
	@echo 'make install   PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) NAME=$(NAME)'
	@echo 'make generated man pages and completions anew from the commands'
	@echo 'make flags     the table of flags and their tests anew, from what the tests run'

hello:
	@scripts/set-up hello
	@$(MAKE) --no-print-directory build
	@scripts/install
	"$(PREFIX)/bin/$(NAME)" run --rm localhost/hello

build:
	CTR_COMMIT='$(COMMIT)' cargo build --release --locked -p ctr-run -p ctr-copy

install: build
	@scripts/install

uninstall:
	@scripts/install --remove

test:
	@scripts/test

check:
	@scripts/check

fuzz:
	@scripts/fuzz

guards:
	@scripts/guards

bench: build
	@bench/run

flags:
	: >target/invocations
	CTR_TEST_INVOCATIONS=$(CURDIR)/target/invocations cargo test --locked -p ctr-tests --test run --test copy
	UPDATE=1 CTR_TEST_INVOCATIONS=$(CURDIR)/target/invocations \
	  cargo test --locked -p ctr-tests --test arch -- --ignored what_the_tests_ran_proves_the_table

generated:
	UPDATE=1 cargo test --locked -p ctr-tests --test arch generated

clean:
	cargo clean
