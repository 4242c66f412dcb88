#!/usr/bin/env bash
# Every floor of tests, from set-up to the kill oracle. The closing line is "N passed, M failed".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# floor NAME COMMAND ...: shows the command's output and takes its counts from there.
floor() {
    local name=$1 start=$SECONDS status counts
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    counts=$("count_$name" <"$log") || counts=
    [ -n "$counts" ] || counts="0 1"
    # A floor that ends badly has failed, whatever it counted.
    [ "$status" = 0 ] || [ "${counts#* }" != 0 ] || counts="${counts% *} 1"
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    printf -- '-- %s: %s passed, %s failed, %s s\n' "$name" "${counts% *}" "${counts#* }" $((SECONDS - start))
}

last_match() { grep -oE "$1" | tail -n 1 | grep -oE '[0-9]+' | tr '\n' ' ' | sed 's/ $//'; }

count_build() { if grep -qE '(warning|error):' -; then echo 0 1; else echo 1 0; fi; }
count_lint() { last_match 'lint: [0-9]+ checks, [0-9]+ failed' | awk '{ print $1 - $2, $2 }'; }
count_unit() { last_match '[0-9]+ tests failed out of [0-9]+' | awk '{ print $2 - $1, $1 }'; }
count_headers() { grep -cE '^headers [0-9]+: .* compile$' | awk '{ print $1, 3 - $1 }'; }
count_regress() { last_match 'regress: [0-9]+ passed, [0-9]+ failed'; }
count_tap() { last_match 'tap: [0-9]+ passed, [0-9]+ failed'; }

build() {
    make -s clean-objects
    make -s -j2 && make -s install
}

test/tools/setup.sh || exit 1
floor build build
floor lint test/lint.sh
floor unit make -s unit
floor headers test/check_headers.sh
floor regress test/regress.sh
floor tap test/tap/run.sh

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
