#pragma once

namespace ddpt {

// carry.py before candidate.py and before judge.py.
extern const char kCandidateScript[];
extern const char kJudgeScript[];

}  // namespace ddpt
