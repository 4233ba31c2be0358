#include "core/model/geometry.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

// In the order of ModelDtype.
constexpr const char* kNames[] = {"auto", "float32", "bfloat16", "float16", "int8"};

constexpr PrefixPlace kPlaces[] = {PrefixPlace::kAll, PrefixPlace::kDecoder};

}  // namespace

std::string_view ModelDtypeName(ModelDtype dtype) { return kNames[static_cast<size_t>(dtype)]; }

absl::StatusOr<ModelDtype> ParseModelDtype(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) return static_cast<ModelDtype>(i);
  }
  return FieldError("dtype",
                    absl::StrCat("\"", Piece(name), "\" is none of ", absl::StrJoin(kNames, ", ")));
}

int64_t PrefixWidth(const ModelGeometry& geometry, PrefixPlace place) {
  const int64_t decoder = geometry.decoder_self.size();
  if (place == PrefixPlace::kDecoder) return decoder;
  return geometry.encoder_self.size() + decoder + geometry.cross.size();
}

std::optional<PrefixPlace> PrefixOfWidth(const ModelGeometry& geometry, int64_t width) {
  if (width == geometry.encoder.width) return std::nullopt;
  for (const PrefixPlace place : kPlaces) {
    if (width == PrefixWidth(geometry, place)) return place;
  }
  return std::nullopt;
}

bool TakesPromptWidth(const ModelGeometry& geometry, int64_t width) {
  return width == geometry.encoder.width || PrefixOfWidth(geometry, width);
}

std::string PromptWidths(const ModelGeometry& geometry) {
  return absl::StrCat("[n, ", geometry.encoder.width, "], or of a prefix [n, ",
                      PrefixWidth(geometry, PrefixPlace::kAll), "] or, in the decoder alone, [n, ",
                      PrefixWidth(geometry, PrefixPlace::kDecoder), "]");
}

int64_t EncoderPositions(const ModelGeometry& geometry, int64_t n, int64_t width) {
  return PrefixOfWidth(geometry, width) ? 0 : n;
}

}  // namespace ddpt
