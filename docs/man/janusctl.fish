# fish completion for janusctl. Written by `make man` from its command line; change that.

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

set -g __janusctl_verbs 'setup' 'enrol' 'people' 'people export' 'people import' 'people set' 'people rename' 'people suspend' 'people resume' 'why' 'dispute' 'confirm' 'forget' 'unlock-face' 'status' 'watch' 'log' 'visits' 'doctor' 'bench' 'report' 'attack-test' 'attack-test record' 'attack-test report' 'vault' 'vault show' 'vault backup' 'vault restore' 'vault rekey' 'vault renew' 'model' 'model verify' 'model install' 'model show'
set -g __janusctl_valued '--answers' '--at' '--checkpoint' '--code-file' '--count' '--duress' '--duress-file' '--file' '--from' '--from-images' '--hours' '--installed' '--keys' '--limit' '--passphrase-file' '--picture' '--rate' '--role' '--root' '--second' '--seconds' '--since' '--skip' '--socket' '--step' '--to' '--until' '-n'
complete -c janusctl -n '__janusctl_is \'/0\'' -a setup -d 'set this door up, step by step'
complete -c janusctl -n '__janusctl_is \'/0\'' -a enrol -d 'teach the door a face'
complete -c janusctl -n '__janusctl_is \'/0\'' -a people -d 'list who is enrolled, change their rules, take them to another door'
complete -c janusctl -n '__janusctl_is \'/0\'' -a why -d 'say what spoke for and against somebody at a time'
complete -c janusctl -n '__janusctl_is \'/0\'' -a dispute -d 'say that an unlock was not of whom it names'
complete -c janusctl -n '__janusctl_is \'/0\'' -a confirm -d 'give the word for somebody who needs it besides their face'
complete -c janusctl -n '__janusctl_is \'/0\'' -a forget -d 'remove somebody for good'
complete -c janusctl -n '__janusctl_is \'/0\'' -a unlock-face -d 'forgive failed tries, and switch face unlock on again'
complete -c janusctl -n '__janusctl_is \'/0\'' -a status -d 'show how the door is'
complete -c janusctl -n '__janusctl_is \'/0\'' -a watch -d 'show each decision as it falls'
complete -c janusctl -n '__janusctl_is \'/0\'' -a log -d 'show who came in, and what was changed; verify or export it'
complete -c janusctl -n '__janusctl_is \'/0\'' -a visits -d 'count who was let in, by day'
complete -c janusctl -n '__janusctl_is \'/0\'' -a doctor -d 'check the whole door and say what to do'
complete -c janusctl -n '__janusctl_is \'/0\'' -a bench -d 'time every stage on this door\'s own camera and networks'
complete -c janusctl -n '__janusctl_is \'/0\'' -a report -d 'gather what somebody who helps needs, without anybody\'s name or face'
complete -c janusctl -n '__janusctl_is \'/0\'' -a attack-test -d 'hold attacks before this door, and say what that allows to claim'
complete -c janusctl -n '__janusctl_is \'/0\'' -a vault -d 'look after the vault: its copies, its key'
complete -c janusctl -n '__janusctl_is \'/0\'' -a model -d 'verify and install signed model bundles'
complete -c janusctl -n '__janusctl_in \'\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'\'' -l version -d 'show the program\'s version number and exit'
complete -c janusctl -n '__janusctl_in \'\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'setup\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'setup\'' -l step -x -a 'board camera accelerator lines pulse nir promise keys units enrol' -d 'only this one, again; may be repeated: board, camera, accelerator, lines, pulse, nir, promise, keys, units, enrol'
complete -c janusctl -n '__janusctl_in \'setup\'' -l skip -x -a 'board camera accelerator lines pulse nir promise keys units enrol' -d 'all but this one; may be repeated'
complete -c janusctl -n '__janusctl_in \'setup\'' -l answers -r -F -d 'ask nothing: the answers are in FILE'
complete -c janusctl -n '__janusctl_in \'setup\'' -l answers-template -d 'print such a file with comments'
complete -c janusctl -n '__janusctl_in \'setup\'' -l dry-run -d 'show what would be written; change nothing'
complete -c janusctl -n '__janusctl_in \'setup\'' -l undo -d 'put back what was there before the last setup'
complete -c janusctl -n '__janusctl_in \'setup\'' -l root -x -a '(__fish_complete_directories)' -d 'a folder that stands for the device, to try setup; or $JANUS_ROOT'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l live -d 'before the door\'s own camera (default)'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l from-images -x -a '(__fish_complete_directories)' -d 'take the .jpg .png .webp files in DIR, one face each'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l reinforce -d 'add samples to somebody enrolled: at dusk, with glasses'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l hours -x -d 'when they are welcome; \'\' for always'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l role -x -a 'owner resident guest' -d 'a guest needs --until'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l from -x -d 'from then on; none for no such day'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l until -x -d 'until that day is over, or \'2026-12-24 18:00\'; none for ever'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l second -x -a 'none code confirm' -d 'what they need besides their face: a code on the button at the door, or the word of a local program'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l code-file -r -F -d 'with --second code: its first line, as 3-1-4-2; else it is asked'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l duress -x -a 'none code always' -d 'how they call for help where somebody forces them: by another code, or always, by coming; the door opens as ever and tells owners alone'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l duress-file -r -F -d 'with --duress code: its first line, as 3-5-4-1; else it is asked'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l two-people -l no-two-people -d 'whether somebody else must be recognised just before'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l yes -d 'store without a question at the end'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l picture -x -a 'auto blocks sixel kitty none' -d 'how to show the live picture; none gives hints alone (auto)'
complete -c janusctl -n '__janusctl_in \'enrol\'' -l rate -x -d 'kilobytes a second at most for the live picture (100)'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a export -d 'seal everybody into a file for another door'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a import -d 'enrol everybody in such a file, or nobody'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a set -d 'change on what terms somebody may come in'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a rename -d 'call somebody by another name'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a suspend -d 'let somebody in no more, until they are resumed'
complete -c janusctl -n '__janusctl_is \'people/0\'' -a resume -d 'let somebody in again who was suspended'
complete -c janusctl -n '__janusctl_in \'people\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'people export\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people export\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people export\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'people export\'' -l passphrase-file -r -F -d 'its first line; asked for, if not given'
complete -c janusctl -n '__janusctl_in \'people export\'' -l to -x -d 'only that door opens it: its address in vault show'
complete -c janusctl -n '__janusctl_is \'people export/0\'' -r -F
complete -c janusctl -n '__janusctl_in \'people import\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people import\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people import\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'people import\'' -l passphrase-file -r -F -d 'its first line; asked for, if not given'
complete -c janusctl -n '__janusctl_in \'people import\'' -l from -x -d 'only if that door signed it: its key in vault show'
complete -c janusctl -n '__janusctl_in \'people import\'' -l sealed -d 'it was exported to this door\'s address: no passphrase'
complete -c janusctl -n '__janusctl_is \'people import/0\'' -r -F
complete -c janusctl -n '__janusctl_in \'people set\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people set\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people set\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'people set\'' -l hours -x -d 'when they are welcome; \'\' for always'
complete -c janusctl -n '__janusctl_in \'people set\'' -l role -x -a 'owner resident guest' -d 'a guest needs --until'
complete -c janusctl -n '__janusctl_in \'people set\'' -l from -x -d 'from then on; none for no such day'
complete -c janusctl -n '__janusctl_in \'people set\'' -l until -x -d 'until that day is over, or \'2026-12-24 18:00\'; none for ever'
complete -c janusctl -n '__janusctl_in \'people set\'' -l second -x -a 'none code confirm' -d 'what they need besides their face: a code on the button at the door, or the word of a local program'
complete -c janusctl -n '__janusctl_in \'people set\'' -l code-file -r -F -d 'with --second code: its first line, as 3-1-4-2; else it is asked'
complete -c janusctl -n '__janusctl_in \'people set\'' -l duress -x -a 'none code always' -d 'how they call for help where somebody forces them: by another code, or always, by coming; the door opens as ever and tells owners alone'
complete -c janusctl -n '__janusctl_in \'people set\'' -l duress-file -r -F -d 'with --duress code: its first line, as 3-5-4-1; else it is asked'
complete -c janusctl -n '__janusctl_in \'people set\'' -l two-people -l no-two-people -d 'whether somebody else must be recognised just before'
complete -c janusctl -n '__janusctl_in \'people set\'' -l clear-guards -d 'drop what was kept from disputes'
complete -c janusctl -n '__janusctl_is \'people set/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'people rename\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people rename\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people rename\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_is \'people rename/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'people suspend\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people suspend\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people suspend\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_is \'people suspend/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'people resume\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'people resume\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'people resume\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_is \'people resume/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'why\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'why\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'why\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'why\'' -l at -x -d 'as for log; now, if not given'
complete -c janusctl -n '__janusctl_is \'why/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'dispute\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'dispute\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'dispute\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'confirm\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'confirm\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'confirm\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_is \'confirm/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'forget\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'forget\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'forget\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'forget\'' -l yes -d 'do not ask first'
complete -c janusctl -n '__janusctl_is \'forget/0\'' -x -a '(__janusctl_people)'
complete -c janusctl -n '__janusctl_in \'unlock-face\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'unlock-face\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'unlock-face\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'status\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'status\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'status\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'watch\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'watch\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'watch\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'log\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'log\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'log\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'log\'' -l checkpoint -r -F -d 'with verify: what you carried away'
complete -c janusctl -n '__janusctl_in \'log\'' -l file -r -F -d 'with verify: an exported log, not the door\'s; with snapshot: where to write it'
complete -c janusctl -n '__janusctl_in \'log\'' -l since -x -d '30m, 2h, 3d, 1w, today, yesterday, 2026-11-22, \'2026-11-22 08:00\''
complete -c janusctl -n '__janusctl_in \'log\'' -l limit -x -d 'the newest N lines (50)'
complete -c janusctl -n '__janusctl_is \'log/0\'' -x -a 'show verify export checkpoint snapshot'
complete -c janusctl -n '__janusctl_in \'visits\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'visits\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'visits\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'visits\'' -l since -x -d 'as for log; all there is, if not given'
complete -c janusctl -n '__janusctl_in \'doctor\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'doctor\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'doctor\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'bench\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'bench\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'bench\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'bench\'' -l seconds -x -d 'for how long to measure, 1 to 20 (5)'
complete -c janusctl -n '__janusctl_in \'report\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'report\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'report\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'report\'' -l yes -d 'write it without a question'
complete -c janusctl -n '__janusctl_in \'report\'' -l show -d 'print all of it instead of writing it'
complete -c janusctl -n '__janusctl_in \'report\'' -l no-bench -d 'do not time the door\'s stages'
complete -c janusctl -n '__janusctl_is \'report/0\'' -r -F
complete -c janusctl -n '__janusctl_is \'attack-test/0\'' -a record -d 'present one species, one try after the other'
complete -c janusctl -n '__janusctl_is \'attack-test/0\'' -a report -d 'say what was counted, and what it allows to claim'
complete -c janusctl -n '__janusctl_in \'attack-test\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'attack-test\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'attack-test\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -s n -l count -x -d 'how many tries (42: none accepted then claims 7 %)'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -l seconds -x -d 'how long a try lasts (10)'
complete -c janusctl -n '__janusctl_in \'attack-test record\'' -l file -r -F -d 'the record (attack-test.jsonl)'
complete -c janusctl -n '__janusctl_in \'attack-test report\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'attack-test report\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'attack-test report\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'attack-test report\'' -l file -r -F -d 'the record (attack-test.jsonl)'
complete -c janusctl -n '__janusctl_is \'vault/0\'' -a show -d 'say how the vault is, which copies there are, and this door\'s own keys'
complete -c janusctl -n '__janusctl_is \'vault/0\'' -a backup -d 'make a backup now and verify it'
complete -c janusctl -n '__janusctl_is \'vault/0\'' -a restore -d 'put a copy in the vault\'s place: the newest good backup, or the one named'
complete -c janusctl -n '__janusctl_is \'vault/0\'' -a rekey -d 'change the vault\'s key and seal everything anew under it'
complete -c janusctl -n '__janusctl_is \'vault/0\'' -a renew -d 'seal every record anew, so that it has nothing in common with older copies'
complete -c janusctl -n '__janusctl_in \'vault\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'vault show\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault show\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault show\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'vault backup\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault backup\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault backup\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'vault restore\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault restore\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault restore\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'vault restore\'' -l accept-older -d 'also one from before somebody was forgotten, or without an anchor: look who is in it then'
complete -c janusctl -n '__janusctl_in \'vault rekey\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault rekey\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault rekey\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'vault renew\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'vault renew\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'vault renew\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_is \'model/0\'' -a verify -d 'check signature and contents of a bundle or model folder; changes nothing'
complete -c janusctl -n '__janusctl_is \'model/0\'' -a install -d 'verify a bundle and make it the model of this door, whole or not at all'
complete -c janusctl -n '__janusctl_is \'model/0\'' -a show -d 'say which model this door runs when it is started, and who signed it'
complete -c janusctl -n '__janusctl_in \'model\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'model verify\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'model verify\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'model verify\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'model verify\'' -l keys -x -a '(__fish_complete_directories)' -d 'public keys trusted besides ours (/etc/janus/model-keys)'
complete -c janusctl -n '__janusctl_in \'model verify\'' -l installed -r -F -d 'where the installed bundle is kept (below /var/lib)'
complete -c janusctl -n '__janusctl_is \'model verify/0\'' -r -F
complete -c janusctl -n '__janusctl_in \'model install\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'model install\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'model install\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'model install\'' -l keys -x -a '(__fish_complete_directories)' -d 'public keys trusted besides ours (/etc/janus/model-keys)'
complete -c janusctl -n '__janusctl_in \'model install\'' -l installed -r -F -d 'where the installed bundle is kept (below /var/lib)'
complete -c janusctl -n '__janusctl_in \'model install\'' -l older -d 'also when it is older than the present model'
complete -c janusctl -n '__janusctl_is \'model install/0\'' -r -F
complete -c janusctl -n '__janusctl_in \'model show\'' -l help -s h -d 'explain it'
complete -c janusctl -n '__janusctl_in \'model show\'' -l socket -r -F -d 'janusd\'s control socket'
complete -c janusctl -n '__janusctl_in \'model show\'' -l json -d 'print JSON instead of words'
complete -c janusctl -n '__janusctl_in \'model show\'' -l keys -x -a '(__fish_complete_directories)' -d 'public keys trusted besides ours (/etc/janus/model-keys)'
complete -c janusctl -n '__janusctl_in \'model show\'' -l installed -r -F -d 'where the installed bundle is kept (below /var/lib)'
