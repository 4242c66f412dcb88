// Reads exactly these versions of rows of a table, page by page: how a command sees the rows of one pass. To the server
// it is a sampling method, `TABLESAMPLE bbm.window_scan`, which we put into the analysed command. On every visit the
// server prunes the page, so that the next pass finds the room that the last one has left.
#pragma once

#include "core/types.hpp"

#include <cstdint>

struct RangeTblEntry;

namespace bbm::pg {

// One version of a row: no other one with this xmin has ever been at this place.
struct RowVersion {
    std::uint32_t block;
    std::uint16_t offset;
    std::uint32_t xmin;
    std::uint32_t row; // its number in the window

    // Along the pages.
    bool operator<(const RowVersion &other) const {
        return block != other.block ? block < other.block : offset < other.offset;
    }
};

// Makes the analysed command read the entry's table by the next window scan.
void read_by_window_scan(RangeTblEntry *entry);
bool reads_by_window_scan(void *plan); // an SPIPlanPtr

// Sorted by place. For one scan, the next one to be started. Those that are not there any more are marked in `missed`,
// which has as many places. Both must outlive the command.
void arm_window_scan(std::uint32_t table, std::span<const RowVersion> rows, std::span<bool> missed);
void disarm_window_scan(); // at an abort

// What bbm.window_scan(internal) returns, a TsmRoutine.
void *window_scan_routine();

} // namespace bbm::pg
