# How each program is called where all of them are tried, in a folder with a
# file `old`, made by old_file: it may write `file` and nothing else.

# old_file: what is in `old`, 22000 bytes.
old_file() {
    seq 9999 | head -c 22000
}

# arguments NAME: those of a run that succeeds.
arguments() {
    case $1 in
    setup-destroy | context-limits) echo 8 ;;
    single-read) echo old 21990 100 ;;
    batch-submit*) echo file 10 4 ;;
    odirect) echo file 700001 ;;
    queue-depth) echo file 4096 1 1 ;;
    aio-copy) echo old file 3 4096 ;;
    *)
        # shellcheck disable=SC2154 # who reads this has set root
        ! grep -qs '^ \* Usage:.* FILE' "$root"/0*/"$1.c" || echo file
        ;;
    esac
}

# programs: the built ones, as 01-setup-destroy/setup-destroy
programs() {
    local source

    for source in 0*/*.c; do
        [[ ! -x ${source%.c} ]] || echo "${source%.c}"
    done
}
