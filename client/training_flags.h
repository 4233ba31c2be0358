#pragma once

#include <string>

#include "ddpt/v1/training.pb.h"

namespace CLI {
class App;
}

namespace ddpt {

// What `ddpt train` was asked for.
struct TrainingFlags {
  v1::TrainRequest request;
  // Files of this machine, to be uploaded; "": none.
  std::string file;
  std::string validation_file;
  std::string start_file;  // of prompts, the first of which training starts from; "": none
  bool watch = false;
};

// The flags of `ddpt train`; `flags` must outlive the parsing.
void AddTrainingFlags(CLI::App& command, TrainingFlags& flags);

}  // namespace ddpt
