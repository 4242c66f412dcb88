#include "core/window.hpp"

namespace bbm {

void move_behind(Job &job, Key key) { (job.window.is_open() ? job.window.cursor : job.cursor) = key; }

void end_pass(Job &job) {
    job.window.cursor = {};
    if (++job.window.pass == job.window.passes)
        end_window(job);
}

void end_window(Job &job) {
    job.cursor = job.window.max;
    job.window = {};
}

bool is_done(const Job &job) { return !job.window.is_open() && same_key(job.cursor, job.range.max); }

} // namespace bbm
