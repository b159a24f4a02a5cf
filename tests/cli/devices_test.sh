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
2  hip  Stand-in 0
   gfx942, driver HIP 7.1, compiler hipRTC 7.1; 1.07 GB of 1.07 GB memory free
   not usable: hip: gyr's kernels have not been tried on a chip of its kind yet; GYR_GPU_UNTRIED=1 uses it"

out=$(GYR_FAKE_CHIP=120 "$gyr" devices 2>&1)
has "   sm_120a, driver CUDA 13.0, compiler NVRTC 13.0; 1.07 GB of 1.07 GB memory free
   not tried on this chip yet: 'gyr devices --check' compares it with the CPU"

out=$("$gyr" devices --json 2>&1)
has '"usable": true'
has '"usable": false'
has '"isa": "gfx942"'
has '"tried": true'
has '"tried": false'
has '"why": "hip: gyr'"'"'s kernels have not been tried on a chip of its kind yet'
if printf '%s' "$out" | "$json_check"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

out=$(GYR_FAKE_VERSION=11080 "$gyr" devices 2>&1)
has "  cuda  NVIDIA card
   not usable: cuda: NVIDIA's driver is too old: it has CUDA 11.8; install NVIDIA's driver, version 525 or later"

out=$(GYR_FAKE_COMPILER=115 "$gyr" devices 2>&1)
has "compiler NVRTC 11.5; "
has "not usable: cuda: NVRTC 11.5 is too old; install NVRTC"

# A card compared with the CPU, and the CPU with plain C; a card that is wrong once, and one that fails.
export GYR_FAKE_KERNELS="$kernels"
tiny=$GYR_SOURCE/tests/data/falcon/rw/model.gguf
says() { # status, line; the command
    want_status=$1 line=$2
    shift 2
    out=$("$@" 2>&1; echo "status $?")
    has "$line"
    has "status $want_status"
}
# Under sanitizers emulated kernels take a minute: there what stops early is enough, and one card that computes.
slow=
[ -z "${TEST_ALL:-}" ] && grep -q __asan_init "$gyr" && slow=yes
if [ -z "$slow" ]; then
    says 0 "f16 f32, q8 cache: 6 batches, 153 rows of 288 scores: the same
cuda:0 (Stand-in 0) gives the CPU's bytes" "$gyr" devices --check -m "$tiny"
    says 0 ") gives plain C's bytes" "$gyr" devices --check cpu -m "$tiny"
    says 8 "f16 f32, f32 cache: of 1 x 1 tokens, score 0 of row 0 is " env GYR_FAKE_WRONG=2 "$gyr" devices --check -m "$tiny"
    has "gyr: cuda:0 (Stand-in 0) does not give the CPU's bytes; do not use it"
fi
says 8 "computing failed: error 700" env GYR_FAKE_FAIL=kernel:30:700 "$gyr" devices --check cuda:0 -m "$tiny"
says 5 "hip: gyr's kernels have not been tried" "$gyr" devices --check hip -m "$tiny"
says 5 "devices: this machine has no card to check" env LD_LIBRARY_PATH= GYR_GPU_LIBRARIES= "$gyr" devices --check -m "$tiny"
says 2 "device cuda:1: no such device" "$gyr" devices --check cuda:1 -m "$tiny"
says 2 'devices: one argument too many: "cuda"' "$gyr" devices cuda
says 2 "devices: --model goes with --check" "$gyr" devices -m "$tiny"
says 2 "devices: --check prints lines, no JSON" "$gyr" devices --check --json

# A tree without the model in the box has none to run.
if [ -e "$GYR_SOURCE/models/poet.gguf" ]; then
    out=$("$gyr" run --device hip -n 1 hello 2>&1 || echo "status $?")
    has "hip:0: gyr's kernels have not been tried on a chip of its kind yet"
    has "status 5"
    out=$("$gyr" run --device hip:3 -n 1 hello 2>&1 || echo "status $?")
    has "hip:3: no such card; there are 1"
    has "status 2"
    out=$("$gyr" run --device vulkan -n 1 hello 2>&1 || echo "status $?")
    has "device vulkan: no such device; choose one of auto, cpu, cuda, hip"
    has "status 2"

    # By itself: a card that has room, else the CPU; always the same words, and a line about it where there was a choice.
    want=$("$gyr" run --device cpu -n 2 hello 2>&1)
    case $want in *device:*) failed=$((failed + 1)) ;; *) passed=$((passed + 1)) ;; esac
    chosen() { # the line; variables
        line=$1
        shift
        out=$(env "$@" "$gyr" run -n 2 hello 2>&1; echo "status $?")
        has "$line"
        has "$want"
        has "status 0"
    }
    chosen "device: cuda:0 (Stand-in 0), 0.3 GB of 1.1 GB" GYR_DEVICE=
    [ "$slow" ] || chosen "device: cuda:0 (Stand-in 0), 0.3 GB of 1.1 GB" GYR_DEVICE=auto
    chosen "device: cpu: the model needs 0.3 GB and cuda:0 has 0.2" GYR_FAKE_MEMORY=200000000
    chosen "device: cpu: cuda:0 cannot be used: see gyr devices" GYR_FAKE_COMPILER=115
    chosen "device: cpu: cuda:0 cannot be used: see gyr devices" GYR_FAKE_CHIP=75
    chosen "device: cpu: cuda:0 cannot be used: see gyr devices" GYR_FAKE_FAIL=stream_new:1:2
    chosen "device: cpu: cuda:0 (Stand-in 0): " GYR_FAKE_FAIL=alloc:5:2
    chosen "device: cpu: cuda:0 (Stand-in 0): " GYR_FAKE_FAIL=module_load:3:1
    chosen "device: 3 of 8 layers on cuda:0 (Stand-in 0), 0.3 GB of 0.3 GB; 5 on the CPU" GYR_FAKE_MEMORY=270000000
    chosen "device: 3 of 8 layers on cuda:0 (Stand-in 0), 0.3 GB of 0.3 GB; 3 of 8 layers on cuda:1 (Stand-in 1), 0.3 GB of 0.3 GB; 2 on the CPU" GYR_FAKE_MEMORY=270000000 GYR_FAKE_CARDS=2
    mkdir "$work/hip" && ln -s "$fakes"/libamdhip64* "$fakes"/libhiprtc* "$work/hip"
    chosen "device: cpu: hip:0 cannot be used: see gyr devices" LD_LIBRARY_PATH= GYR_GPU_LIBRARIES="$work/hip"
    [ "$slow" ] || chosen "device: hip:0 (Stand-in 0), 0.3 GB of 1.1 GB" LD_LIBRARY_PATH= GYR_GPU_LIBRARIES="$work/hip" GYR_GPU_UNTRIED=1
    [ "$slow" ] || chosen "device: cuda:1 (Stand-in 1), 0.3 GB of 1.1 GB" GYR_FAKE_CARDS=2 GYR_FAKE_FAIL=stream_new:1:2
    out=$("$gyr" run --json -n 2 hello 2>&1)
    case $out in *device:*) failed=$((failed + 1)) ;; *) passed=$((passed + 1)) ;; esac
    out=$("$gyr" run -c 1000000 -n 2 hello 2>&1 || echo "status $?")
    has "the model was trained for"
    out=$(GYR_FAKE_FAIL=kernel:30:700 "$gyr" run -n 1 hello 2>&1 || echo "status $?")
    has "cuda:0 (Stand-in 0): computing failed: error 700"
    has "status 8"
    if [ -z "$slow" ]; then
        out=$("$gyr" bench -p 4 -n 1 -b 1 --repeat 1 --no-cache 2>&1)
        has "; Stand-in 0, sm_90a"
    fi

    # Shared out as the options say.
    as_told() { # the line; options
        line=$1
        shift
        out=$("$gyr" run "$@" -n 2 hello 2>&1; echo "status $?")
        has "$line"
    }
    as_told "device: 2 of 8 layers on cuda:0 (Stand-in 0), 0.3 GB of 1.1 GB; 6 on the CPU" --gpu-layers 2
    has "$want"
    as_told "device: 2 of 8 layers on cuda:0 (Stand-in 0), 0.3 GB of 1.1 GB; 6 on the CPU" --gpu-layers 2 --device cuda
    has "$want"
    as_told "gyr: poet: --gpu-layers and --cpu-experts need a card; name one, or auto" --gpu-layers 2 --device cpu
    has "status 2"
    as_told "gyr: poet: has no experts; leave out --cpu-experts" --cpu-experts
    has "status 2"
    out=$(GYR_FAKE_MEMORY=270000000 "$gyr" run --gpu-layers 5 -n 2 hello 2>&1; echo "status $?")
    has "gyr: poet: 5 layers need 0.3 GB there, and cuda:0 has 0.3 free; choose at most 3"
    has "status 6"

    # Cards alone.
    refused() { # status, line; variables and the command
        want_status=$1 line=$2
        shift 2
        out=$(env "$@" 2>&1; echo "status $?")
        has "$line"
        has "status $want_status"
    }
    out=$(GYR_FAKE_MEMORY=274000000 GYR_FAKE_CARDS=2 "$gyr" run --no-cpu -n 2 hello 2>&1; echo "status $?")
    has "device: 3 of 8 layers on cuda:0 (Stand-in 0), 0.3 GB of 0.3 GB; 5 of 8 layers on cuda:1 (Stand-in 1), 0.3 GB of 0.3 GB
"
    has "$want"
    refused 6 "gyr: poet: needs 0.3 GB and cuda:0 has 0.3 free, and --no-cpu leaves the CPU nothing; what would fit: a context of 1024 tokens; without --no-cpu, 5 of 8 layers
" \
        GYR_FAKE_MEMORY=274000000 "$gyr" run --no-cpu -n 1 hello
    refused 6 "gyr: poet: needs 0.3 GB and cuda:0 has 0.2 free, and --no-cpu leaves the CPU nothing; nothing of it would fit there" \
        GYR_FAKE_MEMORY=200000000 "$gyr" run --device cuda --no-cpu -n 1 hello
    refused 5 "gyr: poet: --no-cpu, and this machine has no card that can be used; see gyr devices" \
        GYR_FAKE_CHIP=75 "$gyr" bench --no-cpu -p 4 -n 1 -b 1
    refused 2 "gyr: poet: --no-cpu needs a card; name one, or auto" A=1 "$gyr" run --device cpu --no-cpu -n 1 hello
    refused 2 "gyr: poet: --no-cpu leaves the CPU nothing; leave out --gpu-layers and --cpu-experts" \
        A=1 "$gyr" run --gpu-layers 2 --no-cpu -n 1 hello
    refused 6 "cuda:0 (Stand-in 0): " GYR_FAKE_FAIL=alloc:5:2 "$gyr" run --no-cpu -n 1 hello
    refused 6 ", and --no-cpu leaves the CPU nothing; " GYR_FAKE_MEMORY=200000000 "$gyr" plan --no-cpu "$tiny"
    [ "$slow" ] || refused 0 "  gyr run     cuda:0 (Stand-in 0), " A=1 "$gyr" plan --no-cpu "$tiny" # measures the CPU
    refused 6 ", and --no-cpu leaves the CPU nothing; " GYR_FAKE_MEMORY=200000000 "$gyr" serve --no-cpu -m "$tiny" --port 0

    # By name: the CPU's answer, or one line that says why not.
    export GYR_GPU_UNTRIED=1
    kinds="cuda hip"
    [ "$slow" ] && kinds=hip
    for device in $kinds; do
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
