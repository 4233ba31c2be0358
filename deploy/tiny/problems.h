#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "deploy/tiny/tasks.h"

namespace ddpt::tiny {

// The example as a problem that `ddpt evaluate --problems` runs: its code, put to work on a few
// inputs, must do what the reference code does on them: answer the same, and leave the same files
// or tables. A Python expression, a Python function and a unit of the house style become a
// function; SQL is put to an SQLite database. None for what is not run here: JavaScript, shell, and
// SQL for themes whose statements only PostgreSQL knows. Inputs depend on the request alone.
std::optional<nlohmann::ordered_json> ProblemOf(const TaskExample& example,
                                                const std::string& task_id);

}  // namespace ddpt::tiny
