#include "command/health.hpp"

#include "pg/health.hpp"

namespace bbm {

namespace {

pg::HealthSampler sampler;

} // namespace

Vector<Reading> &read_health_here(std::uint32_t table, Arena arena) {
    if (table == 0)
        return pg::read_health(sampler, 0, arena);
    Vector<Reading> &readings = make<Vector<Reading>>(arena);
    readings.push_back(pg::read_vacuums(table, arena));
    if (const auto users = pg::read_users_indicator(table, arena))
        readings.push_back(*users);
    return readings;
}

} // namespace bbm
