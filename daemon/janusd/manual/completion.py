"""bash completion of janusctl: a table of its command line, and a few lines of shell that read it."""

from __future__ import annotations

import shlex

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


def script(program: Command) -> str:
    """The whole file for /usr/share/bash-completion/completions."""
    return _HEAD + "".join(f"        {line}\n" for line in _table(program)) + _TAIL


def _table(command: Command) -> list[str]:
    at = " ".join(command.words[1:])
    options = [_option(flag, one) for one in command.options for flag in one.flags]
    lines = [f'"{at}")']
    for name, said in (
        ("verbs", [one.words[-1] for one in command.verbs]),
        ("options", ["--help", *options]),
        ("places", [_kind(one) for one in command.places]),
    ):
        if said:
            lines.append(f"    {name}=({' '.join(shlex.quote(word) for word in said)})")
    lines[-1] += " ;;"
    return lines + [line for verb in command.verbs for line in _table(verb)]


def _option(flag: str, one: Argument) -> str:
    return f"{flag}={_kind(one)}" if one.value and one.is_needed else flag


def _kind(one: Argument) -> str:
    if one.choices:
        return " ".join(one.choices)
    return {"FILE": "@file", "PATH": "@file", "DIR": "@folder"}.get(
        one.value, "@person" if one.says == PERSON else "@other"
    )
