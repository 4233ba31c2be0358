#include "core/model/decoder_trunk.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace ddpt {

DecoderTrunk StackTrunks(std::span<const DecoderTrunk* const> trunks) {
  DecoderTrunk stacked;
  for (size_t part = 0; part < trunks.front()->parts.size(); ++part) {
    int64_t longest = 0;
    for (const DecoderTrunk* trunk : trunks) {
      longest = std::max(longest, trunk->parts[part].size(1));
    }
    std::vector<at::Tensor> rows;
    for (const DecoderTrunk* trunk : trunks) {
      const at::Tensor& row = trunk->parts[part];
      // Padding is counted from the last dimension; dimension 1 is the one to grow.
      std::vector<int64_t> padding(2 * (row.dim() - 1), 0);
      padding.back() = longest - row.size(1);
      rows.push_back(padding.back() == 0 ? row : at::constant_pad_nd(row, padding, 0));
    }
    stacked.parts.push_back(at::cat(rows, 0));
  }
  return stacked;
}

size_t TrunkBytes(const DecoderTrunk& trunk) {
  size_t bytes = 0;
  for (const at::Tensor& part : trunk.parts) bytes += part.nbytes();
  return bytes;
}

}  // namespace ddpt
