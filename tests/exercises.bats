# The exercises: starters fail for the reason that their task names, solutions
# pass, and nothing else does. Then the tools: score board, hints, handout.
# seconds: 9

load helpers/common

exercises=("$root"/tests/exercises/[0-9].[0-9]*.bash)

# Answers are compiled as fast as can be, and faults are none of ours.
export CFLAGS='-O0 -Werror' EXERCISE_LIMIT=10
unset TAP HINT EXERCISE_RECORD

# facts FILE: what an exercise says of itself, and its $id.
facts() {
    id=${1##*/} id=${id%.bash}
    wrong=()
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

# report N.K: what the tool, run with --tap, said of it.
report() {
    awk -v id="$1" '
    /^(not )?ok / { inside = ($1 == "ok" ? $4 : $5) == id }
    inside' <<<"$output"
}

# A learner's own copy of the course may be tested as well: what has been
# edited there is left out. As long as git knows the file so, nobody has.
@test "each starter compiles with no warning, and fails for its reason" {
    local file text edited touched=()

    edited=" $("$root/tests/tools/exercise" --edited | tr '\n' ' ')"
    run --separate-stderr "$root/tests/tools/exercise" --tap
    [[ -z $stderr && -n $output ]]
    for file in "${exercises[@]}"; do
        facts "$file"
        text=$(report "$id")
        file=$chapter/exercises/$name.c
        # shellcheck disable=SC2053 # a pattern on purpose
        if [[ $text == *' # SKIP '* ]]; then
            continue
        elif [[ $edited != *" $id "* ]]; then
            [[ $text == 'not ok '* && $text == $reason ]] ||
                printf '%s: not for the reason %s:\n%s\n' "$id" "$reason" \
                    "$text"
        elif [[ $text == 'ok '* ]] ||
            ! git -C "$root" diff --quiet HEAD -- "$file" 2>/dev/null; then
            touched+=("$id")
        else
            echo "$id: its starter is not that of tests/exercises/starters"
        fi
    done >wrong
    cat wrong
    [[ ! -s wrong ]]
    [[ ${#touched[@]} == 0 ]] || skip "edited: ${touched[*]}"
}

@test "each solution compiles with no warning, and passes" {
    solved_course
    run -0 --separate-stderr "$root/tests/tools/exercise" --tap --from solved
    [[ -z $stderr && -n $output && $output != *'not ok'* ]]
    [[ ${#lines[@]} == $((${#exercises[@]} + 1)) ]]
}

# refused DIR: no answer in it passes, and none for being no program at all.
# What does is noted in ./passed.
refused() {
    CFLAGS='-O0 -w' EXERCISE_LIMIT=2 "$root/tests/tools/exercise" --tap \
        --from "$1" >tap 2>err || true
    [[ -s tap && ! -s err ]]
    sed -n "/^ok [^#]*$/s|^|$1: |p; /does not compile/s|^|$1: |p" tap >>passed
}

# Two of each exercise are enough for every day: EXERCISES=all tries all.
@test "wrong answers are refused" {
    local file i answer

    for file in "${exercises[@]}"; do
        facts "$file"
        for i in "${!wrong[@]}"; do
            [[ $i -lt 2 || ${EXERCISES-} == all ]] || break
            answer=wrong.$i/$chapter/exercises/$name.c
            mkdir -p "${answer%/*}"
            sed "${wrong[i]#*|}" "$root/$chapter/solutions/$name.c" >"$answer"
            ! cmp -s "$answer" "$root/$chapter/solutions/$name.c" ||
                echo "$id: nothing is wrong: ${wrong[i]%%|*}"
        done
    done >wrong
    cat wrong
    [[ ! -s wrong ]]
    for i in wrong.*; do
        refused "$i"
    done
    cat passed
    [[ ! -s passed ]]
}

# The best cheat there is: run by run, it prints what the solution prints,
# and ends as it does; and does nothing else. cheat RECORD prints its source.
cheat() {
    cat >"$1/replay" <<END
n=1
until mkdir $1/\$n.done 2>/dev/null; do
    n=\$((n + 1))
done
cat $1/\$n.out
cat $1/\$n.err >&2
exit \$(cat $1/\$n.status)
END
    cat <<END
int system(const char *), unsetenv(const char *);
int main(void)
{
    unsetenv("LD_PRELOAD");
    return system("exec sh $1/replay") >> 8;
}
END
}

@test "programs that only print what the solutions print are refused" {
    local file answer

    solved_course
    EXERCISE_RECORD=$PWD/record "$root/tests/tools/exercise" --tap \
        --from solved >out
    for file in "${exercises[@]}"; do
        facts "$file"
        [[ -d record/$id ]] || continue         # it cannot be checked here
        answer=cheats/$chapter/exercises/$name.c
        mkdir -p "${answer%/*}"
        cheat "$PWD/record/$id" >"$answer"
    done
    refused cheats
    cat passed
    [[ ! -s passed ]]
    [[ -d record/2.2/1.done ]]
}
