#!/bin/bash
# What `make fuzz` does: every libFuzzer target, built with clang and sanitizers in build-fuzz/, for
# some seconds each, as many at once as there are cores. Says what each one came to; the exit status
# is 1 where one found something.
#   TARGET="NAME…"     only these (tests/fuzz/fuzz_NAME.c)
#   FUZZ_SECONDS=60    for each
#   FUZZ_CORPUS=DIR    where what was found interesting is kept for the next time, and what crashed;
#                      default: $XDG_CACHE_HOME/popkeep-tests/fuzz
# The seeds in tests/fuzz/corpus/ are read and never written. A reproducer is given to the target by
# its name: build-fuzz/tests/fuzz/fuzz-NAME FILE. It becomes a seed once it is mended, so that every
# `make test` replays it.
set -u
cd "$(dirname "$0")/../.." || exit 1
exec </dev/null

folder=build-fuzz
seconds=${FUZZ_SECONDS:-60}
kept=${FUZZ_CORPUS:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/popkeep-tests/fuzz}
options=(-Dfuzz=true -Dtests=enabled -Db_sanitize=address,undefined -Db_lundef=false
    -Dbuildtype=debug -Doptimization=1)
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

# One target, in a process of its own.
fuzz_one() {
    name=$1
    work=$kept/$name
    found=$kept/found/$name-
    log=$kept/$name.log
    mkdir -p "$work" "$kept/found"
    words=()
    [ ! -f "tests/fuzz/dict/$name" ] || words=("-dict=tests/fuzz/dict/$name")
    "$folder/tests/fuzz/fuzz-$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$found" "${words[@]}" \
        "$work" "tests/fuzz/corpus/$name" >"$log" 2>&1
    status=$?
    execs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    inputs=$(find "$work" -type f | wc -l)
    result=ok
    [ $status = 0 ] || result=FAILED
    printf '%-10s %-6s %10s executions %6s edges %6s inputs kept\n' \
        "$name" "$result" "${execs:-?}" "${coverage:-?}" "$inputs"
    [ $status = 0 ] && return 0
    grep -E '^(SUMMARY|==[0-9]+== ?ERROR|.*runtime error|.*does not hold)' "$log" | head -n 3 | sed 's/^/    /'
    reproducer=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    echo "    reproducer: ${reproducer:-none}"
    echo "    log:        $log"
    return 1
}

if [ "${1:-}" = --one ]; then
    fuzz_one "$2"
    exit
fi

CC=${FUZZ_CC:-clang-14} sh tests/configure.sh $folder "${options[@]}" || exit 1
ninja -C $folder -j"${JOBS:-$(nproc)}" fuzzers || exit 1
targets=${TARGET:-$(for seeds in tests/fuzz/corpus/*/; do basename "$seeds"; done)}
for name in $targets; do
    [ -x "$folder/tests/fuzz/fuzz-$name" ] || { echo "no target $name" >&2; exit 2; }
done
echo "$seconds s each; what is kept: $kept"
# shellcheck disable=SC2086
printf '%s\n' $targets | xargs -P "${JOBS:-$(nproc)}" -I NAME bash "$0" --one NAME && exit 0
exit 1
