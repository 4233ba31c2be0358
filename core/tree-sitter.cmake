# Defines the target ddpt::tree_sitter: the parser and grammars of Python, JavaScript, Java, C and C++ from their PyPI sources, pinned by SHA-256 and
# kept in build/tree-sitter. Distributions' libtree-sitter-dev has not the headers that the grammars' scanners include, and each of its versions
# mends syntax errors in its own way, while figures of CodeBLEU are to be the same everywhere.
set(sources ${CMAKE_SOURCE_DIR}/build/tree-sitter)
file(SHA256 ${CMAKE_CURRENT_SOURCE_DIR}/tree-sitter-requirements.txt version)
string(SUBSTRING ${version} 0 12 version)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/tree-sitter-requirements.txt)
ddpt_fetch_from_pypi(tree-sitter ${version} ${sources} "3 MB" --no-binary=:all:)

set(runtime ${sources}/tree-sitter/tree_sitter/core/lib)
file(COPY ${runtime}/src/alloc.h ${runtime}/src/array.h ${runtime}/src/parser.h DESTINATION ${sources}/include/tree_sitter)
file(GLOB grammars ${sources}/tree-sitter-*/src/parser.c ${sources}/tree-sitter-*/src/scanner.c)
add_library(ddpt_tree_sitter STATIC ${runtime}/src/lib.c ${grammars})
add_library(ddpt::tree_sitter ALIAS ddpt_tree_sitter)
set_target_properties(ddpt_tree_sitter PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
target_compile_options(ddpt_tree_sitter PRIVATE -w)
target_include_directories(ddpt_tree_sitter SYSTEM PUBLIC ${runtime}/include PRIVATE ${runtime}/src ${sources}/include)
