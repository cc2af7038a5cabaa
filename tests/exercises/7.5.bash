# shellcheck shell=bash disable=SC2034,SC2154
name=5-fork
chapter=07-posix-aio
kind='find the bug'
title='a child waits for a request of its parent'
reason='*expected: status 0*got: status 1*aio_suspend: Resource temporarily*'

# run_slowly ARGUMENT...: run, with a pipe that is written to when somebody
# waits in aio_suspend().
run_slowly() {
    local end=$((SECONDS + ${EXERCISE_LIMIT:-5} * 3 / 5)) writer

    [[ -p pipe ]] || mkfifo pipe
    : >"$work/watch" && : >"$work/trace"
    exec 9<>pipe
    (
        while ((SECONDS < end)) && ! grep -q '^s' "$work/watch"; do
            sleep 0.01
        done
        sleep 0.1 # it is asleep by then
        echo 12345 >&9
    ) &
    writer=$!
    given='mkfifo pipe; (sleep 1; echo 12345) >pipe &'
    AIO_TRACE=$work/trace watch=all run "$@"
    kill "$writer" 2>/dev/null
    wait "$writer" 2>/dev/null
    exec 9>&-
}

# expect_copied BYTES
expect_copied() {
    expect_success
    expect_output "child: $1 bytes"$'\n''parent: the child is done'
}

check() {
    local n

    situation 'A pipe that has nothing yet when the child is made:'
    run_slowly pipe demo.txt
    ! grep -q '^aio_write ' "$work/trace" || hint 3
    expect_copied 6
    hint 0
    expect_file demo.txt $'12345\n'
    n=$(grep -c '^aio_read ' "$work/trace")
    ((n == 1)) || fail 'one aio_read()' "$n"
    grep -q '^aio_suspend ' "$work/trace" ||
        fail 'aio_suspend() waits for it' 'nobody calls that'
    ! grep -q '^spin' "$work/watch" ||
        fail 'aio_suspend() sleeps' 'aio_error() is called again and again'
    expect_calls fork 1+
    expect_calls waitpid 1+

    situation 'Such a pipe, and a signal interrupts the wait:' 0
    AIO_FAULT='aio_suspend@1=EINTR' run_slowly pipe demo.txt
    expect_copied 6

    situation 'A file of 3893 bytes:' 3
    given 'seq 1000 >source.txt'
    run source.txt demo.txt
    expect_copied 3893
    expect_same demo.txt source.txt

    situation 'The read fails:' 0
    given 'mkdir -p folder'
    run folder demo.txt
    expect_error 'aio_read folder: Is a directory'
    expect_output ''

    given 'seq 1000 >source.txt'
    situation 'COPY is a folder: the child ends, and so does the parent:' 0
    mkdir -p folder
    run source.txt folder
    expect_error 'open folder: Is a directory'
    expect_output ''

    situation 'There is no child:' 0
    AIO_FAULT='fork@1=EAGAIN' run source.txt demo.txt
    expect_error 'fork: Resource temporarily unavailable'
}

hints=(
    'Who writes the result into the aiocb? Does fork() copy that, too?'
    'The child has a copy of the aiocb and of data[], as they were at that
moment, and no thread that would change them. So what must be over when fork()
is called?'
    'finish() ahead of fork(). And on glibc the aio_write() of the child may
never begin: it believes in a thread that is the parent'"'"'s. Use write().'
)
notice='Another right answer: make the child first, before any request. Then it
is a process like others, and may use POSIX AIO itself, also on glibc.'

wrong=(
    'the parent waits, and the child writes by AIO|s/^    if (write(fd, data, length) != length || close(fd) == -1)/    struct aiocb aiocb;\n    prepare(\&aiocb, fd, data, length, 0);\n    if (aio_write(\&aiocb) == -1 || finish(\&aiocb, path) != length)/'
    'the child waits|/^    length = finish(/d; s/write_copy(length);/write_copy(finish(\&aiocb, argv[1]));/'
    'both wait, the child first|/^    length = finish(/d; s/write_copy(length);/write_copy(finish(\&aiocb, argv[1]));/; s/^    while (waitpid/    length = finish(\&aiocb, argv[1]);\n&/'
    'the child does not wait|/^    length = finish(/d; s/write_copy(length);/write_copy(6);/'
    'vfork(), as if that helped|/^    length = finish(/d; s/= fork();/= vfork();/; s/write_copy(length);/write_copy(finish(\&aiocb, argv[1]));/'
    'read() in the child|/^    length = finish(/d; s/^    if (aio_read(&aiocb) == -1)/    if (0)/; s/write_copy(length);/write_copy(read(fd, data, sizeof(data)));/'
    'no child|s/    child = fork();/    child = 0;/; s/^        return EXIT_SUCCESS;/        printf("parent: the child is done\\n");\n&/'
    'the parent does not wait|s/^    while (waitpid(child, &status, 0) == -1)/    status = 0;\n    while (0)/'
    'how the child ended is not looked at|s/if (status != 0) .*/if (0)/'
)
right=(
    'the child is made first, and does it all|/^    child = fork();/,+2d; s/^    if (aio_read(&aiocb) == -1)/    child = fork();\n    if (child == -1)\n        err(1, "fork");\n    if (child == 0 \&\& aio_read(\&aiocb) == -1)/; s/^    length = finish.*/    if (child == 0)\n        length = finish(\&aiocb, argv[1]);/'
    'the parent waits, and the child gets it through a pipe|s/^    length = finish.*/    int ends[2];\n    if (pipe(ends) == -1)\n        err(1, "pipe");/; s/^        write_copy(length);/        close(ends[1]);\n        length = read(ends[0], data, sizeof(data));\n        if (length <= 0)\n            _exit(1);\n&/; s/^    while (waitpid/    close(ends[0]);\n    length = finish(\&aiocb, argv[1]);\n    if (write(ends[1], data, length) != length || close(ends[1]))\n        err(1, "write pipe");\n&/'
    'the child writes with pwrite()|s/write(fd, data, length) != length/pwrite(fd, data, length, 0) != length/'
)
