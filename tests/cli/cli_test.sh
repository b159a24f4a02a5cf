#!/bin/sh
# The command line from outside: what it prints, to where, and its exit status.
#
# usage: cli_test.sh GYR JSON_CHECK
# shellcheck disable=SC2086,SC2013 # several words in a variable are several arguments here
set -u
gyr=$(realpath "$1")
json_check=$(realpath "$2")
source=$(realpath "${GYR_SOURCE:-.}")
model=$source/models/poet.gguf
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here" || exit 1
unset GYR_MODEL
export XDG_STATE_HOME="$here/state"

# Facts about the model, which may be trained anew.
fact() { "$gyr" inspect --json "$model" | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | head -n 1; }
if [ -f "$model" ]; then
    context=$(fact context)
    vocab=$(fact vocab)
    end=$(printf '<|end|>' | "$gyr" tokenize --special)
fi

passed=0 failed=0 skipped=0 bad=0
# Under sanitizers a program takes long to begin: what is the same code again is left out there.
slow= repeat=2 documents=documents_know_every_option # which say the same of every build
[ -z "${TEST_ALL:-}" ] && grep -q __asan_init "$gyr" && slow=yes repeat=1 documents=

# run COMMAND...: runs it with an empty standard input; leaves ./out, ./err and $status.
run() {
    "$@" < /dev/null > out 2> err
    status=$?
}

# feed TEXT COMMAND...: the same with TEXT (as printf has it) on standard input.
feed() {
    text=$1
    shift
    # shellcheck disable=SC2059 # the text is a format on purpose
    printf "$text" | "$@" > out 2> err
    status=$?
}

fault() {
    bad=1
    echo "  $*"
}

status_is() { [ "$status" -eq "$1" ] || fault "status $status, not $1; stderr: $(cat err)"; }
out_is() { printf '%s' "$1" | cmp -s - out || fault "stdout is \"$(cat out)\", not \"$1\""; }
err_is() { [ "$(cat err)" = "$1" ] || fault "stderr is \"$(cat err)\", not \"$1\""; }
out_has() { grep -qF -- "$1" out || fault "stdout has no \"$1\": $(cat out)"; }
err_has() { grep -qF -- "$1" err || fault "stderr has no \"$1\": $(cat err)"; }
out_is_json() { "$json_check" "$@" < out || fault "stdout is not JSON: $(cat out)"; }

# refuses STATUS MESSAGE COMMAND...: it says just that one line, and nothing on stdout.
refuses() {
    want=$1
    message=$2
    shift 2
    run "$@"
    status_is "$want"
    err_is "gyr: $message"
    out_is ""
}

case_() {
    bad=0
    "$1"
    if [ "$bad" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1"
    fi
}

verbs="run verify serve key pull list rm inspect tokenize template embed logits eval plan devices bench convert quantize train tune merge synth version help"

help_fits_a_screen() {
    for verb in "" $verbs; do
        run "$gyr" $verb --help
        status_is 0
        err_is ""
        case $verb in bench | run | serve | train | tune) most=60 ;; '') most=30 ;; *) most=23 ;; esac # in groups, a heading each; the verbs, a line each
        [ "$(wc -l < out)" -le $most ] || fault "gyr $verb --help: $(wc -l < out) lines"
        [ "$(wc -L < out)" -le 80 ] || fault "gyr $verb --help: $(wc -L < out) columns"
        out_has "Usage: gyr"
        out_has "Example: "
        cp out long
        [ -n "$slow" ] && [ "$verb" != run ] && continue
        run "$gyr" help $verb
        [ -z "$verb" ] || cmp -s out long || fault "gyr help $verb is not gyr $verb --help"
    done
}

# Every option of the help is in the page of its verb, in the manual, and in the completions:
documents_know_every_option() {
    for verb in run serve key pull list rm inspect tokenize template embed logits eval plan devices bench convert quantize train tune merge synth; do
        run "$gyr" $verb --help
        for option in $(grep -o -e '--[a-z][a-z-]*' out | sort -u); do
            name=${option#--}
            for page in "completions/gyr.bash" "completions/_gyr"; do
                grep -q -e "$option" "$source/$page" || fault "$page has no $option"
            done
            grep -q -e "-l $name" "$source/completions/gyr.fish" || fault "completions/gyr.fish has no $option"
            grep -qE -e "Fl (. , )?-$name" "$source/docs/gyr.1" || fault "docs/gyr.1 has no $option"
            [ "$name" = help ] || grep -q -e "$option" "$source/docs/verbs/$verb.md" ||
                fault "docs/verbs/$verb.md has no $option"
        done
    done
}

keys_are_made_and_removed() {
    run "$gyr" key add ann --rate 60/min --tokens 1000/min --tokens 50000/day --concurrency 2 --models poet --admin
    status_is 0
    err_is "(the key of ann; it is not shown again)"
    [ "$(grep -cE '^gyr-[A-Za-z0-9]{40}$' out)" = 1 ] && [ "$(wc -l < out)" = 1 ] || fault "prints $(cat out)"
    key=$(cat out)
    [ "$(stat -c %a "$XDG_STATE_HOME/gyr/state.db")" = 600 ] || fault "others can read the state"
    run "$gyr" key list
    status_is 0
    out_has ", admin, 60 requests/min, 1000 tokens/min, 50000 tokens/day, 2 at once, only poet"
    grep -q "$key" out && fault "the list has the key"
    run "$gyr" key list --json
    out_is_json
    run "$gyr" key usage ann --json
    out_is_json
    refuses 2 "key ann: is there already; choose another name, or remove it first: gyr key rm ann" "$gyr" key add ann
    refuses 2 "key usage: takes no limits; they are given to 'gyr key add'" "$gyr" key usage --rate 5
    refuses 2 '--rate: "5/day" is not N/min' "$gyr" key add bob --rate 5/day
    refuses 2 '--tokens: "5" is neither N/min nor N/day' "$gyr" key add bob --tokens 5
    refuses 2 '--rate: "-1" is not a number with its time, such as 60/min' "$gyr" key add bob --rate -1
    refuses 2 "key: \"ad\": does not know this; did you mean 'gyr key add'?" "$gyr" key ad
    refuses 2 "key add: needs the NAME of a key; see 'gyr key --help'" "$gyr" key add
    run "$gyr" key rm ann
    status_is 0
    refuses 2 "key ann: there is none; 'gyr key list' shows them" "$gyr" key rm ann
    refuses 3 "/proc/no: cannot be made: No such file or directory; set GYR_STATE to a folder that may be written" \
        env GYR_STATE=/proc/no "$gyr" key list
}

# A model of one type becomes one of another; what was there before stays when that fails.
quantizes() {
    run "$gyr" quantize "$model" small.gguf --type q4_0
    status_is 2
    err_has "is quantized already (q8_0); take the model as it was before, or --requantize"
    [ -e small.gguf ] && fault "small.gguf was written"
    run "$gyr" quantize "$model" small.gguf --type q4_0 --pure --requantize -t 2
    status_is 0
    out_is ""
    err_has "small.gguf: "
    run "$gyr" inspect small.gguf
    out_has "types              q4_0 "
    run "$gyr" run -m small.gguf -n 4 --raw "The sea"
    status_is 0
    refuses 2 "./small.gguf: is the input itself; choose another name to write to" \
        "$gyr" quantize small.gguf ./small.gguf --type q4_0
    refuses 3 "/dev/full: No space left on device; free some space or write elsewhere" \
        "$gyr" quantize small.gguf /dev/full --type q4_0 --requantize
    rm -f small.gguf
}

# A folder becomes a file that gives the same scores.
converts() {
    folder=$source/tests/data/falcon/40b/hf
    run "$gyr" convert "$folder"
    status_is 2
    err_is "gyr: convert: needs -o FILE, such as -o model.gguf"
    refuses 2 "q4_km: no such type; did you mean q4_k_m?" "$gyr" convert "$folder" -o small.gguf --type q4_km
    refuses 3 "/dev/full: No space left on device; free some space or write elsewhere" \
        "$gyr" convert "$folder" -o /dev/full
    run "$gyr" convert "$folder" -o whole.gguf
    status_is 0
    out_is ""
    err_has "whole.gguf: "
    run "$gyr" logits -m "$folder" --tokens "1 2 3"
    cp out want
    run "$gyr" logits -m whole.gguf --tokens "1 2 3"
    status_is 0
    cmp -s out want || fault "the file gives other scores than the folder"
    run "$gyr" convert "$folder" -o small.gguf --type q8_0 -t 2
    status_is 0
    run "$gyr" inspect small.gguf
    out_has "types              q8_0 "
    refuses 2 "small.gguf: is GGUF already; gyr quantize writes it in another type" \
        "$gyr" convert small.gguf -o other.gguf
    rm -f small.gguf whole.gguf want
}

version_is_printed() {
    for how in version --version -V; do
        run "$gyr" $how
        status_is 0
        grep -qx 'gyr [0-9][0-9]*\.[0-9][0-9]*\.[0-9][0-9]* (arithmetic: edition [0-9])' out || fault "it says: $(cat out)"
    done
}

wrong_verbs_are_told() {
    refuses 2 "no verb given; see 'gyr --help', or try: gyr run \"Write a poem\"" "$gyr"
    refuses 2 "rum: no such verb; did you mean 'gyr run'?" "$gyr" rum
    refuses 2 "inspcet: no such verb; did you mean 'gyr inspect'?" "$gyr" inspcet x
    refuses 2 "educate: no such verb; see 'gyr --help'" "$gyr" educate
    refuses 2 "\"a poem\": no such verb; did you mean 'gyr run \"a poem\"'?" "$gyr" "a poem"
    refuses 2 "--versoin: no such option; see 'gyr --help'" "$gyr" --versoin
    refuses 2 "runn: no such verb; did you mean 'gyr run'?" "$gyr" help runn
}

wrong_options_are_told() {
    refuses 2 "--temprature: no such option; did you mean --temperature?" "$gyr" run --temprature 1
    refuses 2 "--xyzzy: no such option; see 'gyr run --help'" "$gyr" run --xyzzy
    refuses 2 "-x: no such option; see 'gyr run --help'" "$gyr" run -x
    refuses 2 "--max-tokens: needs a value: --max-tokens N" "$gyr" run --max-tokens
    refuses 2 "-n: needs a value: -n N" "$gyr" run -n
    refuses 2 "--raw: takes no value" "$gyr" run --raw=yes
    refuses 2 '--max-tokens: "many" is not a whole number from 1 to 1000000000' "$gyr" run -n many hi
    refuses 2 '--max-tokens: "0" is not a whole number from 1 to 1000000000' "$gyr" run -n0 hi
    refuses 2 '--max-tokens: "-1" is not a whole number from 1 to 1000000000' "$gyr" run -n -1 hi
    refuses 2 '--max-tokens: "5x" is not a whole number from 1 to 1000000000' "$gyr" run --max-tokens=5x hi
    refuses 2 '--seed: "18446744073709551616" is not a whole number from 0 to 18446744073709551615' \
        "$gyr" run --seed 18446744073709551616 hi
    refuses 2 '--top-p: "2" is not a number from 0 to 1' "$gyr" run --top-p 2 hi
    refuses 2 '--temperature: "nan" is not a number from 0 to 100' "$gyr" run --temp nan hi
    refuses 2 '--kv-type: "q4" is not one of f32|f16|q8' "$gyr" run --kv-type q4 hi
    refuses 2 '--kv-type: "f" is not one of f32|f16|q8' "$gyr" run --kv-type f hi
    refuses 2 '--stop: "" is not a text of at least one character' "$gyr" run --stop "" hi
    refuses 2 '--logit-bias: "3" is not a token id and a number, such as 42:-1.5 or 42:-inf' \
        "$gyr" run --logit-bias 3 hi
    refuses 2 '--logit-bias: "3:x" is not a token id and a number, such as 42:-1.5 or 42:-inf' \
        "$gyr" run --logit-bias 3:x hi
}

wrong_arguments_are_told() {
    refuses 2 "inspect: needs MODEL; see 'gyr inspect --help'" "$gyr" inspect
    refuses 2 "inspect: one argument too many: \"b\"; see 'gyr inspect --help'" "$gyr" inspect a b
    refuses 2 "devices: one argument too many: \"x\"; see 'gyr devices --help'" "$gyr" devices x
    refuses 2 "logits: needs --tokens IDS, such as --tokens \"1 2 3\"" "$gyr" logits
    refuses 2 '--tokens: "x" is not a token id; give whole numbers with spaces between them' "$gyr" logits --tokens "1 x"
    refuses 2 '--tokens: no token ids; give some, such as "1 2 3"' "$gyr" logits --tokens " "
    refuses 2 "quantize: needs IN OUT; see 'gyr quantize --help'" "$gyr" quantize a
    refuses 2 "quantize: needs --type TYPE, such as --type q4_k_m" "$gyr" quantize a b
    refuses 2 "q4_km: no such type; did you mean q4_k_m?" "$gyr" quantize a b --type q4_km
    refuses 2 "--batch: \"1,,4\" is not a list of at most 16 numbers from 1 to 1024, such as 1,4,16" "$gyr" bench -b 1,,4
    refuses 2 "--batch: \"0\" is not a list of at most 16 numbers from 1 to 1024, such as 1,4,16" "$gyr" bench -b 0
    refuses 2 "bench: --prompt 0 and --generate 0 leave nothing to measure" "$gyr" bench -p 0 -n 0
    refuses 2 "synth: needs SHAPE; see 'gyr synth --help'" "$gyr" synth
    refuses 2 "falcon-7: no such shape; did you mean falcon-7b?" "$gyr" synth falcon-7 --type f16 -o x
    refuses 2 "synth: needs --type TYPE, such as --type q4_0" "$gyr" synth falcon-7b -o x
    refuses 2 "synth: needs -o FILE, the file to write" "$gyr" synth falcon-7b --type q4_0
    refuses 2 "run: the prompt is empty; give one as an argument or through a pipe" "$gyr" run
    refuses 2 "run: the prompt is empty; give one as an argument or through a pipe" "$gyr" run ""
    refuses 2 "--system: has no meaning with --raw; write it into the prompt" "$gyr" run --raw --system be hi
    feed '1 x' "$gyr" tokenize --decode
    status_is 2
    err_is 'gyr: standard input: "x" is not a token id; give whole numbers with spaces between them'
}

# What comes out is what the template prints, no byte more; errors name line and column.
template_prints_the_prompt() {
    feed '{%% for m in messages %%}<{{ m.role }}>{{ m.content }}{%% endfor %%}\n{{ eos_token }}\n' cp /dev/stdin t.jinja
    feed '{"messages": [{"role": "user", "content": "a\\nb"}], "eos_token": "</s>"}' "$gyr" template -f t.jinja
    status_is 0
    err_is ""
    out_is "<user>a
b</s>"
    feed '[{"role": "user", "content": "x"}]' "$gyr" template --file t.jinja
    out_is "<user>x"
    feed '{"messages": [{"role": "user", "content": "hi"}], "add_generation_prompt": true}' "$gyr" template -m "$model"
    status_is 0
    out_is "<|user|>
hi<|end|>
<|assistant|>
"
    feed '{"messages":\n [}' "$gyr" template
    status_is 2
    err_is "gyr: messages:2:3: not JSON: a value is missing"
    feed '7' "$gyr" template -f t.jinja
    status_is 2
    feed 'a\n{{ 1 // 0 }}' cp /dev/stdin bad.jinja
    feed '{}' "$gyr" template -f bad.jinja
    status_is 4
    err_is "gyr: bad.jinja:2:4: division by zero"
    refuses 2 "template: --file is a template of its own; leave out -m" "$gyr" template -f t.jinja -m "$model"
    refuses 2 "$model: has no chat template called rag; it has default" "$gyr" template -m "$model" --name rag
    refuses 3 "none.jinja: No such file or directory; check the path" "$gyr" template -f none.jinja
}

# As transformers has it (tools/goldens/perplexity.py).
perplexity_is_what_others_measure() {
    lines=0
    while IFS='|' read -r arguments ppl nats bits; do
        run "$gyr" eval perplexity -m "$source/tests/data/falcon/7b/hf" "$source/tests/data/perplexity/text.txt" $arguments
        status_is 0
        err_is ""
        # What survives the last bits of a float, and the digits printed.
        for want in "perplexity=$ppl=0.00002" "nats per token=$nats=0.00001" "bits per byte=$bits=0.00005"; do
            awk -F= -v line="$want" 'BEGIN { split(line, w, "="); split(w[2], a, / \+\/- /) }
                index($0, "  " w[1]) == 1 { sub(/^  [a-z ]+/, ""); split($0, b, / \+\/- /); found = 1
                    for (i = 1; i <= 2; i++) if ((b[i] - a[i]) ^ 2 > (a[i] * w[3] + 0.0006) ^ 2) found = 0 }
                END { exit !found }' out || fault "$arguments: not $want: $(cat out)"
        done
        lines=$((lines + 1))
    done < "$source/tests/data/perplexity/expected.txt"
    [ "$lines" -eq 6 ] || fault "$lines cases"
    run "$gyr" eval perplexity -m "$source/tests/data/falcon/7b/hf" "$source/tests/data/perplexity/text.txt" -c 32 --json
    out_is_json
    out_has '"tokens_scored": 180'
    refuses 2 "eval: \"nope\" is not something to measure; did you mean 'gyr eval perplexity'?" "$gyr" eval nope x
    refuses 2 "--stride: 33 is more than the window of 32 tokens; choose less" "$gyr" eval perplexity \
        -m "$source/tests/data/falcon/7b/hf" "$source/tests/data/perplexity/text.txt" -c 32 --stride 33
    refuses 2 "-: a text of 0 tokens; give a longer one" "$gyr" eval perplexity -m "$source/tests/data/falcon/7b/hf" -
    refuses 3 "none.txt: No such file or directory; check the path" "$gyr" eval perplexity none.txt
}

# A line break or an escape sequence in an argument does not reach the terminal or break the one line.
messages_are_one_harmless_line() {
    run "$gyr" "$(printf 'a\nb\033[31m\302\233x')"
    status_is 2
    [ "$(wc -l < err)" -eq 1 ] || fault "$(wc -l < err) lines"
    err_is "$(printf 'gyr: a\342\220\212b\342\220\233[31m\357\277\275x: no such verb; see '"'gyr --help'")"
}

bad_files_are_told() {
    refuses 3 "none.gguf: No such file or directory; check the path" "$gyr" run -m none.gguf hi
    refuses 3 "none.gguf: No such file or directory; check the path" "$gyr" inspect none.gguf
    refuses 3 "none.gguf: No such file or directory; check the path" "$gyr" tokenize -m none.gguf
    refuses 3 "none.gguf: No such file or directory; check the path" "$gyr" logits -m none.gguf --tokens 1
    GYR_MODEL=none.gguf refuses 3 "none.gguf: No such file or directory; check the path" "$gyr" run hi
    head -c 1000 "$model" > cut.gguf
    : > empty.gguf
    { printf 'GGML'; tail -c +5 "$model"; } > magic.gguf
    head -c "$(($(wc -c < "$model") / 2))" "$model" > half.gguf
    mkdir folder
    for verb in "run hi -m" "inspect" "tokenize -m" "logits --tokens 1 -m"; do
        refuses 4 "cut.gguf: ends at byte 1000, before its head does; the file is cut short, get it again" \
            "$gyr" $verb cut.gguf
        refuses 4 "empty.gguf: not a GGUF file; give a GGUF file or a Hugging Face folder" "$gyr" $verb empty.gguf
        refuses 4 "magic.gguf: not a GGUF file; give a GGUF file or a Hugging Face folder" "$gyr" $verb magic.gguf
        refuses 3 "folder: no config.json in this folder; give a GGUF file or a Hugging Face folder" \
            "$gyr" $verb folder
        refuses 3 "/dev/null: not a regular file; give a model file" "$gyr" $verb /dev/null
        run "$gyr" $verb half.gguf
        status_is 4
        grep -qE '^gyr: half.gguf: the data of tensor [a-z0-9_.]+ ends outside the file; the file is cut short, get it again$' \
            err || fault "$(cat err)"
    done
}

text_becomes_ids_and_text_again() {
    for text in 'Hello, world' '  two  spaces\n\nand lines\n' '\344\275\240\345\245\275 \360\237\214\211' \
        '\377\376 not \200 UTF-8' '' '<|end|>'; do
        # shellcheck disable=SC2059
        printf "$text" > text
        "$gyr" tokenize < text > ids 2> err || fault "$(cat err)"
        "$gyr" tokenize --decode < ids > again 2> err || fault "$(cat err)"
        cmp -s text again || fault "\"$text\" comes back as \"$(cat again)\""
        grep -qE '^([0-9]+( [0-9]+)*)?$' ids || fault "ids are \"$(cat ids)\""
        "$gyr" tokenize --json < text > out
        out_is_json
    done
    feed '<|end|>' "$gyr" tokenize --special
    grep -qE '^[0-9]+$' out || fault "<|end|> is not one token: $(cat out)"
    feed "$end" "$gyr" tokenize --decode
    out_is ""
    feed "$end" "$gyr" tokenize --decode --special
    out_is '<|end|>'
    feed '99999999' "$gyr" tokenize --decode
    status_is 2
    err_is "gyr: token 99999999: ids are 0 to $((vocab - 1))"
}

texts_become_vectors() {
    run "$gyr" embed "The sea" "." "A ship"
    status_is 0
    [ "$(wc -l < out)" = 3 ] || fault "3 texts, $(wc -l < out) vectors"
    mv out given
    feed 'The sea\r\n.\nA ship' "$gyr" embed --threads 1
    cmp -s out given || fault "lines and arguments have other vectors"
    run "$gyr" embed --dimensions 4 "The sea"
    out_is_json
    [ "$(tr -cd , < out | wc -c)" = 3 ] || fault "4 dimensions: $(cat out)"
    run "$gyr" embed --dimensions 1 "The sea"
    grep -qE '^\[-?1\]$' out || fault "one dimension of length 1: $(cat out)"
    run "$gyr" embed --raw --dimensions 1 "The sea"
    grep -qE '^\[-?1\]$' out && fault "--raw is of length 1"
    run "$gyr" embed < /dev/null
    out_is ""
    refuses 2 "poet: text 2 has no tokens; an embedding needs one" "$gyr" embed x ""
    refuses 2 "--prompt: query: poet has no such prompt, nor any other" "$gyr" embed --prompt query x
    refuses 2 "--pooling: \"max\" is not one of mean|cls|last" "$gyr" embed --pooling max x
}

answers_are_the_same_every_time() {
    run "$gyr" run -n 24 "Write a poem about the sea"
    status_is 0
    err_is ""
    [ -s out ] || fault "no answer"
    cp out first
    for more in "--seed 0" "-t 1" "-t 2" "--kv-type f16" "-c $((context / 2))" "-m $model"; do
        run "$gyr" run -n 24 $more "Write a poem about the sea"
        cmp -s out first || fault "$more gives another answer: $(cat out) $(cat err)"
    done
    GYR_MODEL=$model run "$gyr" run -n 24 Write a poem about the sea
    cmp -s out first || fault "GYR_MODEL gives another answer"
    feed 'Write a poem about the sea\n' "$gyr" run -n 24
    cmp -s out first || fault "a pipe gives another answer"
    run "$gyr" run -n 24 --seed 1 "Write a poem about the sea"
    cmp -s out first && fault "another seed gives the same answer"
}

prompt_and_pipe_are_joined() {
    feed 'the sea\n' "$gyr" run -n 8 "Write about:"
    cp out first
    run "$gyr" run -n 8 "$(printf 'Write about:\n\nthe sea')"
    cmp -s out first || fault "they differ"
}

answers_end_where_they_should() {
    run "$gyr" run --json -n 5 --ignore-end hi
    status_is 0
    out_is_json -l
    out_has '"stop":"length"'
    out_has '"answer_tokens":5'
    run "$gyr" run --json --temperature 0 -n 60 "Write a poem about the sea"
    word=$(sed -n 's/.*"type":"done","text":"\([^"\\]*\).*/\1/p' out | cut -c 3-8)
    [ -n "$word" ] || fault "no text in $(cat out)"
    run "$gyr" run --json --temperature 0 -n 60 --stop "$word" "Write a poem about the sea"
    status_is 0
    out_is_json -l
    out_has '"stop":"string"'
    grep -qF -- "$word" out && fault "the stop string \"$word\" was printed"
    run "$gyr" run --json --logit-bias "$end:1000" hi
    out_has '{"type":"done","text":"","stop":"end"'
}

# The pieces of --json are the whole text, and the same that is printed without it.
json_says_the_same() {
    run "$gyr" run --json -n 30 "Write a poem about the sea"
    out_is_json -l
    grep '"piece"' out | sed 's/.*"text":"\(.*\)"}$/\1/' | tr -d '\n' > pieces
    sed -n 's/.*"type":"done","text":"\(.*\)","stop".*/\1/p' out | tr -d '\n' > whole
    cmp -s pieces whole || fault "pieces and text differ"
    run "$gyr" run --json --stats -n 30 "Write a poem about the sea"
    out_has '"memory_bandwidth_share":'
}

speed_is_told_when_asked() {
    run "$gyr" run --stats -n 9 --ignore-end hi
    grep -qE '^loaded in [0-9.]+ s; [0-9]+ prompt tokens, [0-9.]+/s; 9 answer tokens, [0-9.]+/s \((from cache|[0-9]+% of memory bandwidth)\); (energy unknown|[0-9.e+-]+ J \((measured|estimated)\))$' \
        err || fault "it says: $(cat err)"
    grep -q "$(printf '\033')" err && fault "escape sequences in a file"
}

raw_prompts_are_continued() {
    run "$gyr" run --raw -n 4 --temperature 0 "The sea"
    status_is 0
    feed 'The sea' "$gyr" tokenize
    ids=$(cat out)
    run "$gyr" logits --tokens "$ids"
    status_is 0
    out_is_json
    [ "$(wc -l < out)" -eq "$(echo "$ids" | wc -w)" ] || fault "not a row for each token"
}

logits_do_not_depend_on_threads() {
    "$gyr" logits -t 1 --tokens "5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22" > one
    "$gyr" logits -t 2 --tokens "5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22" > two
    cmp -s one two || fault "they differ"
    refuses 2 "poet: token $vocab: ids are 0 to $((vocab - 1))" "$gyr" logits --tokens "1 $vocab"
}

long_prompts_are_told() {
    head -c 20000 /dev/zero | tr '\0' 'a' > long
    "$gyr" run < long > out 2> err
    status=$?
    status_is 7
    out_is ""
    grep -qE "^gyr: poet: [0-9]+ tokens do not fit: the context is $context and 0 are in it; shorten the prompt or choose a larger context$" err || fault "$(cat err)"
    refuses 2 "poet: a context of 1000000 tokens; the model was trained for $context" "$gyr" run -c 1000000 hi
}

bad_text_is_told() {
    feed '\377\376' "$gyr" run -n 3
    status_is 4
    err_is "gyr: prompt: not valid UTF-8; convert it (see iconv), or use --raw to feed the bytes as they are"
    feed '\377\376' "$gyr" run --raw -n 3
    status_is 0
}

full_disks_are_told() {
    [ -c /dev/full ] || return
    for verb in "run -n 5 hi" "inspect $model" "devices" "logits --tokens 1" "version" "run --help" "run --json -n 5 hi"; do
        "$gyr" $verb < /dev/null > /dev/full 2> err
        status=$?
        status_is 3
        err_is "gyr: standard output: No space left on device"
    done
}

inspect_describes() {
    run "$gyr" inspect "$model"
    status_is 0
    out_has "  architecture       falcon"
    out_has "  chat template      yes"
    out_has "It fits."
    run "$gyr" inspect --tensors "$model"
    out_has "token_embd.weight"
    run "$gyr" inspect --tensors --json "$model"
    out_is_json
    out_has '"tensors"'
}

devices_are_listed() {
    run "$gyr" devices
    status_is 0
    out_has "0  cpu  "
    run "$gyr" devices --json
    out_is_json
    out_has '"memory_bandwidth"'
}

receipts_are_verified() {
    run "$gyr" run -m "$model" -n 30 --seed 5 --receipt answer.json "Write a poem about the sea"
    status_is 0
    run "$gyr" verify answer.json
    status_is 0
    err_is ""
    out_has "equal: 30 tokens of the answer to a prompt of "
    run "$gyr" verify --json -t 1 answer.json
    out_is_json
    out_has '"equal":true'
    sed 's/"seed":"5"/"seed":"6"/' answer.json > other.json
    run "$gyr" verify other.json
    status_is 1
    err_is ""
    out_has "not equal: token "
    sed 's/"edition":[0-9]*/"edition":999/' answer.json > later.json
    run "$gyr" verify later.json
    status_is 5
    sed 's/"checksum":"./"checksum":"z/' answer.json > odd.json
    refuses 4 'odd.json: receipt: "model" has no checksum of 64 digits' "$gyr" verify odd.json
    sed 's/"path":"[^"]*"/"path":"hf:nobody\/nothing"/' answer.json > far.json # it must not be pulled
    run env GYR_MODELS="$here/none" "$gyr" verify far.json
    status_is 3
    echo "{}" > none.json
    refuses 4 "none.json: is no receipt; see gyr run --receipt" "$gyr" verify none.json
    refuses 3 "nowhere/a.json: No such file or directory; choose another file for the receipt" \
        "$gyr" run -m "$model" --receipt nowhere/a.json hello
}

speed_is_held_against_limits() {
    # Without --no-cache it measures for plans, too, for seconds: tests/plan does that.
    run "$gyr" bench -m "$model" -p 40 -n 3 -b 1,3 --repeat $repeat --json --no-cache
    status_is 0
    err_is ""
    out_is_json -l
    [ "$(wc -l < out)" -eq 2 ] || fault "not a line for each number of sequences: $(cat out)"
    for key in engine model threads sequences prefill_tokens_per_s decode_tokens_per_s prefill_fraction decode_fraction \
        roofs; do
        [ "$(grep -cF "\"$key\": " out)" -eq 2 ] || fault "no $key: $(cat out)"
    done
    run "$gyr" bench -m "$model" -p 0 -n 2 -c 40 -b 2 --repeat 1 --no-cache
    status_is 0
    err_is ""
    out_has "decode 2 x 2 "
    out_has "this machine at most: read "
    grep -q prefill out && fault "prefill was not asked for: $(cat out)"
    refuses 2 "$model: a context of 99999 tokens; the model was trained for $context" \
        "$gyr" bench -m "$model" -p 99999 -n 0 -b 1 --json
}

for name in help_fits_a_screen $documents version_is_printed wrong_verbs_are_told \
    wrong_options_are_told wrong_arguments_are_told messages_are_one_harmless_line devices_are_listed \
    perplexity_is_what_others_measure converts keys_are_made_and_removed; do
    case_ $name
done
for name in quantizes template_prints_the_prompt bad_files_are_told text_becomes_ids_and_text_again texts_become_vectors \
    answers_are_the_same_every_time prompt_and_pipe_are_joined answers_end_where_they_should json_says_the_same \
    speed_is_told_when_asked receipts_are_verified speed_is_held_against_limits raw_prompts_are_continued \
    logits_do_not_depend_on_threads long_prompts_are_told bad_text_is_told \
    full_disks_are_told inspect_describes; do
    if [ -f "$model" ]; then
        case_ $name
    else
        skipped=$((skipped + 1))
        echo "skipped $name"
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
