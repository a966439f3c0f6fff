#!/bin/bash
# What `make test` does: a build with sanitizers, every suite, and the sum as the last line.
#   POPKEEP_WERROR=1   a compiler's warning ends the build
#   POPKEEP_ALSO=FILE  results in TAP of what ran beside it, counted with the rest
#   TESTS="NAME…"      only these tests or suites (see `meson test`)
set -u
cd "$(dirname "$0")/.."
exec </dev/null

folder=build-test
options=(-Dtests=enabled -Db_sanitize=address,undefined -Dbuildtype=debug -Doptimization=1 -Db_lundef=false)
if [ "${POPKEEP_WERROR:-0}" = 1 ]; then
    options+=(-Dwerror=true)
else
    options+=(-Dwerror=false)
fi
if ! sh tests/configure.sh $folder "${options[@]}" || ! ninja -C $folder; then
    echo "the build failed" >&2
    echo "0 passed, 1 failed"
    exit 1
fi

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1:exitcode=99}
log=$folder/meson-logs/testlog.json
rm -f $log
# Time limits are for a machine with nothing else to do.
# shellcheck disable=SC2086
meson test -C $folder --no-rebuild --print-errorlogs --timeout-multiplier 3 ${TESTS:-}
exec /usr/bin/python3 tests/count.py $log ${POPKEEP_ALSO:+"$POPKEEP_ALSO"}
