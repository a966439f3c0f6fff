#!/bin/sh
# clang-tidy over every source file of the project, with the checks of .clang-tidy; the build folder
# (made when there is none) is where it reads the compiler's flags.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build-tidy}
[ -f "$folder/compile_commands.json" ] || sh tests/configure.sh "$folder"
git ls-files -z '*.c' | xargs -0 -n 3 -P "$(nproc)" clang-tidy-14 -p "$folder" --quiet 2>&1 |
    grep -v -E '^[0-9]+ warnings? (generated|treated)' >"$folder/tidy.log" || :
if grep -q -E '(warning|error):' "$folder/tidy.log"; then
    cat "$folder/tidy.log"
    exit 1
fi
