#pragma once

#include <cstddef>

namespace ddpt {

// Calls of operator new by this thread; counted for the whole binary that links this file.
size_t Allocations();

}  // namespace ddpt
