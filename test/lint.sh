#!/usr/bin/env bash
# The walls of the house, as greps. A check prints the lines that break it and nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
shopt -s nullglob

std='<[a-z_0-9]+>|<boost/container/[a-z_/]+\.hpp>'
pg='"pg/[a-z_]+\.hpp"'
core='"core/[a-z_]+\.hpp"'
store='"store(/[a-z_]+)?\.hpp"'
above='"(worker|command)/[a-z_]+\.hpp"'

core_files=(src/core/*.{cpp,hpp})
pg_files=(src/pg/*.{cpp,hpp})
store_files=(src/store*.{cpp,hpp} src/store/*.{cpp,hpp})
above_files=(src/worker/*.{cpp,hpp} src/command/*.{cpp,hpp})
shell_files=("${pg_files[@]}" "${store_files[@]}" "${above_files[@]}" src/module.cp[p])
all_files=("${core_files[@]}" "${shell_files[@]}")

# lines PATTERN FILE ...: where a Perl pattern matches code; words in comments break no wall.
lines() {
    perl -e '
        my $pattern = shift; local $/;
        for my $file (@ARGV) {
            open(my $in, "<", $file) or die "$file: $!"; my $text = <$in>; my @shown = split /\n/, $text;
            $text =~ s{("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/}{$1 // ($& =~ tr/\n//cdr)}gse;
            my $n = 0; for (split /\n/, $text) { print "$file:", $n + 1, ": $shown[$n]\n" if /$pattern/; $n++ }
        }' -- "$@"
}

# without NAME ... -- FILE ...: the files that are none of the names
without() {
    local names=() file
    while [ "$1" != -- ]; do names+=("$1"); shift; done
    shift
    for file in "$@"; do [[ " ${names[*]} " = *" $file "* ]] || printf '%s\n' "$file"; done
}

# includes ALLOWED FILE ...
includes() {
    local allowed=$1
    shift
    lines "^\\s*#\\s*include\\s*+(?!$allowed)" "$@"
}

every_file_has_a_floor() {
    without src/module.cpp src/exports.map "${store_files[@]}" -- src/*.[!od]*
    find src -mindepth 1 -type d | grep -vE '^src/(core|pg|store|worker|command|sql|sql/1\.0)$' || true
}

server_headers_behind_doors() {
    mapfile -t files < <(without src/module.cpp src/pg/*.cpp -- "${all_files[@]}")
    lines '^\s*#\s*include\s*["<][^">]*\.h[">]' "${files[@]}"
}

includes_point_down() {
    includes "$std|$core" "${core_files[@]}"
    includes "$std|$pg|$core" src/pg/*.hpp
    includes "$std|$pg|$core|[\"<][A-Za-z0-9_/.]+\.h[\">]" src/pg/*.cpp
    includes "$std|$pg|$core|$store" "${store_files[@]}"
    includes "$std|$pg|$core|$store|$above" "${above_files[@]}"
}

core_is_pure() {
    lines '<(iostream|fstream|thread|mutex|ctime|random)>|_clock::now|\bgetenv\b' "${core_files[@]}"
}

# What owns memory or waits in a destructor leaks when PostgreSQL jumps over it.
no_owners_in_the_shell() {
    lines '<iostream>|\bstd::(string|vector|(unordered_)?(map|set)|deque|list|unique_ptr|shared_ptr|function|j?thread|(shared_|recursive_)?mutex)\b|\bmake_(unique|shared)\b' \
        "${shell_files[@]}"
}

one_guard() {
    mapfile -t files < <(without src/pg/guard.hpp src/pg/guard.cpp -- "${shell_files[@]}")
    lines '\btry\s*(\{|$)|\bcatch\s*\(' "${files[@]}"
}

one_catch_of_server_errors() {
    mapfile -t files < <(without src/pg/attempt.cpp -- "${all_files[@]}")
    lines '\bPG_(TRY|CATCH|FINALLY|END_TRY|RE_THROW)\b' "${files[@]}"
}

# Hints may name the views; statements on the tables have one home.
sql_in_the_store() {
    local tables
    tables=$(sed -n 's/^CREATE TABLE bbm\.\([a-z_]*\).*/\1/p' src/sql/*/*.sql | sort -u | paste -sd '|')
    mapfile -t files < <(without "${store_files[@]}" -- "${all_files[@]}")
    lines "(?i:\\b(FROM|INTO|UPDATE|JOIN|ONLY|TABLE|USING)\\s+bbm\\.($tables)\\b)" "${files[@]}"
}

# A test waits for something, not for a while.
no_fixed_waits() {
    grep -rnsE --exclude-dir=expected 'pg_sleep\(\s*['\'']?[1-9]|\bsleep[ (]+[1-9]' test sql | grep -v 'lint: allow' || true
}

plain_install_script() {
    grep -nHiE 'SECURITY +DEFINER|CREATE +POLICY|OR +REPLACE|IF +NOT +EXISTS' src/sql/*/*.sql || true
}

sql_functions_have_symbols() {
    diff <(sed -n "s/.*'MODULE_PATHNAME', '\([a-z_0-9]*\)'.*/\1/p" src/sql/*/*.sql | sort -u) \
        <(lines '^\s*PG_FUNCTION_INFO_V1\(' src/module.cp[p] | grep -oE '\([a-z_0-9]+\)' | tr -d '()' | sort -u) |
        sed -n 's/^< \(.*\)/\1: in src\/sql, not in src\/module.cpp/p; s/^> \(.*\)/\1: in src\/module.cpp, not in src\/sql/p' || true
    grep -nHi 'LANGUAGE c\b' src/sql/*/*.sql | grep -v "'MODULE_PATHNAME', '" || true
    mapfile -t files < <(without src/module.cpp -- "${all_files[@]}")
    lines '^\s*PG_(FUNCTION_INFO_V1|MODULE_MAGIC)' "${files[@]}"
}

files_are_short() {
    find src -type f -name '*.[chs][pq][pl]' -exec wc -l {} + | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }'
}

exported_symbols() {
    diff <(grep -vE '^(#|$)' test/symbols.txt) <(nm -D --defined-only bbm.so | awk '{ print $NF }' | grep -vxE '_init|_fini' | sort) |
        sed -n 's/^< /only in test\/symbols.txt: /p; s/^> /only in bbm.so: /p' || true
}

# The patterns are put together here, so that this file holds none of them.
nobodys_machine() {
    local hosts='(deb|security|snapshot|ftp)\.debian|archive\.ubuntu|registry\.npmjs|files\.pythonhosted|proxy\.golang'
    git ls-files -z --cached --others --exclude-standard |
        xargs -0 grep -nHIsE "/(work|root|home/[a-z]+)/|($hosts)\.(org|com)" || true
}

checks=0 failed=0
check() {
    local what=$1 found
    shift
    checks=$((checks + 1))
    # A check that cannot run has failed too.
    found=$("$@" 2>&1 </dev/null) || found+=$'\n'"$1 ended with an error"
    if [ -z "$found" ]; then
        echo "ok $what"
    else
        echo "not ok $what"
        sed '/^$/d; s/^/    /' <<<"$found"
        failed=$((failed + 1))
    fi
}

check 'every source file stands on a floor' every_file_has_a_floor
check 'server headers only in src/pg/*.cpp and src/module.cpp' server_headers_behind_doors
check 'includes point down only' includes_point_down
check 'the core has no clock, no threads, no I/O' core_is_pure
check 'nothing in the shell owns memory or locks' no_owners_in_the_shell
check 'C++ exceptions are caught in src/pg/guard only' one_guard
check 'PostgreSQL errors are caught in src/pg/attempt.cpp only' one_catch_of_server_errors
check 'SQL on the tables of bbm stands in src/store only' sql_in_the_store
check 'tests have no fixed waits' no_fixed_waits
check 'the install script only creates, as its caller' plain_install_script
check 'SQL functions and C symbols match' sql_functions_have_symbols
check 'no file in src/ is longer than 500 lines' files_are_short
if [ -f bbm.so ]; then
    check 'bbm.so exports what test/symbols.txt lists' exported_symbols
else
    echo 'note bbm.so is not built: its symbols are not checked'
fi
check 'no machine paths, no package hosts' nobodys_machine

find src -type f -name '*.[chs][pq][pl]' -exec wc -l {} + | awk '$2 != "total" && $1 > 300 && $1 <= 500 { print "note " $2 ": " $1 " lines" }'
echo "lint: $checks checks, $failed failed"
[ "$failed" = 0 ]
