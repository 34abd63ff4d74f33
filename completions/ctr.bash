# bash completion for ctr; load it with: source <(ctr completion bash)
__ctr_complete() {
    local line=${COMP_LINE:0:COMP_POINT} out directive last typed word about
    local -a words
    read -ra words <<<"$line"
    # The cursor stands behind a blank: a new word begins.
    if [[ -z $line || $line == *[[:space:]] ]]; then words+=(""); fi
    COMPREPLY=()
    out=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null) || return
    directive=${out##*:}
    out=${out%:*}
    if ((directive & 2)); then compopt -o nospace 2>/dev/null; fi
    last=${words[-1]}
    # bash breaks words at `:` and `=`: only what follows the last of these is replaced.
    typed=${COMP_WORDS[COMP_CWORD]}
    [[ $typed == [:=] ]] && typed=
    while IFS=$'\t' read -r word about; do
        [[ -n $word ]] && COMPREPLY+=("${word#"${last%"$typed"}"}")
    done <<<"$out"
    if ((${#COMPREPLY[@]} == 0 && !(directive & 4))); then
        compopt -o default 2>/dev/null
        COMPREPLY=()
    fi
}
complete -F __ctr_complete ctr
