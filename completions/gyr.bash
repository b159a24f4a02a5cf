# bash completion for gyr
_gyr() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        words='run verify serve key pull list rm inspect tokenize template embed logits eval plan devices cache bench convert quantize train tune merge synth version help'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return
    fi
    case $before in
    -m | --model | --adapter | --receipt | -f | --file | -o | --output | --vocab | --prices)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    --pooling)
        mapfile -t COMPREPLY < <(compgen -W 'mean cls last' -- "$word")
    --cert | --key)
        [[ $verb == serve ]] && mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    --kv-type)
        mapfile -t COMPREPLY < <(compgen -W 'f32 f16 q8' -- "$word")
        return ;;
    --split)
        mapfile -t COMPREPLY < <(compgen -W 'layers rows' -- "$word")
        return ;;
    --type)
        words='f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs mxfp4'
        [[ $verb == quantize || $verb == convert || $verb == merge ]] && words='q2_k q3_k_s q3_k_m q3_k_l q4_0 q4_1 q4_k_s q4_k_m q5_0 q5_1 q5_k_s q5_k_m
               q6_k q8_0 iq4_nl iq4_xs mxfp4 f16 bf16 f32'
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
        return ;;
    esac
    case $verb in
    run)
        words='--model --adapter --max-tokens --system --stop --context --threads --kv-type --logit-bias --temperature --seed
               --top-k --top-p --min-p --repeat-penalty --presence-penalty --frequency-penalty --oversize --lock --no-cache --raw
               --json-schema --grammar --regex --receipt --device --gpu-layers --cpu-experts --no-cpu --split --json --stats --verbose --ignore-end --help' ;;
    verify) words='--model --adapter --threads --json --oversize --no-cache --help' ;;
    serve)
        words='--model --alias --adapter --adapters --adapter-memory --tune-threads --tune-device --tune-products --tune-fair --host --port --cert --key --auth --no-auth --origin --name --context --parallel --waiting --prefill
               --connections --body --files --key-files --threads --kv-type --device --gpu-layers --cpu-experts --no-cpu --split --kv-memory --memory --disk-cache --oversize --lock --no-cache --pull --quiet --no-page --help' ;;
    key)
        words='--rate --tokens --concurrency --models --expires --admin --json --help'
        [[ $word == -* ]] || words='add list rm usage' ;;
    pull) words='--parallel --retries --timeout --quiet --help' ;;
    list) words='--json --help' ;;
    rm)
        words='--yes --help'
        [[ $word == -* ]] || words=$(gyr list --json 2>/dev/null | sed -n 's/.*"name": "\(.*\)",*$/\1/p') ;;
    inspect) words='--tensors --json --help' ;;
    tokenize) words='--model --decode --bos --special --json --help' ;;
    template) words='--model --file --name --help' ;;
    embed) words='--model --prompt --dimensions --pooling --raw --threads --split --oversize --no-cache --help' ;;
    logits) words='--model --adapter --tokens --threads --kv-type --oversize --no-cache --help' ;;
    eval)
        words='--model --adapter --context --stride --json --threads --kv-type --oversize --no-cache --help'
        [[ $word == -* ]] || words='perplexity' ;;
    plan) words='--on --type --users --context --prompt --kv-type --no-cpu --threads --prices --budget --tune --train --tokens --rank --batch --fp8 --json --help' ;;
    devices) words='--json --check --model --help' ;;
    cache)
        words='--json --help'
        [[ $word == -* ]] || words='clear' ;;
    bench)
        words='--model --adapter --prompt --generate --batch --context --threads --kv-type --device --gpu-layers --cpu-experts --no-cpu --split --repeat --json --oversize --lock
               --no-cache --help' ;;
    convert) words='--output --type --pure --threads --help' ;;
    quantize) words='--type --pure --requantize --threads --help' ;;
    train)
        words='tokenizer --data --output --model --resume --json --threads --type --tokenizer --shape --layers --width --heads
               --kv-heads --head-size --feed-forward --tied --context --batch --epochs --steps --lr --products --optimizer --schedule --warmup
               --weight-decay --clip --seed --save-steps --valid --hold-out --valid-steps --valid-tokens --sample --prompt
               --vocab-size --special --pre --min-count --help' ;;
    tune)
        words='--model --data --output --valid --show --resume --json --device --threads --method --beta --rank --alpha --rslora --targets --epochs
               --batch --lr --products --optimizer --schedule --warmup --weight-decay --clip --seed --max-tokens --cut --memory --save-steps --help' ;;
    merge) words='--model --adapter --output --type --pure --requantize --threads --help' ;;
    synth)
        words='--type --output --layers --context --vocab --seed --help'
        [[ $word == -* ]] || words='falcon-7b falcon-40b falcon-180b' ;;
    help) words='run verify serve key pull list rm inspect tokenize template embed logits eval plan devices cache bench convert quantize train tune merge synth version' ;;
    esac
    if [[ ($verb == inspect || $verb == plan || $verb == verify || $verb == quantize || $verb == convert) && $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}
complete -o filenames -o bashdefault -F _gyr gyr
