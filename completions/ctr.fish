# fish completion for ctr; load it with: ctr completion fish | source
function __ctr_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    test -n "$last"; or set last ''
    set -l out (command $words[1] __complete $words[2..] "$last" 2>/dev/null)
    or return
    set -l directive (string replace ':' '' -- $out[-1])
    set -e out[-1]
    if test (count $out) -gt 0
        printf '%s\n' $out
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path "$last"
    end
end
complete -c ctr -f -a '(__ctr_complete)'
