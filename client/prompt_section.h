#pragma once

#include <string>

#include "client/prompt_picture.h"

namespace ddpt {

// What a report shows of a task's prompts, as HTML for HtmlPage: their nearest tokens, their norms,
// and the map. Thread-safe.
std::string PromptSection(const PromptPicture& picture);

}  // namespace ddpt
