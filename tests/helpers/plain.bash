# plain_path: for LD_PRELOAD a blank or a colon ends a name, and $ is not
# itself. Where the current folder's path has such, goes there by a link that
# has none, in a new folder, $plain: to be removed at the end.
plain=
plain_path() {
    [[ $PWD == *[[:space:]:\$]* ]] || return 0
    plain=$(mktemp -d) && ln -s "$PWD" "$plain/course" || return
    cd "$plain/course" || return
}
