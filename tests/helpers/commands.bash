# How each program is called where all of them are tried, in a folder with a
# file `old` of 5000 bytes: it may write `file` and nothing else.

# arguments NAME: those of a run that succeeds.
arguments() {
    case $1 in
    setup-destroy | context-limits) echo 8 ;;
    wait-timeout | poll-requests | wait-signal) ;;
    single-read) echo old 4990 100 ;;
    batch-submit*) echo file 10 4 ;;
    odirect) echo file 700001 ;;
    queue-depth) echo old 4096 1 ;;
    aio-copy) echo old file 2 4096 ;;
    *) echo file ;;
    esac
}

# programs: the built ones, as 01-setup-destroy/setup-destroy
programs() {
    local source

    for source in 0*/*.c; do
        [[ ! -x ${source%.c} ]] || echo "${source%.c}"
    done
}
