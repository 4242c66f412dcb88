// The one entry guard: every function that PostgreSQL calls runs its body through guarded(), so that a C++ exception
// becomes an ERROR of one statement. Left alone it would end in std::terminate, and that restarts every backend.
#pragma once

#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>

namespace bbm::pg {

namespace detail {
inline constexpr std::size_t kWhatSize = 256;
void copy_what(char (&target)[kWhatSize], const char *what) noexcept;
[[noreturn]] void raise_exception(bool out_of_memory, const char *what);
} // namespace detail

template <class Body> auto guarded(Body &&body) -> decltype(body()) {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>);
    char what[detail::kWhatSize];
    bool out_of_memory = false;
    try {
        return body();
    } catch (const std::bad_alloc &) {
        out_of_memory = true;
    } catch (const std::exception &error) {
        detail::copy_what(what, error.what());
    } catch (...) {
        detail::copy_what(what, "unknown C++ exception");
    }
    // Only here, with the exception gone: an ereport inside a catch block leaks it for the rest of the process.
    detail::raise_exception(out_of_memory, what);
}

} // namespace bbm::pg
