# What the tests of the exercises share.
#
#     load helpers/common
#     load helpers/answers

# shellcheck disable=SC2034,SC2154 # of common.bash and of the test files

exercises=("$root"/tests/exercises/[0-9].[0-9]*.bash)

# Answers are compiled as fast as can be, may take long on a busy machine, and
# faults are none of ours.
export CFLAGS='-O0 -Werror' EXERCISE_LIMIT=60
unset TAP HINT EXERCISE_RECORD

# facts FILE: what an exercise says of itself, and its $id.
facts() {
    id=${1##*/} id=${id%.bash}
    wrong=() right=() notice=''
    # shellcheck source=/dev/null
    source "$1"
}

# The solutions, laid out as a learner's answers are.
solved_course() {
    local chapter

    mkdir solved
    for chapter in "$root"/0*; do
        mkdir "solved/${chapter##*/}"
        ln -s "$chapter/solutions" "solved/${chapter##*/}/exercises"
    done
}

# answer N.K DIR [SED]: the solution, changed by SED, is the answer in DIR.
answer() {
    local id name chapter

    facts "$root/tests/exercises/$1.bash"
    mkdir -p "$2/$chapter/exercises"
    sed "${3-}" "$root/$chapter/solutions/$name.c" \
        >"$2/$chapter/exercises/$name.c"
}

# exercise ARGUMENT...: the tool, with what it says in $output and $stderr.
exercise() {
    run --separate-stderr "$root/tests/tools/exercise" "$@"
    [[ -z $stderr ]] || same stderr "$stderr" ''
}
