#include "pg/text_position.hpp"

extern "C" {
#include "postgres.h"
}

namespace bbm::pg {

namespace {

void point_into_text(void *text) {
    const int position = geterrposition();
    if (position <= 0)
        return;
    errposition(0);
    internalerrposition(position);
    internalerrquery(static_cast<const char *>(text));
}

} // namespace

void push_text(ErrorContextCallback &frame, const char *text) {
    frame = {error_context_stack, point_into_text, const_cast<char *>(text)};
    error_context_stack = &frame;
}

void pop_text(const ErrorContextCallback &frame) { error_context_stack = frame.previous; }

} // namespace bbm::pg
