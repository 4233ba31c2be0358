# Defines the target ddpt::torch: any LibTorch on CMAKE_PREFIX_PATH, else the PyPI wheel, pinned by SHA-256 and kept in build/libtorch.
# The wheel's headers include an old protobuf, so they stand after the system's (-idirafter).
set(DDPT_TORCH_VERSION 2.11.0)
set(DDPT_TORCH_DIR ${CMAKE_SOURCE_DIR}/build/libtorch)

function(ddpt_fetch_libtorch)
  set(platforms)
  foreach(glibc 28 27 25 17)
    list(APPEND platforms --platform manylinux_2_${glibc}_x86_64)
  endforeach()
  ddpt_fetch_from_pypi(libtorch ${DDPT_TORCH_VERSION} ${DDPT_TORCH_DIR} "545 MB"
    --only-binary=:all: --python-version 3.11 --implementation cp ${platforms} --platform manylinux2014_x86_64)
endfunction()

add_library(ddpt_torch INTERFACE)
add_library(ddpt::torch ALIAS ddpt_torch)
find_package(Torch QUIET)
if(Torch_FOUND)
  message(STATUS "LibTorch from ${TORCH_INSTALL_PREFIX}")
  set(torch_include ${TORCH_INCLUDE_DIRS})
  set(torch_lib ${TORCH_INSTALL_PREFIX}/lib)
else()
  ddpt_fetch_libtorch()
  set(torch_include ${DDPT_TORCH_DIR}/torch/include ${DDPT_TORCH_DIR}/torch/include/torch/csrc/api/include)
  set(torch_lib ${DDPT_TORCH_DIR}/torch/lib)
endif()
foreach(folder ${torch_include})
  target_compile_options(ddpt_torch INTERFACE "SHELL:-idirafter ${folder}")
endforeach()
target_link_libraries(ddpt_torch INTERFACE ${torch_lib}/libtorch_cpu.so ${torch_lib}/libc10.so)
target_link_options(ddpt_torch INTERFACE -Wl,-rpath,${torch_lib} -Wl,--allow-shlib-undefined)
if(DDPT_CUDA)
  target_compile_definitions(ddpt_torch INTERFACE DDPT_CUDA)
  # Nothing here names a symbol of libtorch_cuda that must be kept: its registrations are what is wanted.
  target_link_libraries(ddpt_torch INTERFACE
    -Wl,--push-state,--no-as-needed ${torch_lib}/libtorch_cuda.so ${torch_lib}/libc10_cuda.so -Wl,--pop-state CUDA::cudart)
endif()
