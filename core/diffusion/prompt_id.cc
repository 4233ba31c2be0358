#include "core/diffusion/prompt_id.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr std::string_view kPrefix = "dp1_";
constexpr std::string_view kField = "prompt_id";
constexpr size_t kMaxTextBytes = 2048;
constexpr size_t kMaxTaskBytes = 63;
constexpr size_t kDigestBytes = 16;
constexpr size_t kMaxAttributes = 16;
constexpr size_t kMaxAttributeBytes = 64;
constexpr size_t kMaxClassBytes = 32;
constexpr int64_t kMaxSteps = 10000;
constexpr double kMaxGuidance = 20;

bool IsName(std::string_view text, size_t limit) {
  return !text.empty() && text.size() <= limit && text[0] != '-' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

// The first field of `recipe` that is out of bounds, or "".
std::string Problem(const PromptRecipe& recipe) {
  const SamplingOptions& options = recipe.options;
  if (!IsName(recipe.task, kMaxTaskBytes)) return "the task is not [a-z0-9][a-z0-9-]{0,62}";
  if (recipe.denoiser_digest.size() != kDigestBytes) return "the denoiser digest has not 16 bytes";
  if (options.steps < 1 || options.steps > kMaxSteps) return "the steps are outside 1..10000";
  if (!(options.eta >= 0 && options.eta <= 1)) return "eta is outside 0..1";
  if (!(options.guidance_scale >= 0 && options.guidance_scale <= kMaxGuidance)) {
    return "the guidance scale is outside 0..20";
  }
  if (recipe.attributes.size() > kMaxAttributes) return "there are more than 16 attributes";
  for (const auto& [key, value] : recipe.attributes) {
    if (key.empty() || key.size() + value.size() > kMaxAttributeBytes) {
      return "an attribute has no name or more than 64 bytes";
    }
  }
  if (!recipe.condition_digest.empty() && recipe.condition_digest.size() != kDigestBytes) {
    return "the condition digest has not 16 bytes";
  }
  if (!IsName(recipe.arithmetic_class, kMaxClassBytes)) {
    return "the arithmetic class is not [a-z0-9-]{1,32}";
  }
  return "";
}

class Writer {
 public:
  void Integer(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void Real(double value) { Integer(std::bit_cast<uint64_t>(value + 0.0), 8); }
  void Text(std::string_view text) {
    Integer(text.size(), 1);
    bytes_.append(text);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads past the end give zeros and clear ok().
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  uint64_t Integer(size_t bytes) {
    const std::string_view taken = Take(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size(); ++i) value |= uint64_t{uint8_t(taken[i])} << (8 * i);
    return value;
  }
  double Real() { return std::bit_cast<double>(Integer(8)); }
  std::string Text() { return std::string(Take(Integer(1))); }
  bool ok() const { return ok_; }

 private:
  std::string_view Take(size_t bytes) {
    ok_ = ok_ && bytes <= bytes_.size();
    if (!ok_) return "";
    const std::string_view taken = bytes_.substr(0, bytes);
    bytes_.remove_prefix(bytes);
    return taken;
  }
  std::string_view bytes_;
  bool ok_ = true;
};

std::string Payload(const PromptRecipe& recipe) {
  Writer writer;
  writer.Text(recipe.task);
  writer.Text(recipe.denoiser_digest);
  writer.Integer(recipe.seed, 8);
  writer.Integer(recipe.draw, 8);
  writer.Integer(static_cast<uint64_t>(recipe.options.sampler), 1);
  writer.Integer(static_cast<uint64_t>(recipe.options.steps), 4);
  writer.Real(recipe.options.eta);
  writer.Real(recipe.options.guidance_scale);
  writer.Integer(recipe.full_space_noise ? 1 : 0, 1);
  writer.Integer(recipe.attributes.size(), 1);
  for (const auto& [key, value] : recipe.attributes) {
    writer.Text(key);
    writer.Text(value);
  }
  writer.Text(recipe.condition_digest);
  writer.Text(recipe.arithmetic_class);
  writer.Integer(recipe.checksum, 4);
  writer.Integer(Crc32c(writer.bytes()), 4);
  return writer.bytes();
}

PromptRecipe FromPayload(Reader& reader) {
  PromptRecipe recipe;
  recipe.task = reader.Text();
  recipe.denoiser_digest = reader.Text();
  recipe.seed = reader.Integer(8);
  recipe.draw = reader.Integer(8);
  const uint64_t sampler = reader.Integer(1);
  recipe.options.sampler = static_cast<Sampler>(std::min<uint64_t>(sampler, 3));
  recipe.options.steps = static_cast<int64_t>(reader.Integer(4));
  recipe.options.eta = reader.Real();
  recipe.options.guidance_scale = reader.Real();
  recipe.full_space_noise = reader.Integer(1) != 0;
  const size_t attributes = std::min<size_t>(reader.Integer(1), kMaxAttributes + 1);
  for (size_t i = 0; i < attributes; ++i) {
    std::string key = reader.Text();
    recipe.attributes[std::move(key)] = reader.Text();
  }
  recipe.condition_digest = reader.Text();
  recipe.arithmetic_class = reader.Text();
  recipe.checksum = static_cast<uint32_t>(reader.Integer(4));
  return recipe;
}

std::string TextOf(const PromptRecipe& recipe) {
  return absl::StrCat(Piece(kPrefix), absl::WebSafeBase64Escape(Payload(recipe)));
}

}  // namespace

absl::StatusOr<std::string> EncodePromptId(const PromptRecipe& recipe) {
  const std::string problem = Problem(recipe);
  if (!problem.empty()) return FieldError(kField, problem);
  return TextOf(recipe);
}

absl::StatusOr<PromptRecipe> DecodePromptId(std::string_view id) {
  if (id.size() > kMaxTextBytes) {
    return FieldError(kField, absl::StrCat(id.size(), " characters, the limit is ", kMaxTextBytes));
  }
  std::string bytes;
  if (id.substr(0, kPrefix.size()) != kPrefix ||
      !absl::WebSafeBase64Unescape(Piece(id.substr(kPrefix.size())), &bytes)) {
    return FieldError(kField, "it is not \"dp1_\" and url-safe base64");
  }
  Reader reader(bytes);
  const PromptRecipe recipe = FromPayload(reader);
  const uint64_t crc = reader.Integer(4);
  const size_t body = bytes.size() < 4 ? 0 : bytes.size() - 4;
  if (!reader.ok() || crc != Crc32c(std::string_view(bytes).substr(0, body))) {
    return FieldError(kField, "it is cut or changed: its checksum does not fit");
  }
  const std::string problem = Problem(recipe);
  if (!problem.empty()) return FieldError(kField, problem);
  // One recipe has one text: refuses whatever reads as this recipe but was not written from it.
  if (TextOf(recipe) != id) return FieldError(kField, "it is not in canonical form");
  return recipe;
}

}  // namespace ddpt
