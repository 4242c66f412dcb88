#include "core/window.hpp"

namespace bbm {

void move_behind(Position &at, Key key) { (at.window.is_open() ? at.window.cursor : at.cursor) = key; }

void end_pass(Position &at) {
    at.window.cursor = {};
    if (++at.window.pass == at.window.passes)
        end_window(at);
}

void end_window(Position &at) { at = {at.window.max, {}}; }

bool is_done(const Job &job) { return !job.at.window.is_open() && same_key(job.at.cursor, job.range.max); }

} // namespace bbm
