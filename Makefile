# Thin: Meson does the work (meson.build). `make help` lists what there is.
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
PYTHON := /usr/bin/python3

.DEFAULT_GOAL := help
.PHONY: help deps deps-build build run test install bench fuzz check-format tidy clean

help:
	@echo 'make run      install what is missing, build, run the service (POPKEEP_CONFIG=file, or a demonstration)'
	@echo 'make test     install what is missing, build with sanitizers, run every test'
	@echo 'make build    release build in build/'
	@echo 'make deps     install the missing Debian packages; make deps-build: only those that a build needs'
	@echo 'make install  into PREFIX=$(PREFIX), below DESTDIR'
	@echo 'make bench    measure'
	@echo 'make fuzz     every fuzz target for FUZZ_SECONDS=60, or TARGET=name alone'
	@echo 'make check-format, make tidy, make clean'

deps:
	@sh tests/deps.sh build test interop

deps-build:
	@sh tests/deps.sh build

build:
	@sh tests/configure.sh build --buildtype=release --prefix=$(PREFIX)
	@ninja -C build -j$(JOBS)

run: deps build
	@$(PYTHON) tests/demo.py build/cli/popkeep build/daemon/popkeepd

test: deps
	@bash tests/run.sh

# With sudo, what was written into build/ goes back to whose it was: the next build is not root's.
install: build
	@meson install -C build --no-rebuild --quiet
	@[ "$$(id -u)" != 0 ] || chown -R --reference=Makefile build

bench: deps build
	@sh tests/deps.sh bench
	@meson test -C build --benchmark --verbose --num-processes 1

fuzz:
	@sh tests/deps.sh build test fuzz
	@TARGET="$(TARGET)" bash tests/fuzz/fuzz.sh

check-format:
	@sh tests/deps.sh check
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format-14 --dry-run -Werror

tidy:
	@sh tests/deps.sh build test check
	@sh tests/tidy.sh

clean:
	@rm -rf build build-test build-tidy build-fuzz
