#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace ddpt {

// Runs `ddpt ARGUMENTS...` (without the program's name) and returns its exit code (exit_code.h).
// Results go to `out`, messages to `err`; `terminal` says whether `err` is one. DDPT_SERVER,
// DDPT_TOKEN and the other variables named in --help stand for flags that are not given. Blocks
// until the command is done; may be called from several threads with streams of their own.
int RunCommandLine(std::vector<std::string> arguments, std::ostream& out, std::ostream& err,
                   bool terminal);

}  // namespace ddpt
