#include "worker/stride_choice.hpp"

#include "pg/horizon.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/stride_facts.hpp"

namespace bbm {

StrideFacts look_at_strides(const pg::RangeCommand &command) {
    CommandFacts facts;
    pg::inspect(command, facts);
    return pg::stride_facts(command, facts);
}

Strides choose_strides(const pg::RangeCommand &command) {
    return choose_strides(look_at_strides(command), pg::settings().passes, pg::current_arena());
}

Text horizon_holder() {
    const auto horizon = pg::find_horizon(pg::current_arena());
    return horizon ? pg::describe(*horizon) : Text();
}

Text walk_text(const Strides &strides) {
    const Text because = strides.because;
    if (strides.passes == 1)
        return pg::format("plain: %.*s", pg::width(because), because.data());
    const Text walk = pg::format("in %d passes over windows of %d keys: %.*s", strides.passes, strides.window_keys,
                                 pg::width(because), because.data());
    const Text holder = horizon_holder();
    if (holder.empty())
        return walk;
    return pg::format("%s; old snapshots hold back pruning (%s)", walk.data(), holder.data());
}

} // namespace bbm
