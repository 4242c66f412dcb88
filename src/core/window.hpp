// Where a job stands in its walk: behind its cursor, or in a pass of a window.
#pragma once

#include "core/types.hpp"

namespace bbm {

// Behind the key: in the pass of a window that is open, else in the job.
void move_behind(Position &at, Key key);

// The pass has no row left. Behind the last one the window is done, and the job goes on behind its end.
void end_pass(Position &at);

// No row of it is left, in any pass.
void end_window(Position &at);

// Is all of the job's range done?
bool is_done(const Job &job);

} // namespace bbm
