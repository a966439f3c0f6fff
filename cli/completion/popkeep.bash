# bash completion for popkeep; what can stand next is asked of popkeep itself.

# COMP_WORDS cuts words at the characters of COMP_WORDBREAKS too (= : @): puts them together again,
# up to the cursor, into the array `words`.
_popkeep_words() {
    local rest=${COMP_LINE:0:COMP_POINT} word index
    words=()
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ $index -eq 0 || $rest == [[:space:]]* ]]; then
            words+=('')
            rest=${rest#"${rest%%[![:space:]]*}"}
        fi
        [[ $index -lt COMP_CWORD ]] || word=$rest
        words[-1]+=$word
        rest=${rest#"$word"}
    done
}

_popkeep() {
    local words word whole before='' line file action IFS=$'\n'
    _popkeep_words
    whole=${words[-1]}
    # bash replaces only what stands behind the last of these.
    for word in '=' ':' '@'; do
        if [[ $COMP_WORDBREAKS == *"$word"* && $whole == *"$word"* ]]; then
            word=${whole%"$word"*}$word
            ((${#word} > ${#before})) && before=$word
        fi
    done
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        :files | :folders)
            compopt -o filenames 2>/dev/null
            [[ $line == :files ]] && action=file || action=directory
            word=${whole#--*=}
            while IFS= read -r file; do
                COMPREPLY+=("$file")
            done < <(compgen -A "$action" -- "$word")
            ;;
        *)
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"$before"}")
            ;;
        esac
    done < <("${1/#\~\//$HOME/}" help --completion -- "${words[@]:1}" 2>/dev/null)
}

complete -F _popkeep popkeep
