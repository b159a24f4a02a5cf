#!/bin/sh
# Adapters from outside: --adapter of every verb that has it, and gyr merge.
#
# usage: adapters_test.sh GYR
set -u
gyr=$(realpath "$1")
source=$(realpath "${GYR_SOURCE:-.}")
model=$source/models/poet.gguf
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
passed=0 failed=0

# is WHAT STATUS TEXT COMMAND...: its exit status is STATUS, and TEXT is in what it writes to ./out or ./err.
is() {
    what=$1 want=$2 text=$3
    shift 3
    "$@" < /dev/null > out 2> err
    status=$?
    if [ "$status" -eq "$want" ] && { cat out err; echo; } | grep -qF -- "$text"; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what: status $status, not $want, or no \"$text\": $(cat err)"
    fi
}

# adapter FOLDER BYTE: a PEFT adapter of rank 1 for a matrix of the poet, all of whose bytes are BYTE.
adapter() {
    mkdir "$1"
    name=base_model.model.transformer.h.0.self_attention.dense
    head="{\"$name.lora_A.weight\":{\"dtype\":\"F32\",\"shape\":[1,256],\"data_offsets\":[0,1024]}"
    head="$head,\"$name.lora_B.weight\":{\"dtype\":\"F32\",\"shape\":[256,1],\"data_offsets\":[1024,2048]}}"
    size=${#head} # below 65536
    # shellcheck disable=SC2059 # the bytes are a format on purpose
    {
        printf "\\$(printf %o $((size % 256)))\\$(printf %o $((size / 256)))\0\0\0\0\0\0"
        printf '%s' "$head"
        head -c 2048 /dev/zero | tr '\0' "$2"
    } > "$1/adapter_model.safetensors"
    echo '{"peft_type": "LORA", "r": 1, "lora_alpha": 1}' > "$1/adapter_config.json"
}

if [ ! -f "$model" ]; then
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
adapter zero '\0'
adapter some '?'
is "scores without" 0 "[[" "$gyr" logits -m "$model" --tokens "5 6 7"
cp out plain
is "an adapter of zeros changes nothing" 0 "$(head -c 200 plain)" "$gyr" logits -m "$model" --adapter zero --tokens "5 6 7"
cp out zeros
is "not a byte" 0 "" cmp zeros plain
is "an adapter changes the scores" 0 "[[" "$gyr" logits -m "$model" --adapter some --tokens "5 6 7"
cp out adapted
is "so that they differ" 1 "differ" cmp adapted plain
is "merge" 0 "merged.gguf: " "$gyr" merge -m "$model" --adapter some -o merged.gguf --type f32 --requantize
is "a merged model is a model" 0 "poet" "$gyr" inspect merged.gguf
is "eval" 0 "perplexity" "$gyr" eval perplexity -m "$model" --adapter some "$source/LICENSE" -c 64
is "bench" 0 "decode 2 x 2" "$gyr" bench -m "$model" --adapter some -p 8 -n 2 -b 2 --repeat 1
is "run" 0 "" "$gyr" run -m "$model" --adapter some -n 8 --receipt answer.json "The sea"
is "verify finds it by the receipt" 0 "equal: 8 tokens" "$gyr" verify answer.json
is "verify tells another one" 1 "receipt: of another adapter, with checksum " "$gyr" verify answer.json --adapter zero
is "one that is not there" 3 "nowhere: No such file or directory; check the path" \
    "$gyr" run -m "$model" --adapter nowhere hi
is "a folder of something else" 3 "no adapter_config.json in this folder; give an adapter's folder or GGUF file" \
    "$gyr" run -m "$model" --adapter . hi
is "a model" 2 "is no adapter: its general.type says something else; give it with -m" \
    "$gyr" run -m "$model" --adapter "$model" hi
sed -i 's/self_attention/self_bttention/g' some/adapter_model.safetensors
is "one of another model" 5 "adapts transformer.h.0.self_bttention.dense.weight, which gyr does not adapt in models" \
    "$gyr" merge -m "$model" --adapter some -o none.gguf
is "leaves nothing" 2 "none.gguf" ls none.gguf
is "merge needs an adapter" 2 "merge: needs --adapter PATH, what to merge into it" "$gyr" merge -m "$model" -o none.gguf
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
