#include "worker/rooms.hpp"

namespace bbm {

namespace {

struct Rooms {
    pg::Context migration;
    pg::Context job;
    pg::Context turns[2];
    int turn;
};
Rooms rooms = {};

Rooms &open_rooms() {
    if (rooms.migration.context == nullptr)
        rooms = {pg::make_context("bbm migration"),
                 pg::make_context("bbm job"),
                 {pg::make_context("bbm turn"), pg::make_context("bbm other turn")},
                 0};
    return rooms;
}

} // namespace

Arena migration_room() { return open_rooms().migration.arena(); }
Arena job_room() { return open_rooms().job.arena(); }
void reset_migration_room() { open_rooms().migration.reset(); }
void reset_job_room() { open_rooms().job.reset(); }

Arena next_turn() {
    Rooms &all = open_rooms();
    all.turn = 1 - all.turn;
    all.turns[all.turn].reset();
    all.turns[all.turn].enter();
    return all.turns[all.turn].arena();
}

void same_turn_again() {
    Rooms &all = open_rooms();
    all.turn = 1 - all.turn;
}

} // namespace bbm
