#include "pg/guard.hpp"

#include <cstring>

extern "C" {
#include "postgres.h"
}

namespace bbm::pg::detail {

void copy_what(char (&target)[kWhatSize], const char *what) noexcept {
    std::strncpy(target, what, kWhatSize - 1);
    target[kWhatSize - 1] = '\0';
}

void raise_exception(bool out_of_memory, const char *what) {
    if (out_of_memory)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("unexpected C++ exception: %s", what)));
    pg_unreachable();
}

} // namespace bbm::pg::detail
