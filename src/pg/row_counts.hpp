// What this process has counted and not reported yet.
#pragma once

#include <cstdint>

namespace bbm::pg {

// Is anything counted? See the server's setting track_counts.
bool counts_rows();

// Updates of the table whose new version found room in the page of the old one and needed no index entries. To be
// compared within one transaction.
std::int64_t hot_updates(std::uint32_t table);

} // namespace bbm::pg
