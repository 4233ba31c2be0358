#include "core/base/device.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace ddpt {

absl::StatusOr<int> ParseDevice(std::string_view name) {
  if (name == "cpu") return kCpu;
  absl::string_view number = Piece(name);
  int device = 0;
  if (absl::ConsumePrefix(&number, "cuda:") && absl::SimpleAtoi(number, &device) && device >= 0) {
    return device;
  }
  return FieldError("device", absl::StrCat("\"", Piece(name), "\" is not cpu or cuda:N"));
}

}  // namespace ddpt
