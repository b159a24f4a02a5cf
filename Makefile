# A thin front for people who type `make`. The build itself is meson.build's; `make help` lists what there is.

BUILD := build
SANITIZED := build-sanitized
FUZZ := build-fuzz
WATCHED := build-threads
PREFIX := /usr/local
FUZZ_SECONDS := 60
DIST :=
CHIPS := sm_90a
CARD_TESTS := tests/device/gpu/gpu_card_test \
	$(patsubst %,tests/simt/card/card_%_test,rows products sums causal gradients ops attention choice qkv recur route model)
# Some tests wait for a clock more than they compute.
JOBS := $(shell expr $$(nproc) + 1)
# How many times as long as on a machine of two idle cores a test may take: one that hangs ends in minutes.
PATIENCE := 5

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) gyr

help:
	@echo "make            build build/gyr (release)"
	@echo "make demo       install what is missing, build, and stream a poem"
	@echo "make test       install what is missing, build, and run every test, also under sanitizers"
	@echo "make test-all   the same, and under sanitizers every case of every test"
	@echo "make test-threads run the engine's and the server's tests under ThreadSanitizer"
	@echo "make test-web   install Chromium if it is missing, and test the page in it, thoroughly"
	@echo "make test-gpu   try the card of this machine: open, copy, compute, fail, how fast; says so if there is none"
	@echo "make gpu-kit    the same as a folder for a machine with a driver alone; CHIPS=\"sm_80 sm_90a\" for those"
	@echo "make test-hosts run ranks on hosts that are network namespaces here, over links of set speeds (root, Open MPI)"
	@echo "make bench      measure the poet and the kernels against this machine's limits"
	@echo "make compare    measure gyr and llama.cpp, built for this machine, in turn on the same files"
	@echo "make conformance   run clients, agents and test suites of others against gyr serve (from PyPI, npm and GitHub)"
	@echo "make fuzz       run each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) (needs clang)"
	@echo "make install    install the program, library and manual under PREFIX=$(PREFIX)"
	@echo "make dist       make a tarball with a program that runs on any Linux; DIST=\"x86_64 aarch64\" for both kinds"
	@echo "make format     format the sources (needs clang-format)"
	@echo "make clean      remove what was built"

setup:
	@tools/setup

demo:
	@tools/setup
	@$(MAKE) --no-print-directory all
	@echo
	$(BUILD)/gyr run "Write a poem about San Francisco"

# Both builds run the same tests; the rules of the house are checked in the first. The totals close the output.
test:
	@tools/setup
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja $(SANITIZED)/build.ninja
	@rm -f $(BUILD)/meson-logs/testlog.json $(SANITIZED)/meson-logs/testlog.json
	ninja -C $(BUILD)
	ninja -C $(SANITIZED)
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --num-processes $(JOBS) --timeout-multiplier $(PATIENCE) || true
	@meson test -C $(SANITIZED) --no-rebuild --print-errorlogs --num-processes $(JOBS) --timeout-multiplier $(PATIENCE) || true
	@tools/check/totals $(BUILD) $(SANITIZED)

test-all: $(SANITIZED)/build.ninja
	meson configure $(SANITIZED) -Dthorough=true
	@$(MAKE) --no-print-directory test PATIENCE=60

# The tests in which threads meet; those in Python run the server that is watched. A report is a failure.
THREAD_TESTS := $(addprefix tests/engine/,$(addsuffix _test,answer batch cache move receipt saved session set_aside sharing state threads)) \
	$(addprefix tests/server/server_,$(addsuffix _test,batches clerks files keys limits store tunes usage)) tests/server/serve_stand_in
test-threads: $(WATCHED)/build.ninja
	@tools/setup
	ninja -C $(WATCHED) gyr $(THREAD_TESTS)
	@tools/check/threads $(WATCHED) $(THREAD_TESTS)

test-web: $(BUILD)/build.ninja
	@tools/setup --browser
	ninja -C $(BUILD) gyr tests/server/serve_stand_in
	GYR_WEB=all meson test -C $(BUILD) --no-rebuild --print-errorlogs --timeout-multiplier 10 --suite web

# Not part of `make test`, which needs no card.
test-gpu: $(BUILD)/build.ninja
	ninja -C $(BUILD) gyr $(CARD_TESTS)
	@tools/gpu/try $(BUILD)

# For a machine that has a card and cannot build: CHIPS of it, and GYR_GPU_LIBRARIES with NVRTC.
gpu-kit: $(BUILD)/build.ninja
	ninja -C $(BUILD) gyr $(CARD_TESTS)
	tools/gpu/kit $(BUILD) $(BUILD)/gpu-kit $(CHIPS)

# Needs root and Open MPI, and minutes; says so where it cannot be.
test-hosts: $(BUILD)/build.ninja
	ninja -C $(BUILD)
	@tools/check/hosts $(BUILD) $(MODEL)

bench: $(BUILD)/build.ninja
	ninja -C $(BUILD) gyr tests/device/kernels_test
	$(BUILD)/gyr bench
	@echo "the kernels, one token:"
	$(BUILD)/tests/device/kernels_test --bench 1
	@echo "64 tokens at once:"
	$(BUILD)/tests/device/kernels_test --bench 64

compare: all
	bench/compare --gyr $(BUILD)/gyr

conformance: $(BUILD)/build.ninja
	meson compile -C $(BUILD) gyr:executable gyr:shared_library serve_stand_in
	tools/check/conformance --build $(BUILD) $(if $(CACHE),--cache $(CACHE)) $(SUITES)

fuzz: $(FUZZ)/build.ninja
	ninja -C $(FUZZ)
	@tools/check/fuzz $(FUZZ) $(FUZZ_SECONDS)

install: $(BUILD)/build.ninja
	meson configure $(BUILD) -Dprefix=$(PREFIX)
	meson install -C $(BUILD)

dist:
	@tools/dist $(DIST)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(BUILD) $(SANITIZED) $(FUZZ) $(WATCHED) build-dist

$(BUILD)/build.ninja:
	@tools/setup --check
	meson setup $(BUILD)

# What a sanitizer sees ends the program; of the debugger's data its reports need the lines alone. The instrumentation
# confuses some warnings of GCC; the build that ships has them all as errors.
$(SANITIZED)/build.ninja:
	meson setup $(SANITIZED) --buildtype=debugoptimized --optimization=1 -Dwerror=false -Dhouse=false \
		-Db_sanitize=address,undefined -Dc_args='-fno-sanitize-recover=all -g1'

$(WATCHED)/build.ninja:
	meson setup $(WATCHED) --buildtype=debugoptimized --optimization=1 -Dwerror=false -Dhouse=false \
		-Db_sanitize=thread -Db_lundef=false -Dc_args=-g1

$(FUZZ)/build.ninja:
	CC=clang meson setup $(FUZZ) --buildtype=debugoptimized -Dfuzz=true

.PHONY: all help setup demo test test-all test-threads test-web test-gpu gpu-kit test-hosts bench compare conformance fuzz install dist format clean
