#include <cstdint>
#include <cstdlib>

#include "core/model/codet5p_config.h"
#include "core/model/t5_config.h"

// What a config.json is read to, it must say again. Names of tensors are made for small models
// only: at the limits they are many.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto codet5p = ddpt::ParseCodet5pConfig(json, "config.json");
  if (codet5p.ok()) {
    const std::string again = ddpt::Codet5pConfigJson(*codet5p);
    if (ddpt::Codet5pConfigJson(*ddpt::ParseCodet5pConfig(again, "again")) != again) std::abort();
    if (codet5p->encoder.layers + codet5p->decoder.layers < 64 &&
        ddpt::Codet5pGeometry(*codet5p).parameters < 1) {
      std::abort();
    }
  }
  const auto t5 = ddpt::ParseT5Config(json, "config.json");
  if (t5.ok()) {
    const std::string again = ddpt::T5ConfigJson(*t5);
    if (ddpt::T5ConfigJson(*ddpt::ParseT5Config(again, "again")) != again) std::abort();
    if (t5->encoder_layers + t5->decoder_layers < 64 && ddpt::T5Geometry(*t5).parameters < 1) {
      std::abort();
    }
  }
  return 0;
}
