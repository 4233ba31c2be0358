#pragma once

#include <string>

#include "client/evaluation_file.h"

namespace ddpt {

// What a report shows of an evaluation, as HTML for HtmlPage. Thread-safe.

// Methods by metrics with their intervals, the best of each metric marked.
std::string EvaluationTable(const EvaluationFile& evaluation);

// Charts of the quality of a task's prompts over the steps that they were drawn by, of each task
// that there are contenders "task:NAME@STEPS" of with different steps; "" where there is none.
std::string StepsSection(const EvaluationFile& evaluation);

}  // namespace ddpt
