# What holds for all sources: the standing checks.
# seconds: 3

load ../helpers/common

# Programs, and the solutions of the exercises.
programs=("$root"/0*/*.c)
shopt -s nullglob
solutions=("$root"/0*/solutions/*.c)
shopt -u nullglob

# in_git: is this a repository, and not a copy without one?
in_git() { git -C "$root" rev-parse --git-dir >/dev/null 2>&1; }

# The starters that are not as they were handed out.
edited() {
    cut -d ' ' -f 3 tests/exercises/starters | xargs cksum 2>/dev/null |
        grep -vxFf tests/exercises/starters | cut -d ' ' -f 3
}

# All that belongs to the course: what git knows, or in a copy without git
# what was not built. Starters that somebody works on are not looked at.
written() {
    cd "$root" || return
    if in_git; then
        git ls-files
    else
        find . -name '.scratch.*' -prune -o -path ./handout -prune -o \
            -path ./class -prune -o -type f ! -path ./demo \
            ! -path './demo.*' ! -name '*.so' ! -name .built-with \
            ! -path './book.*' -printf '%P\n'
    fi | sort | grep -vxFf <(edited) |
        while read -r file; do
            [[ ! -f $file || -f $file.c ]] || echo "$root/$file"
        done
}

starters() { written | grep '/exercises/[^/]*\.c$'; }

# nothing WHAT: standard input must be empty; what comes is what is wrong.
nothing() {
    local found

    found=$(cat)
    if [[ -n $found ]]; then
        printf '%s:\n%s\n' "$1" "$found"
        return 1
    fi
}

# Functions that are the same wherever they are: what every program has, the
# system calls, and all others that are declared in the same way: those of the
# window where struct request is the same as well. Those that only print,
# prepare the program's own requests or only note a signal may differ. A
# starter may differ where its hole is.
same_functions() {
    awk '
    function settle(key) {
        if (!(key in first)) {
            first[key] = text
            where[key] = FILENAME
        } else if (text != first[key])
            print FILENAME ": " name "() is not that of " where[key]
    }
    FNR == 1 { inside = 0; request = "" }
    /^struct request {/, /^};/ { request = request $0 }
    FNR == 1 || /^$/ && !inside { name = text = ""; next }
    { text = text $0 "\n" }
    inside && $0 == "}" {
        if (name ~ /^(start|check_output|number|io_[a-z]+)$/)
            settle(name)
        else if (FILENAME ~ /\/exercises\//)
            ;
        else if (name ~ /^(fill|complete|make_window)$/)
            settle(declaration request)
        else if (name !~ /^(main|prepare|show|show_mistake|on_[a-z]+)$/)
            settle(declaration)
        inside = 0
        name = text = ""
    }
    inside { next }
    /;$/ { name = "" }          # that was a prototype
    $0 == "{" && name { inside = 1 }
    /^[a-z].*[a-z0-9_]\(.*[^;]$/ && !/ = / {
        name = declaration = $0
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
    }' "$@" 2>&1 | sed "s|$root/||g" | nothing 'the same letter for letter'
}

@test "what several programs define is the same in all, letter for letter" {
    mapfile -t starters < <(starters)
    same_functions "${programs[@]}" "${solutions[@]}" "${starters[@]}"
}

@test "one changed letter in a helper, or its comment, is noticed" {
    local change

    cp "$root"/03-batch-submit/batch-submit.c one.c
    cp one.c two.c
    run -0 same_functions one.c two.c
    for change in 's/_IOLBF/_IOFBF/ start' \
        's/errno.on.error\./errno./ io_setup' \
        's/in_flight--/in_flight++/ reap'; do
        sed "${change% *}" one.c >two.c
        run -1 same_functions one.c two.c
        same "what is found" "${lines[1]}" \
            "two.c: ${change#* }() is not that of one.c"
    done
}

# The order of K&R: main first, the lesson's functions, the system calls, and
# then what every program has.
check_order() {
    awk '
    function wrong(what) { print FILENAME ": " what }
    BEGIN { at["main"] = 2; at["check_output"] = 5
            at["start"] = 6; at["number"] = 7 }
    FNR == 1 { place = 0; name = "" }
    /;$/ { name = "" }
    /^[a-z].*[a-z0-9_]\(.*[^;]$/ && !/ = / {
        name = $0
        argument = /\(const char \*text/     # to be read, as number() does
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
    }
    /^static const char usage\[\] =/ {
        if (place < 2 || place > 3)
            wrong("usage[] is not behind main, its functions and system calls")
        place = 4
    }
    $0 == "{" && name {
        if (name == "main" && place != 0)
            wrong("main() is not the first")
        else if (name != "main" && place == 0)
            wrong(name "() is ahead of main()")
        now = (name in at) ? at[name] : name ~ /^io_/ ? 3 : 2
        if (place >= 6 && argument)
            now = place
        if (now < place)
            wrong(name "() stands too late")
        if (now >= 5 && (place < 4 || now > place + 1))
            wrong(name "() stands too early")
        place = now
    }' "$@" 2>&1 | sed "s|$root/||g" | nothing 'order'
}

@test "main comes first, then its functions, system calls, and the usual" {
    mapfile -t starters < <(starters)
    check_order "${programs[@]}" "${solutions[@]}" "${starters[@]}"
}

@test "a function that stands in another place is noticed" {
    local name=batch-submit.c

    cp "$root"/03-batch-submit/$name .
    run -0 check_order $name
    awk '/^int main/, /^}/ { main = main $0 "\n"; next } 1
        END { printf "\n%s", main }' "$root"/03-batch-submit/$name >$name
    run -1 check_order $name
    [[ ${lines[1]} == "$name: fill() is ahead of main()" ]]
    sed 's/^static int create(int flags)$/static int io_setup()\n{\n}\n\n&/' \
        "$root"/03-batch-submit/$name >$name
    run -1 check_order $name
    same "what is found" "${lines[1]}" "$name: create() stands too late"
}

# The seven: 01-setup-destroy/setup-destroy.c ...
main_programs() {
    local folder

    for folder in "$root"/0*/; do
        folder=${folder%/}
        echo "$folder/${folder##*/??-}.c"
    done
}

@test "a main program's main begins by line 60, its AIO by line 90" {
    mapfile -t files < <(main_programs)
    awk '
    /^int main\(/ && FNR > 60 { print FILENAME ":" FNR ": main" }
    /^int main\(/ { main[FILENAME] = FNR }
    (FILENAME in main) && !(FILENAME in first) &&
    /(io_(setup|submit)|aio_(read|write)|make_context)\(/ {
        first[FILENAME] = FNR
        if (FNR > 90)
            print FILENAME ":" FNR ": the first AIO call"
    }
    END {
        for (i = 1; i < ARGC; i++)
            if (!(ARGV[i] in first))
                print ARGV[i] ": no AIO call in sight"
    }' "${files[@]}" 2>&1 | nothing 'too far down'
}

@test "half of the programs have at most 220 lines" {
    local median

    median=$(wc -l "${programs[@]}" | sed '$d' | sort -n |
        awk '{ lines[NR] = $1 } END { print lines[int((NR + 1) / 2)] }')
    echo "# the median is $median lines" >&3
    ((median <= 220))
}

# `diff` of neighbours is the lesson. The last pair is two APIs that have no
# call in common: its bound is what it comes to, and some room.
@test "neighbouring main programs differ in at most 220 lines" {
    local file before='' changed most

    for file in $(main_programs); do
        case ${file##*/} in
        odirect.c) most=160 ;;
        posix-aio.c) most=430 ;;
        *) most=220 ;;
        esac
        if [[ $before ]]; then
            changed=$(diff "$before" "$file" | grep -c '^[<>]' || true)
            echo "# ${before##*/} ${file##*/}: $changed of $most lines" >&3
            ((changed <= most)) || echo "${file##*/}: $changed lines"
        fi
        before=$file
    done | nothing 'not the program before with one new idea'
}

@test "every program uses <err.h>, and begins with start()" {
    local line

    mapfile -t starters < <(starters)
    for line in '#include <err.h>' '    start(argc, argv, '; do
        grep -LF "$line" "${programs[@]}" "${solutions[@]}" \
            "${starters[@]}" | nothing "without a line like: $line"
    done
    grep -nE '\<die\(' "${programs[@]}" "${solutions[@]}" "${starters[@]}" |
        nothing 'err() does that'
}

@test "clang-format has nothing to say" {
    command -v clang-format >/dev/null || skip "there is no clang-format"
    mapfile -t sources < <(written | grep '\.c$')
    (cd "$root" && clang-format --dry-run -Werror "${sources[@]}") 2>&1 |
        grep 'error:' | sed "s|$root/||" | nothing 'clang-format -i FILE'
}

# Not in a list of programs that only have their usage looked at.
@test "every program is run by a test of its chapter" {
    local program folder name

    for program in "${programs[@]}"; do
        folder=${program%/*} name=${program##*/}
        sed -E '/^ *#/d; /^@test/d; /assert_(help|usage)/d' \
            "$root/tests/${folder##*/}.bats" |
            grep -qE "(^|[ /\"(])${name%.c}(\$|[ \";)])" ||
            echo "${program#"$root"/}: no test in tests/${folder##*/}.bats"
    done | nothing 'without a test of its own'
}

@test "no program includes a file of this repository" {
    mapfile -t starters < <(starters)
    grep -n '#include *"' "${programs[@]}" "${solutions[@]}" \
        "${starters[@]}" | nothing 'not alone'
}

# The first lines: what it is, what it shows, Build: and Usage:.
check_header() {
    awk '
    function miss(what) { print FILENAME ": " what }
    FNR == 1 {
        name = FILENAME
        sub(/.*\//, "", name)
        sub(/\.c$/, "", name)
        build = usage = ended = 0
        if ($0 != "/*")
            miss("does not begin with a comment")
    }
    FNR == 2 && index($0, " * " name ".c - ") != 1 {
        miss("its second line is not \" * " name ".c - ...\"")
    }
    FNR == 3 && $0 != " *" || FNR == 4 && !/^ \* [^ ]/ {
        miss("line " FNR " is no paragraph on what it shows")
    }
    !ended && index($0, " * Build:  cc -o " name " " name ".c") == 1 {
        build = 1
    }
    !ended && index($0, " * Usage:  ./" name) == 1 {
        usage = substr($0, 14)
    }
    $0 == " */" && !ended {
        if (before != " * SPDX-License-Identifier: MIT-0")
            miss("its header does not end with the licence")
        ended = 1
    }
    { before = $0 }
    /^    "Usage: / {
        if (!build)
            miss("no line \" * Build:  cc -o " name " " name ".c\"")
        if ($0 != "    \"Usage: " usage "\\n\"")
            miss("\"Usage: " usage "\" is not the usage text: " $0)
    }' "$@" 2>&1 | sed "s|$root/||g" | nothing 'headers'
}

@test "each header has the name, how to build it, and the usage text" {
    mapfile -t starters < <(starters)
    check_header "${programs[@]}" "${solutions[@]}" "${starters[@]}"
}

@test "a header that is not true is noticed" {
    local change

    cp "$root"/03-batch-submit/batch-submit.c .
    run -0 check_header batch-submit.c
    for change in '1s/^/ /' '2s/batch/patch/' '3s/$/ text/' \
        's/^ \* Build:  cc/&+/' 's/^ \* Usage:.*/&./' 's/^    "Usage: /&./' \
        's/^ \* SPDX/&-/'; do
        sed "$change" "$root"/03-batch-submit/batch-submit.c >batch-submit.c
        run -1 check_header batch-submit.c
    done
}

@test "README.md has each program, with what its header says of it" {
    local program

    for program in "${programs[@]}"; do
        sed -n '2s/^ \* \(.*\)\.c - \(.*\)/\1 \2/p' "$program" |
            while read -r name words; do
                grep -qF "[$name](${program#"$root"/}) | $words |" \
                    "$root/README.md" || echo "$program - $words"
            done
    done | nothing 'not in README.md'
}

@test "make clean removes each demo file that a page has one make" {
    grep -ohE '\<demo(\.[a-z]+)?\>' "$root"/{README,TUTORIAL,0*/README}.md |
        grep -vx 'demo\.[ch]' | sort -u |
        grep -vxFf <(make -s -C "$root" -pn clean | sed -n 's/^demos := //p' |
            tr ' ' '\n') | nothing 'not in the list of the Makefile'
}

# Columns are counted in bytes: sources are plain ASCII.
check_lines() {
    local file

    {
        awk '
        # Wrong answers of exercises are sed scripts, of one line each.
        FILENAME ~ /tests\/exercises\// && /^    \047.*\|/ { next }
        length > 80 && !/^@test / {         # names are whole sentences
            print FILENAME ":" FNR ": over 80 columns"
        }
        /[ \t]$/ && FILENAME !~ /\.bats$/ {
            print FILENAME ":" FNR ": ends in blanks"
        }
        /\t/ && FILENAME !~ /Makefile$/ { print FILENAME ":" FNR ": a tab" }
        /[^\t -~]/ { print FILENAME ":" FNR ": not ASCII" }' "$@"

        # The last characters, and if not all are newlines, whose they are.
        [[ -z $(tail -qc 1 "$@" | tr -d '\n') ]] || for file; do
            [[ -z $(tail -c 1 "$file") ]] ||
                echo "$file: no newline at its end"
        done
    } | nothing 'lines'
}

@test "no line of a source is over 80 columns, and there are no tabs" {
    mapfile -t sources < <(written | grep -vE '\.(md|svg|known|yml)$')
    check_lines "${sources[@]}"
}

@test "lines that are too long, or not plain, are noticed" {
    printf '%081d\n' 0 >long
    printf 'a\tb\n' >tab
    printf 'a \n' >blank
    printf 'caf\303\251\n' >letters
    printf 'a' >open
    for file in long tab blank letters open; do
        run -1 check_lines "$file"
    done
    printf '%080d\n' 0 >fine
    run -0 check_lines fine
}

@test "the documents' lines are not over 80 columns, but for tables" {
    awk '
    /^```/ { code = !code }
    { gsub(/[\200-\277]/, "") }
    # What has a link in it cannot always be shorter.
    length > 80 && !code && !/^(\||<!-- |\[.*\]: )/ && !/\]\(/ {
        print FILENAME ":" FNR
    }' \
        "$root"/{README,TUTORIAL,CONTRIBUTING,0*/README,tests/README}.md |
        nothing 'over 80 columns'
}

@test "nothing is marked as left to be done" {
    local marks='TO''DO|FIX''ME|X''XX'

    mapfile -t files < <(written)
    grep -nEw "$marks" "${files[@]}" | nothing 'marks'
}

@test "no file mentions a folder of somebody's machine" {
    local homes='(^|[^A-Za-z0-9_}])/(home|Users|root|work)/[A-Za-z]'

    mapfile -t files < <(written | grep -v '/style\.bats$')
    grep -nE "$homes" "${files[@]}" | nothing 'folders of one machine'
}

# A new file at the top is fine, if somebody has said what it is there for.
@test "CONTRIBUTING.md says what each thing at the top level is for" {
    local name

    written | sed "s|^$root/||; s|/.*||" | grep -v '^0' | sort -u |
        while read -r name; do
            grep -qF "\`$name" "$root/CONTRIBUTING.md" || echo "$name"
        done | nothing 'is it meant to be there? CONTRIBUTING.md does not say'
}

@test "tests/README.md says what each helper and tool is for" {
    written | sed -nE "s=^$root/tests/(helpers|tools|maintain)/==p" |
        grep -vE '^(probe-|posix-)' | while read -r name; do
            grep -qwF "$name" "$root/tests/README.md" || echo "$name"
        done | nothing 'not in tests/README.md'
}

@test "what is executable is a script, or was built from the file beside it" {
    written | while read -r file; do
        read -r -n 2 first <"$file" || true
        [[ $first == '#!' || ! -x $file ]] || echo "$file: executable"
        [[ $first != '#!' || -x $file || $file == *.bats ]] ||
            echo "$file: not executable"
    done 2>/dev/null | nothing 'modes'
}

@test "git keeps what is written and ignores what is built" {
    if in_git; then
        git -C "$root" ls-files -ci --exclude-standard | nothing 'committed'
        git -C "$root" ls-files -s | awk '$1 == 100755 { print $4 }' |
            while read -r file; do
                [[ $(head -c 2 "$root/$file") == '#!' ]] || echo "$file"
            done | nothing 'committed as executables'
    fi
    grep -qx '/0\*/\*' "$root/.gitignore"
}

@test "each main program builds alone, in an empty folder, as it says" {
    local program build old=

    # What is in brackets is for a glibc before 2.34.
    [[ ! $(getconf GNU_LIBC_VERSION 2>&1) =~ ^glibc\ 2\.([12].|3[0-3])$ ]] ||
        old=yes
    for program in "$root"/0*/; do
        program=$program$(basename "$program" | sed 's/^0.-//')
        build=$(sed -n 's/^ \* Build:  cc \([^(]*\).*/\1/p' "$program.c")
        [[ -z $old ]] || build+=" $(sed -n \
            's/^ \* .*(glibc .*: add \(.*\))/\1/p' "$program.c")"
        mkdir folder
        cp "$program.c" folder
        # shellcheck disable=SC2086 # several words each
        (cd folder && ${CC:-cc} ${CPPFLAGS:-} $build) || echo "$program"
        [[ -x folder/${program##*/} ]] || echo "$program: $build"
        rm -r folder
    done 2>&1 | nothing 'not built'
}

@test "no program has a warning at -Wall -Wextra -Wpedantic" {
    local program files=()

    for program in "${programs[@]}"; do
        [[ ! -x ${program%.c} ]] || files+=("$program")     # without libaio
    done
    # shellcheck disable=SC2086 # several words
    ${CC:-cc} ${CPPFLAGS:-} -fsyntax-only -Wall -Wextra -Wpedantic -Werror \
        "${files[@]}" 2>&1 | nothing 'warnings'
}

# What newer systems of 32 bits have: long is not time_t there.
@test "every program compiles for 32 bits with a time_t of 64" {
    local program files=() wide=(-m32 -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)

    echo '#include <time.h>
int wide[sizeof(time_t) == 8 ? 1 : -1];' >time.c
    gcc "${wide[@]}" -fsyntax-only time.c 2>/dev/null ||
        skip "no compiler for that"
    for program in "${programs[@]}" "${solutions[@]}"; do
        grep -q '<libaio.h>' "$program" || files+=("$program")
    done
    gcc "${wide[@]}" -fsyntax-only -Wall -Wextra -Werror "${files[@]}" 2>&1 |
        nothing 'warnings'
}

@test "every program answers -h and --help with its usage, status 0" {
    local program name

    for program in "${programs[@]}"; do
        program=${program%.c}
        name=${program##*/}
        [[ -x $program ]] || continue           # libaio is not everywhere
        for option in -h --help; do
            "$program" "$option" >out 2>err || echo "$name $option: status $?"
            grep -qx "Usage: $name\( .*\)\?" <(head -n 1 out) ||
                echo "$name $option: no usage"
            [[ ! -s err ]] || echo "$name $option: $(cat err)"
        done
        grep -E '^.{81}' out || true
    done | nothing 'help'
}

# refuses PROGRAM ARGUMENT...: usage on stderr, status 2; says if not.
refuses() {
    local status=0

    "$@" >out 2>err || status=$?
    [[ $status == 2 ]] || echo "${1##*/}: status $status"
    [[ ! -s out ]] || echo "${1##*/}: $(cat out)"
    cmp -s err <("$1" -h) || echo "${1##*/}: no usage"
}

@test "every program answers too many arguments with its usage, status 2" {
    local program

    for program in "${programs[@]}"; do
        [[ -x ${program%.c} ]] || continue      # libaio is not everywhere
        refuses "${program%.c}" 1 2 3 4 5 6 7 8 9 10 11 12
    done | nothing 'too many arguments'
}

@test "every program says -x is no option of its, status 2" {
    local program

    for program in "${programs[@]}"; do
        [[ -x ${program%.c} ]] || continue      # libaio is not everywhere
        refuses "${program%.c}" -x
        [[ ! -e ./-x ]] || echo "${program%.c} made a file"
    done | nothing 'options'
}
