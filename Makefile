# PGXS builds and ships bbm. CMake builds src/core and its tests, without PostgreSQL.
EXTENSION = bbm
MODULE_big = bbm
# The install script is made of parts that can be read one at a time; deltas between versions stand beside it.
SCRIPT = build/bbm--1.0.sql
DATA_built = $(SCRIPT)
DATA = $(wildcard src/sql/bbm--*--*.sql)
OBJS = $(patsubst %.cpp,%.o,$(wildcard src/*.cpp src/*/*.cpp))

# -fvisibility: PostgreSQL loads libraries with RTLD_GLOBAL, so every symbol that need not be seen is hidden.
# -MMD -MP: PGXS knows no dependencies on headers.
PG_CXXFLAGS = -std=c++20 -Wall -Wextra -Wshadow -fvisibility=hidden -MMD -MP
PG_CPPFLAGS = -I$(srcdir)/src -DBOOST_CONTAINER_USE_STD_EXCEPTIONS
# PGXS links with the C compiler.
SHLIB_LINK = -lstdc++ -Wl,--version-script=$(srcdir)/src/exports.map

EXTRA_CLEAN = $(OBJS:.o=.d) build results

PG_CONFIG ?= pg_config
# PGXS has a "check" of its own, which only says that it does nothing.
ifeq ($(filter check,$(MAKECMDGOALS)),)
ifneq ($(shell command -v $(PG_CONFIG) 2>/dev/null),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifneq ($(wildcard $(PGXS)),)
# The server's headers are not ours to warn about; -isystem wins over the -I that PGXS adds.
PG_CXXFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
# Bitcode for the JIT is of no use here, and would need clang.
override with_llvm := no
include $(PGXS)
-include $(OBJS:.o=.d)
endif
endif
else
# Every floor of tests; the last line counts them.
check:
	test/check.sh
endif

$(SCRIPT): $(sort $(wildcard src/sql/1.0/*.sql))
	@mkdir -p $(@D)
	cat $^ >$@

.PHONY: demo unit lint regress installcheck tap torture bench check-headers format clean-objects

# Objects without their packages' "clean", which would take build/ along.
clean-objects:
	rm -f $(OBJS) $(OBJS:.o=.d) bbm.so

demo:
	test/demo/demo.sh

unit:
	cmake -S . -B build/unit -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	cmake --build build/unit -j2
	ctest --test-dir build/unit --output-on-failure

lint:
	test/lint.sh

# pg_regress and isolation, on private clusters; on any other, workers would make the output depend on time.
regress installcheck:
	test/regress.sh

tap:
	test/tap/run.sh

# make torture KILLS=1000
KILLS ?= 50
torture:
	KILLS=$(KILLS) test/tap/run.sh 002_torture.pl

bench:
	test/bench/bench.sh

check-headers:
	test/check_headers.sh

format:
	clang-format -i src/*.cpp src/*/*.cpp src/*/*.hpp test/unit/*.cpp test/unit/*.hpp
