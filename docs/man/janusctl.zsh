#compdef janusctl
# zsh completion for janusctl. Written by `make man` from janusctl's own command line; change that instead.

# What may follow these words: as in janusctl.bash, and beside it, after a colon, what each is for.
_janusctl_table() {
    verbs=() options=() places=() flags=()
    case $1 in
        "")
            verbs=('setup:set this door up, step by step' 'enrol:teach the door a face' 'people:list who is enrolled, change their rules, take them to another door' 'why:say what spoke for and against somebody at a time' 'dispute:say that an unlock was not of whom it names' 'confirm:give the word for somebody who needs it besides their face' 'forget:remove somebody for good' 'unlock-face:forgive failed tries, and switch face unlock on again' 'status:show how the door is' 'watch:show each decision as it falls' 'log:show who came in, and what was changed; verify or export it' 'visits:count who was let in, by day' 'doctor:check the whole door and say what to do' 'bench:time every stage on this door'"'"'s own camera and networks' 'report:gather what somebody who helps needs, without anybody'"'"'s name or face' 'attack-test:hold attacks before this door, and say what that allows to claim' 'vault:look after the vault: its copies, its key' 'model:verify and install signed model bundles')
            options=(--help --version --socket=@file --json)
            flags=('--help:explain it' '--version:show the program'"'"'s version number and exit' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "setup")
            options=(--help '--step=board camera accelerator lines pulse nir promise keys units enrol' '--skip=board camera accelerator lines pulse nir promise keys units enrol' --answers=@file --answers-template --dry-run --undo --root=@folder)
            flags=('--help:explain it' '--step:only this one, again; may be repeated: board, camera, accelerator, lines, pulse, nir, promise, keys, units, enrol' '--skip:all but this one; may be repeated' '--answers:ask nothing: the answers are in FILE' '--answers-template:print such a file with comments' '--dry-run:show what would be written; change nothing' '--undo:put back what was there before the last setup' '--root:a folder that stands for the device, to try setup; or $JANUS_ROOT') ;;
        "enrol")
            options=(--help --socket=@file --json --live --from-images=@folder --reinforce --hours=@other '--role=owner resident guest' --from=@other --until=@other '--second=none code confirm' --code-file=@file '--duress=none code always' --duress-file=@file --two-people --no-two-people --yes '--picture=auto blocks sixel kitty none' --rate=@other)
            places=(@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--live:before the door'"'"'s own camera (default)' '--from-images:take the .jpg .png .webp files in DIR, one face each' '--reinforce:add samples to somebody enrolled: at dusk, with glasses' '--hours:when they are welcome; '"'"''"'"' for always' '--role:a guest needs --until' '--from:from then on; none for no such day' '--until:until that day is over, or '"'"'2026-12-24 18:00'"'"'; none for ever' '--second:what they need besides their face: a code on the button at the door, or the word of a local program' '--code-file:with --second code: its first line, as 3-1-4-2; else it is asked' '--duress:how they call for help where somebody forces them: by another code, or always, by coming; the door opens as ever and tells owners alone' '--duress-file:with --duress code: its first line, as 3-5-4-1; else it is asked' '--two-people:whether somebody else must be recognised just before' '--no-two-people:whether somebody else must be recognised just before' '--yes:store without a question at the end' '--picture:how to show the live picture; none gives hints alone (auto)' '--rate:kilobytes a second at most for the live picture (100)') ;;
        "people")
            verbs=('export:seal everybody into a file for another door' 'import:enrol everybody in such a file, or nobody' 'set:change on what terms somebody may come in' 'rename:call somebody by another name' 'suspend:let somebody in no more, until they are resumed' 'resume:let somebody in again who was suspended')
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "people export")
            options=(--help --socket=@file --json --passphrase-file=@file --to=@other)
            places=(@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--passphrase-file:its first line; asked for, if not given' '--to:only that door opens it: its address in vault show') ;;
        "people import")
            options=(--help --socket=@file --json --passphrase-file=@file --from=@other --sealed)
            places=(@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--passphrase-file:its first line; asked for, if not given' '--from:only if that door signed it: its key in vault show' '--sealed:it was exported to this door'"'"'s address: no passphrase') ;;
        "people set")
            options=(--help --socket=@file --json --hours=@other '--role=owner resident guest' --from=@other --until=@other '--second=none code confirm' --code-file=@file '--duress=none code always' --duress-file=@file --two-people --no-two-people --clear-guards)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--hours:when they are welcome; '"'"''"'"' for always' '--role:a guest needs --until' '--from:from then on; none for no such day' '--until:until that day is over, or '"'"'2026-12-24 18:00'"'"'; none for ever' '--second:what they need besides their face: a code on the button at the door, or the word of a local program' '--code-file:with --second code: its first line, as 3-1-4-2; else it is asked' '--duress:how they call for help where somebody forces them: by another code, or always, by coming; the door opens as ever and tells owners alone' '--duress-file:with --duress code: its first line, as 3-5-4-1; else it is asked' '--two-people:whether somebody else must be recognised just before' '--no-two-people:whether somebody else must be recognised just before' '--clear-guards:drop what was kept from disputes') ;;
        "people rename")
            options=(--help --socket=@file --json)
            places=(@person @other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "people suspend")
            options=(--help --socket=@file --json)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "people resume")
            options=(--help --socket=@file --json)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "why")
            options=(--help --socket=@file --json --at=@other)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--at:as for log; now, if not given') ;;
        "dispute")
            options=(--help --socket=@file --json)
            places=(@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "confirm")
            options=(--help --socket=@file --json)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "forget")
            options=(--help --socket=@file --json --yes)
            places=(@person)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--yes:do not ask first') ;;
        "unlock-face")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "status")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "watch")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "log")
            options=(--help --socket=@file --json --checkpoint=@file --file=@file --since=@other --limit=@other)
            places=('show verify export checkpoint snapshot' @other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--checkpoint:with verify: what you carried away' '--file:with verify: an exported log, not the door'"'"'s; with snapshot: where to write it' '--since:30m, 2h, 3d, 1w, today, yesterday, 2026-11-22, '"'"'2026-11-22 08:00'"'"'' '--limit:the newest N lines (50)') ;;
        "visits")
            options=(--help --socket=@file --json --since=@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--since:as for log; all there is, if not given') ;;
        "doctor")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "bench")
            options=(--help --socket=@file --json --seconds=@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--seconds:for how long to measure, 1 to 20 (5)') ;;
        "report")
            options=(--help --socket=@file --json --yes --show --no-bench)
            places=(@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--yes:write it without a question' '--show:print all of it instead of writing it' '--no-bench:do not time the door'"'"'s stages') ;;
        "attack-test")
            verbs=('record:present one species, one try after the other' 'report:say what was counted, and what it allows to claim')
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "attack-test record")
            options=(--help --socket=@file --json -n=@other --count=@other --seconds=@other --file=@file)
            places=(@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '-n:how many tries (42: none accepted then claims 7 %)' '--count:how many tries (42: none accepted then claims 7 %)' '--seconds:how long a try lasts (10)' '--file:the record (attack-test.jsonl)') ;;
        "attack-test report")
            options=(--help --socket=@file --json --file=@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--file:the record (attack-test.jsonl)') ;;
        "vault")
            verbs=('show:say how the vault is, which copies there are, and this door'"'"'s own keys' 'backup:make a backup now and verify it' 'restore:put a copy in the vault'"'"'s place: the newest good backup, or the one named' 'rekey:change the vault'"'"'s key and seal everything anew under it' 'renew:seal every record anew, so that it has nothing in common with older copies')
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "vault show")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "vault backup")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "vault restore")
            options=(--help --socket=@file --json --accept-older)
            places=(@other)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--accept-older:also one from before somebody was forgotten, or without an anchor: look who is in it then') ;;
        "vault rekey")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "vault renew")
            options=(--help --socket=@file --json)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words') ;;
        "model")
            verbs=('verify:check signature and contents of a bundle or model folder; changes nothing' 'install:verify a bundle and make it the model of this door, whole or not at all' 'show:say which model this door runs when it is started, and who signed it')
            options=(--help)
            flags=('--help:explain it') ;;
        "model verify")
            options=(--help --socket=@file --json --keys=@folder --installed=@file)
            places=(@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--keys:public keys trusted besides ours (/etc/janus/model-keys)' '--installed:where the installed bundle is kept (below /var/lib)') ;;
        "model install")
            options=(--help --socket=@file --json --keys=@folder --installed=@file --older)
            places=(@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--keys:public keys trusted besides ours (/etc/janus/model-keys)' '--installed:where the installed bundle is kept (below /var/lib)' '--older:also when it is older than the present model') ;;
        "model show")
            options=(--help --socket=@file --json --keys=@folder --installed=@file)
            flags=('--help:explain it' '--socket:janusd'"'"'s control socket' '--json:print JSON instead of words' '--keys:public keys trusted besides ours (/etc/janus/model-keys)' '--installed:where the installed bundle is kept (below /var/lib)') ;;
    esac
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
