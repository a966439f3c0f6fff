# fish completion for popkeep; what can stand next is asked of popkeep itself.

function __popkeep_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in ($before[1] help --completion -- $before[2..-1] $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':folders'
                __fish_complete_directories $current
            case '*'
                printf '%s\n' $line
        end
    end
end

complete -c popkeep -f -a '(__popkeep_complete)'
