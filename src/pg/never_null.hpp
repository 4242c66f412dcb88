// Values that cannot be NULL.
#pragma once

struct Node;

namespace bbm::pg {

// Is it never NULL, whatever the row? Of a short list of things that is known.
bool is_never_null(const Node *expression);

} // namespace bbm::pg
