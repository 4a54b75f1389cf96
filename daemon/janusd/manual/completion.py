"""Completion of janusctl for bash, zsh and fish: a table of its command line, and a few lines of shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from janusd.manual.commands import Argument, Command

PERSON = "as janusctl people lists them"
"""How the command line speaks of a name that somebody enrolled has."""

_HEAD = """\
# bash completion for janusctl. Written by `make man` from janusctl's own command line; change that instead.

# What may follow these words. An option that takes a value, and each place, says of what kind it is: @file,
# @folder, @person, @other, or the choices themselves.
_janusctl_table() {
    verbs=() options=() places=()
    case $1 in
"""

# Names come from the daemon and are never given to `compgen -W`, which would run a $(command) in them.
_TAIL = r"""    esac
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
"""


_ZSH_HEAD = """\
#compdef janusctl
# zsh completion for janusctl. Written by `make man` from janusctl's own command line; change that instead.

# What may follow these words: as in janusctl.bash, and beside it, after a colon, what each is for.
_janusctl_table() {
    verbs=() options=() places=() flags=()
    case $1 in
"""

_ZSH_TAIL = r"""    esac
}

# Who is enrolled, one a line; nobody where no daemon answers.
_janusctl_people() {
    local socket=${JANUS_SOCKET:-/run/janus/control} line
    integer i
    for ((i = 2; i <= $#words; i++)); do
        [[ $words[i-1] == --socket ]] && socket=${(Q)words[i]}
    done
    [[ -S $socket && -w $socket ]] || return
    timeout 2 janusctl --socket $socket --json people 2>/dev/null |
        sed -n '/\\ud[89ab]/d; s/\\"/"/g; s/^    "name": "\(.*\)",\{0,1\}$/\1/p' |
        while IFS= read -r line; do printf '%b\n' "$line"; done
}

_janusctl_offer() { # KIND
    local -a people
    case $1 in
        @file) _files ;;
        @folder) _files -/ ;;
        @person)
            people=(${(f)"$(_janusctl_people)"}) # compadd quotes them, and runs nothing
            (($#people)) && compadd -a people ;;
        @*) ;;
        *) compadd -- ${=1} ;;
    esac
}

_janusctl() {
    local at="" kind="" word option
    local -a verbs options places flags
    integer i place=0
    _janusctl_table ""
    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
        if [[ -n $kind ]]; then
            kind="" # it was an option's value
        elif [[ $word == -* ]]; then
            for option in $options; do [[ $option == $word=* ]] && kind=${option#*=}; done
        elif (($#verbs)); then
            at=${at:+$at }$word
            _janusctl_table $at
        else
            ((place += 1))
        fi
    done
    if [[ -z $kind && $PREFIX == --*=* ]]; then
        for option in $options; do [[ $option == ${PREFIX%%=*}=* ]] && kind=${option#*=}; done
        compset -P '*='
    fi
    if [[ -n $kind ]]; then
        _janusctl_offer $kind
    elif [[ $PREFIX == -* ]]; then
        _describe -o option flags
    elif (($#verbs)); then
        _describe verb verbs
    elif ((place < $#places)); then
        _janusctl_offer $places[place+1]
    fi
}

if [[ $funcstack[1] == _janusctl ]]; then
    _janusctl "$@"
else
    compdef _janusctl janusctl
fi
"""

_FISH_HEAD = r"""# fish completion for janusctl. Written by `make man` from its command line; change that.

# Who is enrolled, one a line; nobody where no daemon answers.
function __janusctl_people
    set -l socket /run/janus/control
    set -q JANUS_SOCKET; and test -n "$JANUS_SOCKET"; and set socket $JANUS_SOCKET
    set -l typed (commandline -opc)
    if set -l at (contains -i -- --socket $typed); and set -q typed[(math $at + 1)]
        set socket $typed[(math $at + 1)]
    end
    test -S "$socket" -a -w "$socket"; or return
    timeout 2 janusctl --socket $socket --json people 2>/dev/null |
        sed -n '/\\\\ud[89ab]/d; s/\\\\"/"/g; s/^    "name": "\\(.*\\)",\\{0,1\\}$/\\1/p' |
        while read -l line
            printf '%b\n' $line
        end
end

# Where the command line is: its verbs, a slash, how many places are filled after them.
function __janusctl_at
    set -l verbs
    set -l filled 0
    set -l is_value no
    for word in (commandline -opc)[2..]
        if test $is_value = yes
            set is_value no
        else if string match -q -- '-*' $word
            contains -- $word $__janusctl_valued; and set is_value yes
        else if contains -- "$verbs $word" $__janusctl_verbs; or contains -- "$word$verbs" $__janusctl_verbs
            set verbs (string trim -- "$verbs $word")
        else
            set filled (math $filled + 1)
        end
    end
    echo "$verbs/$filled"
end

function __janusctl_is # VERBS/FILLED
    test (__janusctl_at) = $argv[1]
end

function __janusctl_in # VERBS, however many places are filled
    string match -q -- "$argv[1]/*" (__janusctl_at)
end

complete -c janusctl -e
complete -c janusctl -f
"""


def script(program: Command) -> str:
    """The whole file for /usr/share/bash-completion/completions."""
    return _HEAD + "".join(f"        {line}\n" for line in _table(program)) + _TAIL


def zsh(program: Command) -> str:
    """The whole file for /usr/share/zsh/vendor-completions."""
    return _ZSH_HEAD + "".join(f"        {line}\n" for line in _table(program, describes=True)) + _ZSH_TAIL


def fish(program: Command) -> str:
    """The whole file for /usr/share/fish/vendor_completions.d."""
    every = list(_all(program))
    verbs = [" ".join(one.words[1:]) for one in every[1:]]
    valued = {flag for one in every for option in one.options if _takes(option) for flag in option.flags}
    lists = [f"set -g __janusctl_{name} {' '.join(_fish(one) for one in words)}"
             for name, words in (("verbs", verbs), ("valued", sorted(valued)))]  # fmt: skip
    return "\n".join([_FISH_HEAD, *lists, *(line for one in every for line in _fish_lines(one)), ""])


def _table(command: Command, *, describes: bool = False) -> list[str]:
    """The branches for a command and all below it; with words about each where a shell shows them."""
    at = " ".join(command.words[1:])
    options = [_option(flag, one) for one in command.options for flag in one.flags]
    flags = [_told(flag, one.says) for one in command.options for flag in one.flags]
    lines = [f'"{at}")']
    for name, said in (
        ("verbs", [_told(one.words[-1], one.does) if describes else one.words[-1] for one in command.verbs]),
        ("options", ["--help", *options]),
        ("places", [_kind(one) for one in command.places]),
        ("flags", [_told("--help", "explain it"), *flags] if describes else []),
    ):
        if said:
            lines.append(f"    {name}=({' '.join(shlex.quote(word) for word in said)})")
    lines[-1] += " ;;"
    return lines + [line for verb in command.verbs for line in _table(verb, describes=describes)]


def _told(word: str, says: str) -> str:
    """For zsh: a word and what it is for, with a colon between them alone."""
    plain = word.replace(":", r"\:")
    return f"{plain}:{' '.join(says.split())}"


def _all(command: Command) -> Iterator[Command]:
    yield command
    for verb in command.verbs:
        yield from _all(verb)


def _fish_lines(command: Command) -> Iterator[str]:
    at = " ".join(command.words[1:])
    here, begun = _fish(f"__janusctl_in {_fish(at)}"), _fish(f"__janusctl_is {_fish(f'{at}/0')}")
    for verb in command.verbs:
        yield f"complete -c janusctl -n {begun} -a {verb.words[-1]} -d {_fish(verb.does)}"
    yield f"complete -c janusctl -n {here} -l help -s h -d 'explain it'"
    for option in command.options:
        names = " ".join(
            f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags
        )
        values = f" {_fish_values(_kind(option))}" if _takes(option) else ""
        yield f"complete -c janusctl -n {here} {names}{values} -d {_fish(' '.join(option.says.split()))}"
    for number, place in enumerate(command.places):
        when = _fish(f"__janusctl_is {_fish(f'{at}/{number}')}")
        if (kind := _kind(place)) != "@other":
            yield f"complete -c janusctl -n {when} {_fish_values(kind)}"


def _fish_values(kind: str) -> str:
    match kind:
        case "@file":
            return "-r -F"
        case "@folder":
            return "-x -a '(__fish_complete_directories)'"
        case "@person":
            return "-x -a '(__janusctl_people)'"
        case "@other":
            return "-x"
        case choices:
            return f"-x -a {_fish(choices)}"


def _fish(text: str) -> str:
    """Quoted for fish, in which a backslash counts between quotes."""
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


def _takes(one: Argument) -> bool:
    """Whether a value follows as the next word."""
    return bool(one.value) and one.is_needed


def _option(flag: str, one: Argument) -> str:
    return f"{flag}={_kind(one)}" if _takes(one) else flag


def _kind(one: Argument) -> str:
    if one.choices:
        return " ".join(one.choices)
    return {"FILE": "@file", "PATH": "@file", "DIR": "@folder"}.get(
        one.value, "@person" if one.says == PERSON else "@other"
    )
