# Linux AIO, step by step. `make help` says what there is to make.
#
#     make CC=clang                another compiler, or musl-gcc
#     make CFLAGS='-O0 -g3'        other flags
#     make WERROR=1                warnings are errors
#     make V=1                     shows the commands

CFLAGS   ?= -O2 -g
warnings := -Wall -Wextra -Wpedantic $(if $(WERROR),-Werror)
Q        := $(if $(V),,@)

# The programs: what a chapter's folder holds, not its exercises.
sources  := $(wildcard 0*/*.c)
programs := $(sources:.c=)
helpers  := $(patsubst %.c,%,$(shell grep -l '^int main' tests/helpers/*.c \
        2>/dev/null)) $(if $(wildcard tests/helpers/preload.c),\
        tests/helpers/fault.so)

# One job for each processor; but `make clean all` goes one by one.
ifneq ($(filter clean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
else ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

ifneq ($(filter-out clean help doctor book,$(or $(MAKECMDGOALS),all)),)
# $(call has,HEADER): "yes" if the compiler finds it.
has = $(shell $(CC) $(CPPFLAGS) -include $1 -fsyntax-only -x c /dev/null \
        2>/dev/null && echo yes)

# The one program that needs a library is left out where there is none, or
# none for this compiler and its flags: a 32-bit one, say. (What lies in the
# folders that are added below is for another compiler.)
libaio := $(wildcard 03-batch-submit/batch-submit-libaio.c)
ifneq ($(libaio),)
ifneq ($(shell echo 'int main(void) { return 0; }' | $(CC) $(CFLAGS) \
        $(filter-out -idirafter /usr/include /usr/include/%,$(CPPFLAGS)) \
        -include libaio.h -x c - -laio -o /dev/null 2>/dev/null && \
        echo yes),yes)
programs := $(filter-out $(libaio:.c=),$(programs))
all: left-out
endif
endif

# The kernel's headers are needed. Debian's musl-gcc does not look where they
# are: name the folders, to be searched after those of its C library.
ifneq ($(call has,linux/aio_abi.h),yes)
multiarch := $(shell $(CC) -print-multiarch 2>/dev/null)
override CPPFLAGS += -idirafter /usr/include \
        $(if $(multiarch),-idirafter /usr/include/$(multiarch))
ifneq ($(call has,stdio.h),yes)
$(error '$(CC)' is no working C compiler: install gcc, and libc6-dev \
        (Debian, Ubuntu), musl-dev (Alpine) or glibc-devel (Fedora))
endif
ifneq ($(call has,linux/aio_abi.h),yes)
$(error '$(CC)' finds no <linux/aio_abi.h>: install linux-libc-dev \
        (Debian, Ubuntu), linux-headers (Alpine), linux-api-headers (Arch) \
        or kernel-headers (Fedora))
endif
endif
endif

# The tools and tests that compile something do it the same way. FILE is any
# file's name, as it is; and what changes a shell's habits is kept from it.
export CC CPPFLAGS CFLAGS
ifdef FILE
override FILE := $(value FILE)
export FILE
endif
unexport CDPATH POSIXLY_CORRECT

.DELETE_ON_ERROR:
.PHONY: all programs run test test-course exercises bench plot torture doctor \
        docs check-docs book handout test-faults test-matrix test-mutants \
        test-classroom clean help left-out FORCE

all: programs $(helpers)        # builds every program, beside its source

programs: $(programs)

# Each program is one file. All are built again when the compiler or its
# flags are others than last time.
$(programs): %: %.c Makefile tests/.built-with
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(warnings) $(LDFLAGS) -o $@ $< $(LDLIBS)

# POSIX AIO is a library's work: glibc before 2.34 has it in librt.
07-posix-aio/%: LDLIBS += -pthread -lrt

# And threads in libpthread.
01-setup-destroy/whose-context: LDLIBS += -pthread

03-batch-submit/batch-submit-libaio: LDLIBS += -laio

left-out:
	@rm -f $(libaio:.c=)
	@$(if $(filter-out all,$(MAKECMDGOALS)),,echo \
	    "$(libaio) is left out: there is no libaio")

# What the tests need; built in a hurry.
hurry := -O0 -U_FORTIFY_SOURCE
$(filter-out %.so,$(helpers)): %: %.c Makefile tests/.built-with
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(hurry) $(warnings) $(LDFLAGS) -o $@ $< \
	    -pthread -lrt

tests/helpers/probe-submit tests/helpers/probe-eventfd: tests/helpers/probe.h
tests/helpers/probe-submit tests/helpers/probe-eventfd \
    tests/helpers/probe-vectored: tests/helpers/direct.h
tests/helpers/posix-probe: tests/helpers/posix-probe.h
tests/helpers/posix-signals: tests/helpers/posix-probe.h

# What is preloaded into programs.
preload := $(addprefix tests/helpers/,preload.c fault.c late.c trace.c \
        torment.c)
tests/helpers/fault.so: $(preload) tests/helpers/preload.h Makefile \
        tests/.built-with
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(hurry) $(warnings) $(LDFLAGS) -shared \
	    -fPIC -o $@ $(preload) -ldl -pthread -lrt

tests/.built-with: how = $(CC) $(CPPFLAGS) $(CFLAGS) $(warnings) $(LDFLAGS)
tests/.built-with: FORCE
	@echo '$(subst ','\'',$(how))' | cmp -s - $@ 2>/dev/null || \
	    (echo '$(subst ','\'',$(how))' >$@) 2>/dev/null || \
	    { echo "make: nothing can be written in $(CURDIR):" \
	    "work in a copy of your own" >&2; exit 1; }

run: programs                   # the tour; FILE=path is copied at its end
	@tests/tools/tour $(if $(FILE),"$$FILE")

test: all                       # all tests; CHAPTER=3: those of one chapter
	@tests/run $(CHAPTER)

test-course: all                # the tests of tools and sources
	@tests/run course

exercises: all                  # the scoreboard of the exercises
	@tests/tools/exercise

exercises-%: all FORCE          # that of one chapter, exercises-4
	@tests/tools/exercise $*

exercise-%: all FORCE           # checks one, exercise-4.1 for example
	@tests/tools/exercise $*

watch-%: all FORCE              # checks it again each time that it is saved
	@tests/tools/exercise --watch $*

reset-%: FORCE                  # brings its starter back, and keeps yours
	@tests/tools/exercise --reset $*

bench: all                      # the side-by-side tables, as Markdown
	@tests/bench/bench

torture: all                    # PROGRAM='...' of yours: what goes wrong in it?
	@tests/tools/torture $${FILE:+--file "$$FILE"} -- $(PROGRAM)

plot: all                       # and as a picture, with gnuplot
	@tests/bench/plot

doctor:                         # can the course run here? what to do if not
	@tests/tools/doctor

docs: all                       # brings code and output on the pages up to date
	@tests/maintain/docs write

check-docs: all                 # says whether they are
	@tests/maintain/docs check

book:                           # all pages as one: Markdown, and HTML (pandoc)
	@tests/tools/book

handout: all                    # the course for a class, without solutions
	@tests/tools/handout

test-faults: all                # each system call of each program fails once
	@tests/maintain/faults

test-matrix: all                # the tests on every filesystem (needs root)
	@tests/maintain/matrix

test-mutants: all               # do the tests notice broken programs?
	@tests/maintain/mutants

test-classroom: all             # thirty learners side by side: all green?
	@tests/maintain/classroom

# What the pages have you make, by name: another demo.c is somebody's work.
demos := demo $(addprefix demo,.copy .dat .dst .fifo .image .link .log .new \
        .out .reads .src .sum .txt)

clean:                          # removes what was built and left over
	@rm -f $(basename $(wildcard 0*/*.c 0*/exercises/*.c 0*/solutions/*.c))
	@rm -f $(helpers) tests/helpers/*.so tests/.built-with
	@rm -f $(demos) book.md book.html
	@rm -rf tests/.scratch.*

help:                           # this list
	@sed -n 's/^\([a-z][a-z-]*%\{0,1\}\):[^#]*# \(.*\)/  make \1\t\2/p' \
	    Makefile | expand -t 24
