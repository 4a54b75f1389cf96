# bash completion for janusctl. Written by `make man` from janusctl's own command line; change that instead.

# What may follow these words. An option that takes a value, and each place, says of what kind it is: @file,
# @folder, @person, @other, or the choices themselves.
_janusctl_table() {
    verbs=() options=() places=()
    case $1 in
        "")
            verbs=(setup enrol people why dispute confirm forget unlock-face status watch log visits doctor bench report attack-test vault model)
            options=(--help --version --socket=@file --json) ;;
        "setup")
            options=(--help '--step=board camera accelerator lines pulse nir promise keys units enrol' '--skip=board camera accelerator lines pulse nir promise keys units enrol' --answers=@file --answers-template --dry-run --undo --root=@folder) ;;
        "enrol")
            options=(--help --socket=@file --json --live --from-images=@folder --reinforce --hours=@other '--role=owner resident guest' --from=@other --until=@other '--second=none code confirm' --code-file=@file '--duress=none code always' --duress-file=@file --two-people --no-two-people --yes '--picture=auto blocks sixel kitty none' --rate=@other)
            places=(@other) ;;
        "people")
            verbs=(export import set rename suspend resume)
            options=(--help --socket=@file --json) ;;
        "people export")
            options=(--help --socket=@file --json --passphrase-file=@file --to=@other)
            places=(@file) ;;
        "people import")
            options=(--help --socket=@file --json --passphrase-file=@file --from=@other --sealed)
            places=(@file) ;;
        "people set")
            options=(--help --socket=@file --json --hours=@other '--role=owner resident guest' --from=@other --until=@other '--second=none code confirm' --code-file=@file '--duress=none code always' --duress-file=@file --two-people --no-two-people --clear-guards)
            places=(@person) ;;
        "people rename")
            options=(--help --socket=@file --json)
            places=(@person @other) ;;
        "people suspend")
            options=(--help --socket=@file --json)
            places=(@person) ;;
        "people resume")
            options=(--help --socket=@file --json)
            places=(@person) ;;
        "why")
            options=(--help --socket=@file --json --at=@other)
            places=(@person) ;;
        "dispute")
            options=(--help --socket=@file --json)
            places=(@other) ;;
        "confirm")
            options=(--help --socket=@file --json)
            places=(@person) ;;
        "forget")
            options=(--help --socket=@file --json --yes)
            places=(@person) ;;
        "unlock-face")
            options=(--help --socket=@file --json) ;;
        "status")
            options=(--help --socket=@file --json) ;;
        "watch")
            options=(--help --socket=@file --json) ;;
        "log")
            options=(--help --socket=@file --json --checkpoint=@file --file=@file --since=@other --limit=@other)
            places=('show verify export checkpoint snapshot' @other) ;;
        "visits")
            options=(--help --socket=@file --json --since=@other) ;;
        "doctor")
            options=(--help --socket=@file --json) ;;
        "bench")
            options=(--help --socket=@file --json --seconds=@other) ;;
        "report")
            options=(--help --socket=@file --json --yes --show --no-bench)
            places=(@file) ;;
        "attack-test")
            verbs=(record report)
            options=(--help --socket=@file --json) ;;
        "attack-test record")
            options=(--help --socket=@file --json -n=@other --count=@other --seconds=@other --file=@file)
            places=(@other) ;;
        "attack-test report")
            options=(--help --socket=@file --json --file=@file) ;;
        "vault")
            verbs=(show backup restore rekey renew)
            options=(--help --socket=@file --json) ;;
        "vault show")
            options=(--help --socket=@file --json) ;;
        "vault backup")
            options=(--help --socket=@file --json) ;;
        "vault restore")
            options=(--help --socket=@file --json --accept-older)
            places=(@other) ;;
        "vault rekey")
            options=(--help --socket=@file --json) ;;
        "vault renew")
            options=(--help --socket=@file --json) ;;
        "model")
            verbs=(verify install show)
            options=(--help) ;;
        "model verify")
            options=(--help --socket=@file --json --keys=@folder --installed=@file)
            places=(@file) ;;
        "model install")
            options=(--help --socket=@file --json --keys=@folder --installed=@file --older)
            places=(@file) ;;
        "model show")
            options=(--help --socket=@file --json --keys=@folder --installed=@file) ;;
    esac
}

# Who is enrolled, one a line; nobody where no daemon answers. JSON's surrogate pairs are not bash's.
_janusctl_people() {
    local socket=${JANUS_SOCKET:-/run/janus/control} i line
    for ((i = 1; i < ${#words[@]}; i++)); do
        [[ ${words[i - 1]} == --socket ]] && socket=${words[i]}
    done
    [[ -S $socket && -w $socket ]] || return
    timeout 2 janusctl --socket "$socket" --json people 2>/dev/null |
        sed -n '/\\ud[89ab]/d; s/\\"/"/g; s/^    "name": "\(.*\)",\{0,1\}$/\1/p' |
        while IFS= read -r line; do printf '%b\n' "$line"; done # \u00e9 is bash's too
}

_janusctl_offer() { # KIND
    local name quote=${cur:0:1} typed
    case $1 in
        @file) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null ;;
        @folder) mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null ;;
        @person)
            typed=${cur#[\"\']} typed=${typed//\\/}
            while IFS= read -r name; do
                [[ $name == "$typed"* ]] || continue
                case $quote in
                    \")
                        name=${name//\\/\\\\} name=${name//\"/\\\"}
                        name=${name//\$/\\\$} name=${name//\`/\\\`} ;;
                    \') name=${name//\'/\'\\\'\'} ;;
                    *) printf -v name %q "$name" ;;
                esac
                COMPREPLY+=("$name")
            done < <(_janusctl_people) ;;
        @*) ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur") ;;
    esac
}

_janusctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} at="" kind="" word option i place=0
    local -a verbs options places words=()
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do # --picture=auto comes as three words
        [[ ${COMP_WORDS[i]} == = ]] || words+=("${COMP_WORDS[i]}")
    done
    [[ $cur == = ]] && cur=""
    _janusctl_table ""
    for word in "${words[@]}"; do
        if [[ $kind ]]; then
            kind="" # it was an option's value
        elif [[ $word == -* ]]; then
            for option in "${options[@]}"; do [[ $option == "$word="* ]] && kind=${option#*=}; done
        elif ((${#verbs[@]})); then
            at=${at:+$at }$word
            _janusctl_table "$at"
        else
            ((place += 1))
        fi
    done
    if [[ $kind ]]; then
        _janusctl_offer "$kind"
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${options[*]%%=*}" -- "$cur")
    elif ((${#verbs[@]})); then
        mapfile -t COMPREPLY < <(compgen -W "${verbs[*]}" -- "$cur")
    elif ((place < ${#places[@]})); then
        _janusctl_offer "${places[place]}"
    fi
}

complete -F _janusctl janusctl
