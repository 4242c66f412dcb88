// While a text of ours or of a user's is parsed, an error's position is one in that text, not in the statement that the
// client sent.
#pragma once

struct ErrorContextCallback;

namespace bbm::pg {

// `frame` stands in the caller's frame until the text is popped; an error takes it away by itself.
void push_text(ErrorContextCallback &frame, const char *text);
void pop_text(const ErrorContextCallback &frame);

} // namespace bbm::pg
