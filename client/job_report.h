#pragma once

#include <string>
#include <vector>

#include "ddpt/v1/training.pb.h"

namespace ddpt {

// What a training job did, as one HTML page that needs no network and no script: the job after its
// last event, plots of what it measured over the optimizer steps, its validations and messages. A
// plot of which nothing was measured is left out. Texts are escaped.
//
// `events` are those of one job, in order, at least one. Thread-safe.
std::string JobReport(const std::vector<v1::JobEvent>& events);

}  // namespace ddpt
