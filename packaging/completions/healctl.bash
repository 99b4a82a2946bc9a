# bash completion for healctl(1)

_healctl_actions() {
    # What the daemon offers this caller, when it answers; else the built-in actions.
    local names
    names=$(healctl --timeout 1s --json actions 2>/dev/null | grep -o '"name":"[a-z0-9_.-]*","summary"' | cut -d'"' -f4)
    echo "${names:-restart_service start_service stop_service reload_service reset_failed kill_process set_cpu_governor
        adjust_swappiness clear_system_cache restart_network clean_nix_store rollback_generation vacuum_journal}"
}

_healctl() {
    local cur prev words cword
    _init_completion || return

    local commands="status actions run plan confirm explain sign check caller keygen audit doctor"
    local globals="--socket --caller --key-file --timeout --json --no-color --help --version"
    local command="" sub="" i word
    for ((i = 1; i < cword; i++)); do
        word=${words[i]}
        case $word in
            --socket | --caller | --key-file | --timeout) ((i++)) ;;
            -*) ;;
            *)
                if [[ -z $command ]]; then command=$word
                elif [[ -z $sub ]]; then sub=$word; fi
                ;;
        esac
    done

    case $prev in
        --socket | --key-file | --config | --log | --first-key) _filedir; return ;;
        --as | --by | --caller | --id | --reason | --audience | --timeout | --since | --until | --head | -n | --lines) return ;;
        --user | --uid) COMPREPLY=($(compgen -u -- "$cur")); return ;;
        --unit) COMPREPLY=($(compgen -W "$(systemctl list-units --no-legend --plain 2>/dev/null | cut -d' ' -f1)" -- "$cur")); return ;;
        --action) COMPREPLY=($(compgen -W "$(_healctl_actions)" -- "$cur")); return ;;
        --event) COMPREPLY=($(compgen -W "decision outcome interrupted start stop reload gate_lost" -- "$cur")); return ;;
        --verdict) COMPREPLY=($(compgen -W "healed unchanged worse unverifiable" -- "$cur")); return ;;
    esac

    local options="" words_=""
    case $command in
        "") words_=$commands ;;
        run) options="--plan --id --reason --audience --no-stream" ;;
        plan) options="--id --reason --audience --no-stream" ;;
        sign) options="--plan --id --reason --audience --no-stream" ;;
        explain) options="--as --uid --config --log" ;;
        check) options="--no-keys" ;;
        caller)
            words_="add"
            [[ $sub == add ]] && words_="" options="--user --action --unit --config --give --no-restart"
            ;;
        doctor) options="--config" ;;
        audit)
            words_="show tail stats verify keys"
            case $sub in
                show | stats | tail)
                    words_="" options="--event --action --by --code --verdict --id --since --until --denied --allowed"
                    [[ $sub == tail ]] && options+=" -n --lines -f --follow"
                    ;;
                verify) words_="" options="--first-key --head" ;;
                keys) words_="" ;;
            esac
            ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options $globals" -- "$cur"))
        return
    fi
    case $command in
        run | plan | sign | explain) [[ -z $sub ]] && words_=$(_healctl_actions) ;;
        check | keygen) _filedir; return ;;
        audit) [[ -n $sub ]] && { _filedir; return; } ;;
    esac
    COMPREPLY=($(compgen -W "$words_" -- "$cur"))
} && complete -F _healctl healctl
