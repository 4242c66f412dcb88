// The rows that a process changes again and again, and where their newest versions stood last.
#pragma once

#include "pg/row_place.hpp"
#include "pg/spi.hpp"

#include <cstdint>

namespace bbm::store {

struct KnownRow {
    const char *table;
    std::int64_t id = 0;
    pg::RowPlace place = 0;
};

struct KnownRows {
    KnownRow migration = {"migration"};
    KnownRow part = {"part"};
    KnownRow job = {"job"};
};

inline KnownRows known; // of this process; hints, see pg/row_place.hpp

inline void remember(KnownRow &row, std::int64_t id, pg::RowPlace place) {
    row.id = id;
    row.place = place;
}

inline bool is_known(const KnownRow &row, std::int64_t id) { return row.id == id && row.place != 0; }

// Another process may have changed it. True if it has moved.
inline bool follow(KnownRow &row) {
    const pg::RowPlace before = row.place;
    row.place = pg::newest_place(row.table, before);
    return row.place != before;
}

// A statement that goes to the row by its place, and the same one that looks for it by its id.
struct TwoWays {
    pg::Statement here;
    pg::Statement by_id;
};

// `run` is given one of them and the place, and says whether the row was there.
template <class Run> bool find_and_run(KnownRow &row, std::int64_t id, TwoWays &ways, Run run) {
    if (!is_known(row, id))
        return run(ways.by_id, 0);
    pg::prune_page(row.table, row.place);
    return run(ways.here, row.place) || (follow(row) && run(ways.here, row.place)) || run(ways.by_id, 0);
}

} // namespace bbm::store
