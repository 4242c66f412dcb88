// Which of the parameters of a range a command uses.
#pragma once

#include <cstddef>

namespace bbm::pg {

// Does the prepared plan (an SPIPlanPtr), as it was analysed last, take both ends of a range of such keys?
bool takes_range(void *plan, std::size_t key_columns);

} // namespace bbm::pg
