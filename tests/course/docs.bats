# The tool that checks the documents notices what is not true; and the book
# that is made of them.

# shellcheck disable=SC2016,SC2154 # $ is meant; common.bash sets root
load ../helpers/common

# A little course of its own to break, with this repository's tools.
little_course() {
    mkdir -p tests 01-demo
    cp -r "$root/tests/tools" "$root/tests/maintain" tests
    touch Makefile
    cat >01-demo/demo.c <<'END'
#include <stdio.h>

/* Says it. */
static void say(const char *text)
{
    puts(text);
}

int main(void)
{
    /* First one. */
    say("one");

    /* Then two. */
    say("two");
    return 0;
}
END
    cat >TUTORIAL.md <<'END'
# A little course

See [the chapter](#chapter-1-it-says-say), `01-demo/demo.c` and Chapter 1.

## Chapter 1: it says `say`!

<!-- code: 01-demo/demo.c: say() -->
```c
/* Says it. */
static void say(const char *text)
{
    puts(text);
}
```

<!-- code: 01-demo/demo.c: /* First -->
```c
    /* First one. */
    say("one");
```

<!-- code: 01-demo/demo.c: /* First .. "two" -->
```c
    /* First one. */
    say("one");

    /* Then two. */
    say("two");
```

```console
$ echo one 1; echo two 2 >&2
one [..]
two 2
$ seq 9 > demo
$ ls 01-demo && cat demo
demo.c
1
[...]
9
$ (exit 7)
$ echo $?
7
```

<!-- not run: as it would fail -->
```console
$ echo false
true
```

<!-- run if: test -e 01-demo/nothing -->
```console
$ echo false
true
```

<!-- run if: test -e 01-demo/demo.c -->
```console
$ printf 'one\n%s\n' \
> two | cat
one
two
```
END
}

# After the sed SCRIPT on FILE, docs check says TEXT and fails.
breaks() {
    little_course
    sed -i "$1" "$2"
    run -1 tests/maintain/docs check TUTORIAL.md
    same "what docs check says" "$output" "$3"
}

@test "docs check finds nothing wrong with a good document" {
    little_course
    run -0 tests/maintain/docs check TUTORIAL.md
    same "what docs check says" "$output" ""
}

@test "a changed character in a code block is found" {
    breaks '10s/text/texd/' TUTORIAL.md \
        "TUTORIAL.md:8: 01-demo/demo.c: say() (- expected, + got)
 /* Says it. */
-static void say(const char *texd)
+static void say(const char *text)
 {
     puts(text);"
}

@test "half a mark is found" {
    breaks '1i n: half of it -->' TUTORIAL.md \
        'TUTORIAL.md:1: half a mark: n: half of it -->'
}

@test "a changed character in a source is found" {
    breaks 's/"two"/"too"/' 01-demo/demo.c \
        'TUTORIAL.md:23: 01-demo/demo.c: /* First .. "two" (- expected, + got)
 
     /* Then two. */
-    say("two");
+    say("too");
+    return 0;
+}'
}

@test "a place that is not in the source, or there twice, is found" {
    breaks '$a /* First .. */' 01-demo/demo.c \
        'TUTORIAL.md:17: 01-demo/demo.c: /* First: there are 2 such places
TUTORIAL.md:23: 01-demo/demo.c: /* First .. "two": there are 2 such places'
}

@test "a changed character in an output block is found" {
    breaks 's/^two 2/two 3/' TUTORIAL.md \
        'TUTORIAL.md:32: $ echo one 1; echo two 2 >&2 (- expected, + got)
 one [..]
-two 3
+two 2'
}

@test "output where none is expected, and none where some is, is found" {
    breaks 's/(exit 7)/echo x/; s/^7$//' TUTORIAL.md \
        'TUTORIAL.md:41: $ echo x (- expected, + got)
+x
TUTORIAL.md:42: $ echo $? (- expected, + got)
-
+0'
}

@test "a changed status is found" {
    breaks 's/exit 7/exit 8/' TUTORIAL.md \
        'TUTORIAL.md:42: $ echo $? (- expected, + got)
-7
+8'
}

@test "a line too many or too few beside [...] is found" {
    breaks 's/^1$/1\n2/; s/^9$/8\n9\n10/' TUTORIAL.md \
        'TUTORIAL.md:36: $ ls 01-demo && cat demo (- expected, + got)
 8
 9
-10'
}

@test "a command that does not end is stopped and found" {
    little_course
    sed -i 's/timeout -k 1 300/timeout -k 1 0.1/' tests/maintain/docs
    sed -i 's/exit 7/sleep 9/' TUTORIAL.md
    run -1 tests/maintain/docs check TUTORIAL.md
    [[ $output == *'$ (sleep 9) '*'+stopped after 300 seconds'* ]]
}

@test "a block that runs on a condition is looked at where it holds" {
    breaks 's/^> two/> too/' TUTORIAL.md \
        'TUTORIAL.md:60: $ printf '"'one\n%s\n' \\"'
too | cat (- expected, + got)
 one
-two
+too'
}

@test "a c block without a label is found" {
    breaks '7d' TUTORIAL.md \
        'TUTORIAL.md:7: a c block without <!-- code: FILE: PLACE -->'
}

@test "a link to nothing is found: file, heading, path, chapter" {
    breaks '3s/.*/[a](no.md), [b](#no), `01-demo\/no.c`, chapter 9,\
[c](#chapter-1-it-says-say) and [d](TUTORIAL.md#no)/' TUTORIAL.md \
        "TUTORIAL.md:3: there is no 01-demo/no.c
TUTORIAL.md:3: there is no no.md
TUTORIAL.md:3: there is no #no
TUTORIAL.md:3: there is no Chapter 9
TUTORIAL.md:4: there is no TUTORIAL.md#no"
}

# Two pages and an exercise beside the little course.
little_pages() {
    little_course
    mkdir -p 01-demo/exercises 02-more tests/exercises tests/helpers
    cp "$root"/tests/helpers/plain.bash tests/helpers
    cp "$root"/tests/exercises/library.bash tests/exercises
    sed -i 's/^## Chapter 1.*/## For teachers/; s/ls 01-demo &/echo demo.c \&/
        3s/(#[^)]*)/(01-demo\/README.md)/' TUTORIAL.md
    cat >01-demo/README.md <<'END'
[The course](../TUTORIAL.md),
then [2](../02-more/README.md#run-it)

# Chapter 1: to read

## The idea

See [chapter 2] and `Q`.

## Run it

```console
$ printf '1\n# not this\n'
1
# not this
```

Next: [2, more](../02-more/README.md)

[chapter 2]: ../02-more/README.md
END
    cat >02-more/README.md <<'END'
# Chapter 2: more

## Run it

[Here](#run-it), [there](../01-demo/README.md#run-it),
[the program](../01-demo/demo.c).
END
    cat >01-demo/exercises/1-one.c <<'END'
/*
 * 1-one.c - a starter
 *
 * Read:   01-demo/README.md, line 10 (Run it); 02-more/README.md, line 1
 *         (of another kind); 01-demo/README.md, line 6 (The
 *         idea)
 * Check:  make exercise-1.1
 */
/* 01-demo/README.md, line 9 (Run it) */
END
    tests/tools/exercise --sum
}

@test "docs check without a name looks at all pages" {
    little_pages
    touch README.md
    run tests/maintain/docs check
    same "what docs check says" "$output" ""
    sed -i 's/^1$/2/' 01-demo/README.md
    sed -i 's/(#run-it)/(#run)/' 02-more/README.md
    run -1 tests/maintain/docs check
    same "what docs check says" "$output" "\
$PWD/01-demo/README.md:13: \$ printf '1\n# not this\n' (- expected, + got)
-2
+1
 # not this
$PWD/02-more/README.md:5: there is no #run"
}

@test "a [chapter 2] of which no line says where it leads is found" {
    little_pages
    sed -i '/^\[chapter 2\]: /d' 01-demo/README.md
    run -1 tests/maintain/links 01-demo/README.md
    same "what links says" "$output" \
        '01-demo/README.md:8: there is no line "[chapter 2]: ..."'
    echo '[chapter 2]: ../03-none/README.md' >>01-demo/README.md
    run -1 tests/maintain/links 01-demo/README.md
    same "what links says" "$output" \
        '01-demo/README.md:20: there is no ../03-none/README.md'
}

@test "lines that exercises name are checked, and mended if nobody edits" {
    little_pages
    cp 01-demo/exercises/1-one.c good.c
    run -0 tests/maintain/reads check
    sed -i '1i A line more.' 01-demo/README.md
    run -1 tests/maintain/docs check 01-demo/README.md
    same "what docs check says" "$output" "\
01-demo/exercises/1-one.c: 01-demo/README.md, line 10 (Run it): it is line 11
01-demo/exercises/1-one.c: 01-demo/README.md, line 6 (The idea): it is line 7"
    run -0 tests/maintain/reads check 02-more/README.md

    echo '/* my answer */' >>01-demo/exercises/1-one.c
    run -0 tests/maintain/docs write 01-demo/README.md
    run -1 diff good.c 01-demo/exercises/1-one.c
    same "what has changed" "$output" $'9a10\n> /* my answer */'

    cp good.c 01-demo/exercises/1-one.c
    run -0 tests/maintain/docs write 01-demo/README.md
    sed -i 's/line 10/line 11/; s/line 6/line 7/' good.c
    cmp good.c 01-demo/exercises/1-one.c
    same "the sums" "$(<tests/exercises/starters)" \
        "$(cksum 01-demo/exercises/1-one.c)"
    run -0 tests/maintain/reads check

    sed -i 's/^## The idea/## No idea/' 01-demo/README.md
    run -1 tests/maintain/reads write
    same "what reads says" "$output" "01-demo/exercises/1-one.c: \
01-demo/README.md, line 7 (The idea): there is none"
    cmp good.c 01-demo/exercises/1-one.c
}

# Every link of ./book.md, and of ./book.html where it is made, is good.
good_links() {
    same "what links says" "$(tests/maintain/links book.md)" ""
    if [[ -e book.html ]]; then
        grep -o ' id="[^"]*"' book.html | cut -d '"' -f 2 >ids
        grep -o ' href="#[^"]*"' book.html | sed 's/.*#//; s/"//' >wanted
        [[ -s wanted ]]
        run ! grep -vxFf ids wanted
    fi
}

@test "the book has all pages, and links that lead within it" {
    little_pages
    tests/tools/book >said
    good_links
    sed -n '/^## Chapter 1/,/^## For/p' book.md >chapters
    same "the chapters" "$(<chapters)" '## Chapter 1: to read

### The idea

See [chapter 2] and `Q`.

### Run it

```console
$ printf '\''1\n# not this\n'\''
1
# not this
```

## Chapter 2: more

### Run it

[Here](#run-it-1), [there](#run-it),
[the program](01-demo/demo.c).

## For teachers'
    grep -qxF '[chapter 2]: #chapter-2-more' book.md
    grep -qF '[the chapter](#chapter-1-to-read)' book.md
}

@test "the book of this course has good links, and lacks nothing" {
    ln -s "$root"/0* "$root"/{README,TUTORIAL}.md "$root/tests" .
    "$root/tests/tools/book" . >said
    good_links
    sed -s '/^# /,$!d' "$root/TUTORIAL.md" "$root"/0*/README.md |
        grep -vE '^(#|\[|Next: |$)|\]\(' | sort -u >pages
    sort -u book.md >book
    run -0 comm -23 pages book
    same "what is missing" "$output" ""
}

@test "docs write mends code and output, and keeps lines with wildcards" {
    little_course
    cp TUTORIAL.md good.md
    sed -i 's/texd/text/; s/^two 2/two 3/; s/^9$/9x/; s/"one"/"no"/' TUTORIAL.md
    run ! cmp -s TUTORIAL.md good.md
    run -0 tests/maintain/docs write TUTORIAL.md
    same "the mended document" "$(cat TUTORIAL.md)" "$(cat good.md)"
}

@test "docs leaves nothing behind" {
    little_course
    run -0 tests/maintain/docs check TUTORIAL.md
    same "the list of files" "$(ls -A . tests)" \
        $'.:\n01-demo\nMakefile\nTUTORIAL.md\ntests\n\ntests:\nmaintain\ntools'
}
