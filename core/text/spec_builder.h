#pragma once

#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/text/json_node.h"
#include "core/text/tokenizer_files.h"

namespace ddpt {

// Collects a TokenizerSpec and checks each part against those before it. The order of the calls:
// vocabulary, merges, added tokens, then the rest. Errors are those of the nodes that were handed
// in. Not thread-safe.
class SpecBuilder {
 public:
  absl::Status SetVocab(const JsonNode& vocab);
  // The merge of two tokens in byte symbols; the error is a bare problem, without a place.
  absl::Status AddMerge(std::string_view left, std::string_view right);
  // `node` is where the token is told, for errors. A token of the vocabulary keeps its id.
  absl::Status AddToken(const JsonNode& node, AddedToken token);
  // The id of a token, whether of the vocabulary or added; `node` is where it is named.
  absl::StatusOr<uint32_t> IdOf(const JsonNode& node, const std::string& token) const;
  // What holds so far; the caller fills in what needs no check.
  TokenizerSpec& spec() { return spec_; }

 private:
  TokenizerSpec spec_;
  absl::flat_hash_map<uint32_t, std::string> owners_;  // token by id
  absl::flat_hash_map<std::string, uint32_t> added_;
};

// The text of a token written as "text" or as {"content": "text", ...}.
absl::StatusOr<std::string> TokenContent(const JsonNode& node);

// An added token without its id. The flags that an object leaves out are false, but `normalized`,
// which is the opposite of `special`; `special` itself is taken from the argument for a plain
// string.
absl::StatusOr<AddedToken> ReadAddedToken(const JsonNode& node, bool special);

}  // namespace ddpt
