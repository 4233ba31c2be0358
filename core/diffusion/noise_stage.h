#pragma once

#include <cstdint>

namespace ddpt {

// The streams of noise of one draw: `NoiseKey::stage`. FORMAT.md documents them.
inline constexpr uint32_t kInitialNoiseStage = 0;             // x_T, D numbers
inline constexpr uint32_t kStepNoiseStage = 1;                // + t: eta_t, h numbers
inline constexpr uint32_t kFullSpaceNoiseStage = 0x40000000;  // + t: xi_t, D numbers, on request
inline constexpr uint32_t kNullSpaceNoiseStage = 0x80000000;  // D numbers

}  // namespace ddpt
