#include "core/base/math_inline.h"
#include "core/diffusion/cuda_kernels.h"

namespace ddpt::cuda {
namespace {

float Element(const float* panels, int latent, int output, int input) {
  return panels[(output / kPanel * latent + input) * kPanel + output % kPanel];
}

void PackFloat32(const float* panels, int latent, float* packed) {
  for (int panel = 0; panel < latent / kPanel; ++panel) {
    for (int k = 0; k < latent; ++k) {
      for (int o = 0; o < kPanel; ++o) {
        const int j = o % 4, quad = o / 4;
        packed[(((panel * (latent / 4) + k / 4) * 4 + j) * (kPanel / 4) + quad) * 4 + k % 4] =
            Element(panels, latent, panel * kPanel + o, k);
      }
    }
  }
}

// The registers of a lane hold, in this order, outputs l / 4 and l / 4 + 8 of the tile at the first
// two of its four inputs, then at the other two.
void PackBfloat16(const float* panels, int latent, uint16_t* packed) {
  for (int panel = 0; panel < latent / kPanel; ++panel) {
    for (int block = 0; block < latent / 32; ++block) {
      for (int product = 0; product < 2; ++product) {
        for (int tile = 0; tile < 2; ++tile) {
          for (int lane = 0; lane < 32; ++lane) {
            for (int e = 0; e < 8; ++e) {
              const int output = lane / 4 * 4 + 2 * tile + e / 2 % 2;
              const int input = 32 * block + lane % 4 * 8 + 4 * product + e / 4 * 2 + e % 2;
              const float x = Element(panels, latent, panel * kPanel + output, input);
              *packed++ = static_cast<uint16_t>(inlined::BfloatBits(x) >> 16);
            }
          }
        }
      }
    }
  }
}

}  // namespace

void PackMap(WeightType type, const float* panels, int latent, void* packed) {
  if (type == WeightType::kBfloat16) {
    PackBfloat16(panels, latent, static_cast<uint16_t*>(packed));
  } else {
    PackFloat32(panels, latent, static_cast<float*>(packed));
  }
}

}  // namespace ddpt::cuda
