// Which transactions have walked a window's passes. Two passes meet the same pages, and what the first has replaced can
// be cleared away only when nobody sees it any more who is still at work.
#pragma once

#include <cstdint>

namespace bbm {

// The numbers of the server's transactions, slice by slice, of the pass at hand and of the one before it. More of them
// than there is room for are not kept: whoever asks gets an earlier one.
struct PassLog {
    static constexpr int kMost = 64;
    struct Pass {
        std::uint32_t transactions[kMost] = {};
        int count = 0;
    };
    Pass before = {};
    Pass now = {};
    int pass = 0; // the one at hand
};

// A slice of the pass was committed by that transaction.
void note_slice(PassLog &log, int pass, std::uint32_t transaction);

// The last transaction of the pass before that has been on the pages of the next slice, if this pass has so many of
// equal size; 0 for none.
std::uint32_t to_be_cleared(const PassLog &log, int pass, int slices);

// Waiting for clearance, when others are at work. Of one process and one part.
struct Patience {
    int in_vain = 0;      // waits of this window that have brought nothing
    int windows_left = 0; // to come, without waiting
    int rest = 0;         // how many those were the last time; 0: since waiting was of use
};

bool waits(const Patience &patience);
// Has the other gone on within the time of a wait?
void note_wait(Patience &patience, bool is_cleared);
// Another window is opened.
void begin_window(Patience &patience);

} // namespace bbm
