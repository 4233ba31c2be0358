#pragma once

#include <cstdint>
#include <string>

namespace ddpt {

// Writes a CodeT5+ model as a Hugging Face directory into the existing `directory`: random weights,
// encoder 16 wide (the width of SmallSpec's prompts), decoder 32, 2 layers each, 2,048 positions,
// and a trained byte-level tokenizer of at most 300 tokens, some of which are parts of characters.
// A step takes well below a millisecond. The end token is improbable, so answers are as long as
// asked for, and greedy answers vary. Models of different seeds have different digests. One that is
// `deaf` takes nothing from its encoder.
void WriteModel(const std::string& directory, uint64_t seed, bool deaf = false);

// The directory of such a model, written once a process and removed at its end:
//
//   Config config = TestConfig(state);
//   config.model = RandomModel();
//   TestServer server(config);
const std::string& RandomModel();

}  // namespace ddpt
