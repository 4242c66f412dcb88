#include "core/pass_log.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Somebody whom so many waits have not outlasted is no other worker, but a transaction that may last for hours.
constexpr int kMostInVain = 3;
constexpr int kLongestRest = 64;

PassLog::Pass pass_before(const PassLog &log, int pass) {
    if (pass == log.pass)
        return log.before;
    return pass == log.pass + 1 ? log.now : PassLog::Pass{};
}

} // namespace

void note_slice(PassLog &log, int pass, std::uint32_t transaction) {
    if (pass != log.pass)
        log = {pass_before(log, pass), {}, pass};
    if (log.now.count < PassLog::kMost)
        log.now.transactions[log.now.count++] = transaction;
}

std::uint32_t to_be_cleared(const PassLog &log, int pass, int slices) {
    const PassLog::Pass before = pass_before(log, pass);
    if (before.count == 0)
        return 0;
    const int done = pass == log.pass ? log.now.count : 0;
    const int met = std::clamp((done + 1) * before.count / std::max(slices, 1), 1, before.count);
    return before.transactions[met - 1];
}

bool waits(const Patience &patience) { return patience.windows_left == 0 && patience.in_vain < kMostInVain; }

void note_wait(Patience &patience, bool is_cleared) { patience.in_vain = is_cleared ? 0 : patience.in_vain + 1; }

void begin_window(Patience &patience) {
    if (patience.windows_left > 0) {
        --patience.windows_left;
        return;
    }
    const bool is_lost = patience.in_vain >= kMostInVain;
    patience.rest = is_lost ? std::clamp(2 * patience.rest, 1, kLongestRest) : 0;
    patience.windows_left = patience.rest;
    patience.in_vain = 0;
}

} // namespace bbm
