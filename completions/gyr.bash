# bash completion for gyr
_gyr() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run inspect tokenize logits devices synth version help' -- "$word")
        return
    fi
    case $before in
    -m | --model | -o | --output | --vocab)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return ;;
    --kv-type)
        mapfile -t COMPREPLY < <(compgen -W 'f32 f16' -- "$word")
        return ;;
    --type)
        mapfile -t COMPREPLY < <(compgen -W 'f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k' -- "$word")
        return ;;
    esac
    case $verb in
    run)
        words='--model --max-tokens --system --stop --context --threads --kv-type --logit-bias --temperature --seed
               --top-k --top-p --min-p --repeat-penalty --presence-penalty --frequency-penalty --oversize --lock --raw --json
               --stats --ignore-end --help' ;;
    inspect) words='--tensors --json --help' ;;
    tokenize) words='--model --decode --bos --special --json --help' ;;
    logits) words='--model --tokens --threads --kv-type --oversize --help' ;;
    devices) words='--json --help' ;;
    synth)
        words='--type --output --layers --vocab --seed --help'
        [[ $word == -* ]] || words='falcon-7b falcon-40b falcon-180b' ;;
    help) words='run inspect tokenize logits devices synth version' ;;
    esac
    if [[ $verb == inspect && $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    fi
}
complete -o filenames -o bashdefault -F _gyr gyr
