# fish completion for healctl(1)

set -l commands status actions run plan confirm explain sign check caller keygen audit doctor
set -l builtin restart_service start_service stop_service reload_service reset_failed kill_process set_cpu_governor \
    adjust_swappiness clear_system_cache restart_network clean_nix_store rollback_generation vacuum_journal

complete -c healctl -f
complete -c healctl -l socket -r -F -d 'the socket of the daemon'
complete -c healctl -l caller -x -d 'who asks'
complete -c healctl -l key-file -r -F -d 'the key of the caller'
complete -c healctl -l timeout -x -d 'how long it may take: 30s'
complete -c healctl -l json -d 'the answer as JSON'
complete -c healctl -l no-color -d 'no colours'
complete -c healctl -s h -l help -d 'help'
complete -c healctl -l version -d 'version'

set -l first "not __fish_seen_subcommand_from $commands"
complete -c healctl -n $first -a status -d 'what the daemon says about itself'
complete -c healctl -n $first -a actions -d 'what this caller may do'
complete -c healctl -n $first -a run -d 'run an action and check that it helped'
complete -c healctl -n $first -a plan -d 'what run would do'
complete -c healctl -n $first -a confirm -d 'confirm an action that undoes itself otherwise'
complete -c healctl -n $first -a explain -d 'would it be granted, and by which rule'
complete -c healctl -n $first -a sign -d 'print the signed request'
complete -c healctl -n $first -a check -d 'check a configuration file'
complete -c healctl -n $first -a caller -d 'add a caller'
complete -c healctl -n $first -a keygen -d 'make a key'
complete -c healctl -n $first -a audit -d 'read and verify the audit log'
complete -c healctl -n $first -a doctor -d 'what is wrong, and what mends it'

set -l asking '__fish_seen_subcommand_from run plan sign'
complete -c healctl -n "$asking; or __fish_seen_subcommand_from explain" -a "$builtin"
complete -c healctl -n '__fish_seen_subcommand_from run sign' -l plan -d 'only say what would be done'
complete -c healctl -n $asking -l id -x -d 'the id of the request'
complete -c healctl -n $asking -l reason -x -d 'why, for the audit log'
complete -c healctl -n $asking -l audience -x -d 'this host only'
complete -c healctl -n $asking -l no-stream -d 'no progress'

set -l explaining '__fish_seen_subcommand_from explain'
complete -c healctl -n $explaining -l as -x -d 'the caller'
complete -c healctl -n $explaining -l uid -x -a '(__fish_complete_users)' -d 'who would connect'
complete -c healctl -n $explaining -l log -r -F -d 'the audit log'
complete -c healctl -n '__fish_seen_subcommand_from explain doctor add' -l config -r -F -d 'the configuration'

complete -c healctl -n '__fish_seen_subcommand_from check' -F -l no-keys -d 'do not look at the keys'
complete -c healctl -n '__fish_seen_subcommand_from keygen' -F

set -l adding '__fish_seen_subcommand_from caller'
complete -c healctl -n "$adding; and not __fish_seen_subcommand_from add" -a add -d 'write a key and the tables'
complete -c healctl -n $adding -l user -x -a '(__fish_complete_users)' -d 'whose processes may use the key'
complete -c healctl -n $adding -l action -x -a "$builtin" -d 'what it may do'
complete -c healctl -n $adding -l unit -x -d 'which units'
complete -c healctl -n $adding -l give -d 'write the copy of the user'
complete -c healctl -n $adding -l no-restart -d 'do not let the daemon read it'

set -l auditing '__fish_seen_subcommand_from audit'
set -l reading '__fish_seen_subcommand_from show tail stats'
complete -c healctl -n "$auditing; and not __fish_seen_subcommand_from show tail stats verify keys" \
    -a 'show tail stats verify keys'
complete -c healctl -n $reading -l event -x -a 'decision outcome interrupted start stop reload gate_lost'
complete -c healctl -n $reading -l action -x -a "$builtin" -d 'this action only'
complete -c healctl -n $reading -l by -x -d 'this caller only'
complete -c healctl -n $reading -l code -x -d 'this code only'
complete -c healctl -n $reading -l verdict -x -a 'healed unchanged worse unverifiable'
complete -c healctl -n $reading -l id -x -d 'this request only'
complete -c healctl -n $reading -l since -x -d 'from then on: 1h'
complete -c healctl -n $reading -l until -x -d 'before then'
complete -c healctl -n $reading -l denied -d 'what was denied'
complete -c healctl -n $reading -l allowed -d 'what was allowed'
complete -c healctl -n '__fish_seen_subcommand_from tail' -s n -l lines -x -d 'how many'
complete -c healctl -n '__fish_seen_subcommand_from tail' -s f -l follow -d 'wait for more'
complete -c healctl -n '__fish_seen_subcommand_from verify' -l first-key -r -F -d 'the first key of the log'
complete -c healctl -n '__fish_seen_subcommand_from verify' -l head -x -d 'SEQ:CHAIN that a witness kept'
