#!/bin/sh
# clang-tidy over every source file of the project, with the checks of .clang-tidy; the build folder
# (made when there is none) is where it reads the compiler's flags. The analyzer takes nearly all of
# the time: it walks a quarter of the paths that it would by itself (what it found so far it found
# early in them), and leaves out the tests.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build-tidy}
[ -f "$folder/compile_commands.json" ] || sh tests/configure.sh "$folder"
tidy() {
    xargs -0 -n 3 -P "$(nproc)" clang-tidy-14 -p "$folder" --quiet "$@" 2>&1 |
        grep -v -E '^[0-9]+ warnings? (generated|treated)' >>"$folder/tidy.log" || :
}
: >"$folder/tidy.log"
git ls-files -z archive cli daemon | grep -z '\.c$' | tidy --extra-arg=-Xclang \
    --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg=max-nodes=60000
git ls-files -z tests | grep -z '\.c$' | tidy '--checks=-clang-analyzer-*'
if grep -q -E '(warning|error):' "$folder/tidy.log"; then
    cat "$folder/tidy.log"
    exit 1
fi
