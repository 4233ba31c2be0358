#include "client/prompt_picture.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/prompt_file.h"
#include "client/random_choice.h"
#include "core/base/status.h"

namespace ddpt {
namespace {

constexpr uint32_t kTokensOfCall = 1024;  // the contract's limit
constexpr uint32_t kMinTokens = 4, kMaxTokens = 3000;

struct Tokens {
  std::vector<std::string> words;
  Tensor vectors;  // [tokens, w]
};

// The tokens of `ids` but for rows that no token uses.
absl::StatusOr<Tokens> EmbedTokens(Client& client, const std::vector<uint32_t>& ids,
                                   int64_t width) {
  Tokens tokens{.words = {}, .vectors = {{0, width}, {}}};
  for (size_t first = 0; first < ids.size(); first += kTokensOfCall) {
    const size_t end = std::min(ids.size(), first + kTokensOfCall);
    v1::EmbedTokensRequest request;
    request.mutable_token_ids()->mutable_ids()->Assign(ids.begin() + first, ids.begin() + end);
    DDPT_ASSIGN_OR_RETURN(const v1::EmbedTokensResponse response, client.EmbedTokens(request));
    DDPT_ASSIGN_OR_RETURN(const Tensor vectors, DecodePrompt(response.embedding()));
    const auto rows = static_cast<int64_t>(end - first);
    if (vectors.shape != std::vector<int64_t>{rows, width} || response.tokens_size() != rows) {
      return absl::InternalError("the server embedded other tokens than it was asked for");
    }
    for (int64_t row = 0; row < rows; ++row) {
      if (response.tokens(static_cast<int>(row)).empty()) continue;
      tokens.words.push_back(response.tokens(static_cast<int>(row)));
      const auto begin = vectors.data.begin() + row * width;
      tokens.vectors.data.insert(tokens.vectors.data.end(), begin, begin + width);
      ++tokens.vectors.shape[0];
    }
  }
  return tokens;
}

std::vector<float> NormsOf(const Tensor& rows) {
  const auto width = static_cast<size_t>(rows.shape[1]);
  std::vector<float> norms;
  for (size_t begin = 0; begin < rows.data.size(); begin += width) {
    double sum = 0;
    for (size_t i = begin; i < begin + width; ++i) sum += double{rows.data[i]} * rows.data[i];
    norms.push_back(static_cast<float>(std::sqrt(sum)));
  }
  return norms;
}

// The rows with length 1; rows of zeros stay.
void AppendDirections(const Tensor& rows, Tensor& directions) {
  const std::vector<float> norms = NormsOf(rows);
  const auto width = static_cast<size_t>(rows.shape[1]);
  for (size_t i = 0; i < rows.data.size(); ++i) {
    const float norm = norms[i / width];
    directions.data.push_back(norm > 0 ? rows.data[i] / norm : 0);
  }
  directions.shape[0] += rows.shape[0];
}

std::vector<uint32_t> NearestOf(const v1::DescribeResponse& described) {
  std::vector<uint32_t> nearest;
  for (const auto& vector : described.vectors()) {
    if (vector.neighbours().empty()) continue;
    const uint32_t id = vector.neighbours(0).token_id();
    if (std::find(nearest.begin(), nearest.end(), id) == nearest.end()) nearest.push_back(id);
  }
  return nearest;
}

absl::Status AddMap(Client& client, uint32_t vocabulary, const PictureOptions& options,
                    PromptPicture& picture) {
  const int64_t width = picture.prompts.front().shape[1];
  std::vector<uint32_t> others = ChooseAtRandom(vocabulary, options.tokens, options.tsne.seed);
  std::erase_if(others, [&](uint32_t id) {
    return std::find(picture.nearest.begin(), picture.nearest.end(), id) != picture.nearest.end();
  });
  DDPT_ASSIGN_OR_RETURN(const Tokens near, EmbedTokens(client, picture.nearest, width));
  DDPT_ASSIGN_OR_RETURN(const Tokens drawn, EmbedTokens(client, others, width));
  picture.words = near.words;
  picture.words.insert(picture.words.end(), drawn.words.begin(), drawn.words.end());
  picture.token_norms = NormsOf(drawn.vectors);
  Tensor directions{{0, width}, {}};
  AppendDirections(near.vectors, directions);
  AppendDirections(drawn.vectors, directions);
  for (const Tensor& prompt : picture.prompts) AppendDirections(prompt, directions);
  picture.tsne = options.tsne;
  picture.tsne.perplexity =
      std::min(options.tsne.perplexity, static_cast<double>(directions.shape[0] - 1) / 3);
  DDPT_ASSIGN_OR_RETURN(picture.map, MakeTsneMap(directions, picture.tsne));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PromptPicture> TakePromptPicture(Client& client, const PictureOptions& options) {
  if (options.tokens < kMinTokens || options.tokens > kMaxTokens) {
    return FieldError("tokens",
                      absl::StrCat(options.tokens, " is outside ", kMinTokens, "..", kMaxTokens));
  }
  DDPT_ASSIGN_OR_RETURN(const v1::ModelInfo model, client.GetModel());
  PromptPicture picture;
  DDPT_ASSIGN_OR_RETURN(picture.drawn, client.Sample(options.sample));
  for (const v1::Prompt& prompt : picture.drawn.prompts()) {
    DDPT_ASSIGN_OR_RETURN(Tensor vectors, DecodePrompt(prompt.embedding()));
    picture.prompts.push_back(std::move(vectors));
    if (picture.prompts.back().shape != picture.prompts.front().shape) {
      return absl::InternalError("the server sent prompts of two shapes");
    }
  }
  if (picture.prompts.empty()) return absl::InternalError("the server sent no prompts");
  if (picture.prompts.front().shape[1] != model.encoder().width()) return picture;
  v1::DescribeRequest request;
  *request.mutable_prompt()->mutable_embedding() = picture.drawn.prompts(0).embedding();
  DDPT_ASSIGN_OR_RETURN(picture.first, client.Describe(request));
  picture.nearest = NearestOf(picture.first);
  DDPT_RETURN_IF_ERROR(AddMap(client, model.vocabulary_size(), options, picture));
  return picture;
}

}  // namespace ddpt
