#!/bin/sh
# gyr devices with stand-ins for the libraries of GPUs' vendors: usage: devices_test.sh GYR FOLDER JSON_CHECK KERNELS
gyr=$1 fakes=$2 json_check=$3 kernels=$4
failed=0 passed=0 skipped=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work" GYR_GPU_LIBRARIES="$fakes"

has() { # what stdout has to have
    case $out in
    *"$1"*) passed=$((passed + 1)) ;;
    *)
        failed=$((failed + 1))
        printf 'not there: %s\nin:\n%s\n' "$1" "$out"
        ;;
    esac
}

out=$("$gyr" devices 2>&1)
has "0  cpu  "
has "  cuda  Stand-in 0
   sm_90a, driver CUDA 13.0, compiler NVRTC 13.0; 1.07 GB of 1.07 GB memory free
   not usable: cuda: gyr's kernels have not been tried on a card yet"
has "  hip  Stand-in 0
   gfx942, driver HIP 7.1, compiler hipRTC 7.1; 1.07 GB of 1.07 GB memory free"

out=$("$gyr" devices --json 2>&1)
has '"usable": true'
has '"usable": false'
has '"isa": "gfx942"'
has '"why": "cuda: gyr'"'"'s kernels have not been tried on a card yet'
if printf '%s' "$out" | "$json_check"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

out=$(GYR_FAKE_VERSION=11080 "$gyr" devices 2>&1)
has "  cuda  NVIDIA card
   not usable: cuda: NVIDIA's driver is too old: it has CUDA 11.8; install NVIDIA's driver, version 525 or later"

out=$(GYR_FAKE_COMPILER=115 "$gyr" devices 2>&1)
has "compiler NVRTC 11.5; "
has "not usable: cuda: NVRTC 11.5 is too old; install NVRTC"

# The CPU stays the default, and a card is refused by name. A tree without the model in the box has none to run.
if [ -e "$GYR_SOURCE/models/poet.gguf" ]; then
    out=$("$gyr" run -n 1 hello 2>&1; echo "status $?")
    has "status 0"
    out=$(GYR_DEVICE=cuda "$gyr" run -n 1 hello 2>&1 || echo "status $?")
    has "cuda:0: gyr's kernels have not been tried on a card yet"
    has "status 5"
    out=$(GYR_DEVICE=hip:3 "$gyr" run -n 1 hello 2>&1 || echo "status $?")
    has "hip:3: no such card; there are 1"
    has "status 2"

    # Asked for all the same, on cards whose kernels are the emulation's: the CPU's answer, or one line that says why not.
    export GYR_GPU_UNTRIED=1 GYR_FAKE_KERNELS="$kernels"
    want=$("$gyr" run -n 2 hello 2>/dev/null)
    for device in cuda hip; do
        out=$(GYR_DEVICE=$device "$gyr" run -n 2 hello 2>&1; echo "status $?")
        has "$want"
        has "status 0"
    done
    out=$(GYR_FAKE_MEMORY=2000000 GYR_DEVICE=cuda "$gyr" run -n 1 hello 2>&1 || echo "status $?")
    has "status 6"
    out=$(GYR_FAKE_FAIL=kernel:30:700 GYR_DEVICE=cuda "$gyr" run -n 1 hello 2>&1 || echo "status $?")
    has "cuda:0 (Stand-in 0): computing failed: error 700"
    has "status 8"
else
    skipped=1
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
