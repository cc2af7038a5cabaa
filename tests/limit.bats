# The limit for all processes together, taken whole for a moment. It is the
# machine's: nobody else here can make a context meanwhile.
# alone

# shellcheck disable=SC2154 # common.bash sets root
load helpers/common

@test "aio-max-nr can be taken whole; then one more event is EAGAIN" {
    run -0 "$root/tests/helpers/probe-call" setup_takes_all
    [[ $output != "others use AIO" ]] || skip "others use AIO all the time"
    assert_output "0
EAGAIN"
}
