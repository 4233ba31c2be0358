#include "core/model/geometry.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

// In the order of ModelDtype.
constexpr const char* kNames[] = {"auto", "float32", "bfloat16", "float16", "int8"};

}  // namespace

std::string_view ModelDtypeName(ModelDtype dtype) { return kNames[static_cast<size_t>(dtype)]; }

absl::StatusOr<ModelDtype> ParseModelDtype(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<ModelDtype>(i);
  }
  return FieldError("dtype",
                    absl::StrCat("\"", Piece(name), "\" is none of ", absl::StrJoin(kNames, ", ")));
}

}  // namespace ddpt
